//! `POST api/warm`: asks the program's own service for paths, as a visitor without a name would.

use axum::body::Body;
use axum::extract::Request;
use std::time::Duration;

use http::uri::Authority;
use serde::{Deserialize, Serialize};

use super::inquiry::{Inquiry, drain};
use crate::admin::{App, Shared};
use crate::asked::Asked;
use crate::failure::Failure;

/// How many paths a request may name.
const MAX_PATHS: usize = 1000;
/// All of it ends by then; what is left is said.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a pause there is between two of them, so that visitors are not pushed aside.
const PAUSE: Duration = Duration::from_millis(5);
/// One path takes no longer than this: a stream without an end is none that is kept.
const PATIENCE_EACH: Duration = Duration::from_secs(10);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    paths: Vec<String>,
    /// And so many of the keys that are hit most, as this node has counted.
    #[serde(default)]
    popular: usize,
    /// Of one cache, unless of all.
    cache: Option<String>,
    /// The site that they are warmed for, where it is not the host of this request.
    host: Option<String>,
}

/// What became of the paths.
#[derive(Debug, Default, Serialize)]
pub(super) struct Warmed {
    /// How many were asked for.
    requested: usize,
    /// How many of them were in the cache already.
    hits: usize,
    /// How many are now: a handler answered, and the answer was stored.
    stored: usize,
    /// How many were answered and not stored.
    uncached: usize,
    /// How many were answered with an error, or not at all.
    failed: usize,
    /// How many were not asked for any more, because a minute was over.
    left: usize,
}

pub(super) async fn run(shared: &Shared, asked: &Asked, body: Body) -> Result<Warmed, Failure> {
    let own = &asked.host;
    let wanted: Wanted = asked.json(body).await?;
    let count = wanted.paths.len().saturating_add(wanted.popular);
    if !(1..=MAX_PATHS).contains(&count) {
        let why = format!("paths and popular name from 1 to {MAX_PATHS} of them");
        return Err(Failure::Invalid(why));
    }
    let app = shared.app.as_ref().ok_or(Failure::NoApp)?;
    // A mistake in the last one is found before the first is asked for.
    let mut inquiries: Vec<_> = wanted
        .paths
        .iter()
        .map(|path| wanted.inquiry(path))
        .collect();
    for inquiry in &inquiries {
        inquiry.request(shared, own)?;
    }
    inquiries.extend(popular(shared, own, &wanted)?);
    let mut warmed = Warmed::default();
    let walk = warm(shared, app, own, &inquiries, &mut warmed);
    let _ = tokio::time::timeout(PATIENCE, walk).await;
    warmed.left = inquiries.len() - warmed.requested;
    Ok(warmed)
}

impl Wanted {
    fn inquiry(&self, path: &str) -> Inquiry {
        let host = self
            .host
            .iter()
            .map(|host| ("host".to_owned(), host.clone()));
        Inquiry {
            method: "GET".to_owned(),
            path: path.to_owned(),
            headers: host.collect(),
        }
    }
}

/// What is hit most, as far as anybody may ask for it: for nobody in particular, under a host
/// that is ours.
fn popular(shared: &Shared, own: &Authority, wanted: &Wanted) -> Result<Vec<Inquiry>, Failure> {
    if let Some(name) = &wanted.cache {
        let found = shared.caches.get(name);
        found.map_err(|error| Failure::Unknown(error.to_string()))?;
    }
    let mut caches = shared.caches.node_stats().caches;
    caches.retain(|cache| wanted.cache.as_ref().is_none_or(|name| *name == cache.name));
    let mut keys: Vec<_> = caches
        .into_iter()
        .flat_map(|cache| cache.top_by_hits)
        .collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.count));
    let asked = keys.iter().filter_map(|key| {
        let (host, path) = key.name.strip_prefix("GET //")?.split_once('/')?;
        let inquiry = Inquiry {
            method: "GET".to_owned(),
            path: format!("/{path}"),
            headers: vec![("host".to_owned(), host.to_owned())],
        };
        inquiry.request(shared, own).is_ok().then_some(inquiry)
    });
    Ok(asked.take(wanted.popular).collect())
}

async fn warm(
    shared: &Shared,
    app: &App,
    own: &Authority,
    inquiries: &[Inquiry],
    warmed: &mut Warmed,
) {
    for inquiry in inquiries {
        let Ok(request) = inquiry.request(shared, own) else {
            continue;
        };
        warmed.requested += 1;
        let asking = tokio::time::timeout(PATIENCE_EACH, ask(app, request));
        let count = match asking.await.unwrap_or(Told::Failed) {
            Told::Hit => &mut warmed.hits,
            Told::Stored => &mut warmed.stored,
            Told::Uncached => &mut warmed.uncached,
            Told::Failed => &mut warmed.failed,
        };
        *count += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

/// What became of one path.
enum Told {
    Hit,
    Stored,
    Uncached,
    Failed,
}

async fn ask(app: &App, request: Request) -> Told {
    let Ok(answer) = app.ask(request).await else {
        return Told::Failed;
    };
    let (head, body) = answer.into_parts();
    let is_whole = drain(body).await;
    let said = head.headers.get("cache-status");
    let said = said
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    match () {
        () if !is_whole || head.status.is_server_error() => Told::Failed,
        () if said.contains("; hit") => Told::Hit,
        () if said.contains("; stored") => Told::Stored,
        () => Told::Uncached,
    }
}
