//! Answers over HTTP, through a layer.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use pitlane::{Cache, CacheHint, ResponseBody, ResponseCacheLayer};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

use super::Failure;
use super::values::load;
use crate::judge::{Seen, Source};
use crate::random::Random;
use crate::space::{path, tag};
use crate::truth::Database;

type Answer = Response<ResponseBody<Full<Bytes>>>;

/// A site whose pages show one row each.
#[derive(Clone)]
pub(super) struct Pages(BoxCloneSyncService<Request<Full<Bytes>>, Answer, Infallible>);

impl Pages {
    pub(super) fn new(cache: &Cache, database: &Arc<Database>, seed: u64) -> Self {
        let (database, seeds) = (Arc::clone(database), Arc::new(AtomicU64::new(seed)));
        let site = service_fn(move |request| {
            let random = Random::new(seeds.fetch_add(1, Ordering::Relaxed));
            let database = Arc::clone(&database);
            async move { Ok::<_, Infallible>(answer(&database, &request, random).await) }
        });
        Self(BoxCloneSyncService::new(
            ResponseCacheLayer::new(cache).layer(site),
        ))
    }

    pub(super) async fn read(&self, row: usize, random: &mut Random) -> Result<Seen, Failure> {
        let language = if random.per_mille(500) { "de" } else { "fr" };
        let answer = self.ask(Method::GET, row, language).await?;
        let status = answer.headers().get("cache-status");
        let status = status.ok_or("no Cache-Status")?.to_str()?.to_owned();
        let version = version(answer, row).await?;
        let is_hit = status.starts_with("pitlane; hit")
            || status.contains("; collapsed")
            || status.ends_with("detail=stale-if-error");
        let is_remote = status.ends_with("detail=remote");
        Ok(Seen {
            version,
            source: match (is_hit, is_remote) {
                (true, true) => Source::Remote,
                (true, false) => Source::Memory,
                (false, _) => Source::Computed,
            },
            stale: is_hit && !is_fresh(&status),
        })
    }

    /// Commits a new version over HTTP, and returns it.
    pub(super) async fn post(&self, row: usize) -> Result<u64, Failure> {
        version(self.ask(Method::POST, row, "de").await?, row).await
    }

    async fn ask(&self, method: Method, row: usize, language: &str) -> Result<Answer, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path(row))
            .header("host", "site.org")
            .header("accept-language", language)
            .body(Full::default())?;
        Ok(self.0.clone().oneshot(request).await?)
    }
}

/// Whether an answer from the cache was called fresh. One that a request shares with another may
/// have been invalidated softly while it was made: then nothing is left of its lifetime.
fn is_fresh(status: &str) -> bool {
    let collapsed = || {
        let life = status
            .split("; ")
            .find_map(|part| part.strip_prefix("ttl="));
        status.ends_with("detail=collapsed")
            && life.and_then(|life| life.parse().ok()) > Some(0_i64)
    };
    status.ends_with("detail=fresh") || status.ends_with("detail=remote") || collapsed()
}

async fn version(answer: Answer, row: usize) -> Result<u64, Failure> {
    let code = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    let text = std::str::from_utf8(&body)?;
    let version = text.strip_prefix(&format!("{row} "));
    version
        .and_then(|version| version.parse().ok())
        .ok_or_else(|| format!("{code} for row {row}: {text:?}").into())
}

async fn answer(
    database: &Database,
    request: &Request<Full<Bytes>>,
    mut random: Random,
) -> Response<Full<Bytes>> {
    let row = request.uri().path().rsplit('/').next();
    let row = row.and_then(|row| row.parse().ok()).unwrap_or_default();
    let version = if request.method() == Method::POST {
        database.commit(row).map_err(Failure::from)
    } else {
        let loaded = load(database, row, &mut random).await;
        loaded.map(|loaded| loaded.version)
    };
    let Ok(version) = version else {
        let mut failed = Response::new(Full::from("the database failed"));
        *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return failed;
    };
    let life = random.between(5, 40);
    let stale = if random.per_mille(500) {
        ", stale-while-revalidate=10"
    } else {
        ""
    };
    let mut response =
        Response::builder().header("cache-control", format!("max-age={life}{stale}"));
    if row.is_multiple_of(4) {
        response = response.header("vary", "accept-language");
    }
    let body = Full::from(format!("{row} {version}"));
    let response = response.extension(CacheHint::tags([tag(row)])).body(body);
    response.unwrap_or_default()
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: &str, fresh: bool) {
        assert_eq!(is_fresh(status), fresh, "{status}");
    }

    #[test]
    fn a_shared_answer_with_nothing_left_of_its_lifetime_is_stale() {
        check("pitlane; hit; ttl=0; detail=fresh", true);
        check("pitlane; hit; ttl=3; detail=remote", true);
        check("pitlane; hit; ttl=-3; detail=stale-while-revalidate", false);
        check(
            "pitlane; fwd=uri-miss; collapsed; ttl=9; detail=collapsed",
            true,
        );
        check(
            "pitlane; fwd=uri-miss; collapsed; ttl=0; detail=collapsed",
            false,
        );
        check(
            "pitlane; fwd=uri-miss; collapsed; ttl=-4; detail=collapsed",
            false,
        );
    }
}
