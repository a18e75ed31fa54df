//! `POST api/warm`: asks the program's own service for paths, as a visitor without a name would.

use axum::body::Body;
use std::time::Duration;

use http::uri::Authority;
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};

use super::inquiry::Inquiry;
use crate::admin::{App, Shared};
use crate::asked::Asked;
use crate::failure::Failure;

/// How many paths a request may name.
const MAX_PATHS: usize = 1000;
/// All of it ends by then; what is left is said.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a pause there is between two of them, so that visitors are not pushed aside.
const PAUSE: Duration = Duration::from_millis(5);
/// No more of an answer's body is read than this, in bytes.
const MAX_ANSWER: usize = 64 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    paths: Vec<String>,
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
    let own = asked.host.clone();
    let wanted: Wanted = asked.json(body).await?;
    if wanted.paths.is_empty() || wanted.paths.len() > MAX_PATHS {
        return Err(Failure::Invalid(format!(
            "paths has from 1 to {MAX_PATHS} of them"
        )));
    }
    let app = shared.app.as_ref().ok_or(Failure::NoApp)?;
    // A mistake in the last one is found before the first is asked for.
    let inquiries: Vec<_> = wanted
        .paths
        .iter()
        .map(|path| wanted.inquiry(path))
        .collect();
    for inquiry in &inquiries {
        inquiry.request(shared, &own)?;
    }
    let mut warmed = Warmed::default();
    let walk = warm(shared, app, &own, &inquiries, &mut warmed);
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
        let Ok(answer) = app.ask(request).await else {
            warmed.failed += 1;
            continue;
        };
        let (head, body) = answer.into_parts();
        let read = Limited::new(body, MAX_ANSWER).collect().await;
        let status = head.headers.get("cache-status");
        let status = status
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let count = match () {
            () if read.is_err() || head.status.is_server_error() => &mut warmed.failed,
            () if status.contains("; hit") => &mut warmed.hits,
            () if status.contains("; stored") => &mut warmed.stored,
            () => &mut warmed.uncached,
        };
        *count += 1;
        tokio::time::sleep(PAUSE).await;
    }
}
