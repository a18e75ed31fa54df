//! One of the servers under load: caches in front of a handler, and writes beside them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use pitlane::{Cache, Caches, Invalidated, RemoteLookup, ResponseCacheLayer};
use pitlane_core::BreakerState;
use pitlane_redis::{CircuitBrokenRedis, Side};
use pitlane_testkit::{Origin, ReplyBody, Server};
use tower::{Layer, Service, ServiceExt};

use crate::plan::Plan;
use crate::rows::{self, Rows};

/// Both caches have memory of their own: all hot rows fit, and a tenth of the cold ones.
const CACHES: &str = r#"
namespace = "chaos"
[memory]
limit = "8MiB"
max_body = "24KiB"
[caches.hot]
database = 3
memory = "4MiB"
coherence = "COHERENCE"
[caches.cold]
database = 4
memory = "128KiB"
compression = "none"
coherence = "COHERENCE"
"#;

/// Where the entries of both caches are, and the log: with the first cache by name.
pub(crate) const DATABASES: [&str; 2] = ["3", "4"];
pub(crate) const LOG_DATABASE: &str = "4";

/// How long the handler holds a row that it has read: an invalidation may overtake it.
const WORK: Duration = Duration::from_millis(1);

/// How a node is to be.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    /// Without one there is memory only.
    pub(crate) redis: Option<String>,
    pub(crate) budget: Duration,
    /// Whether the second node is strict: everything that it answers is held against what any
    /// node has acknowledged.
    pub(crate) is_strict: bool,
    /// Writes are acknowledged without having invalidated anything: what the check must notice.
    pub(crate) is_forgetful: bool,
}

impl Manner {
    /// A node with its memory only.
    pub(crate) const fn alone(plan: &Plan) -> Self {
        Self {
            redis: None,
            budget: plan.budget,
            is_strict: false,
            is_forgetful: false,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) number: usize,
    pub(crate) server: Server,
    pub(crate) caches: Caches,
    /// Whether hits in memory are confirmed by the shared log.
    pub(crate) is_strict: bool,
    parts: [Cache; 2],
}

impl Node {
    pub(crate) async fn start(number: usize, rows: &Arc<Rows>, manner: &Manner) -> Self {
        let is_strict = number == 1 && manner.is_strict;
        let coherence = if is_strict { "strict" } else { "bounded" };
        let text = CACHES.replace("COHERENCE", coherence);
        let mut builder = Caches::builder()
            .config(&text, "the caches")
            .expect("a configuration")
            .redis_budget(manner.budget);
        if let Some(url) = &manner.redis {
            builder = builder.redis(url.as_str());
        }
        let caches = builder.build().expect("caches");
        let [hot, cold] = ["hot", "cold"].map(|name| caches.get(name).expect("a cache"));
        let origin = handler(rows);
        let front = Front {
            number,
            rows: Arc::clone(rows),
            caches: caches.clone(),
            is_forgetful: manner.is_forgetful,
            hot: ResponseCacheLayer::new(&hot).layer(origin.clone()),
            cold: ResponseCacheLayer::new(&cold).layer(origin),
        };
        let service = tower::service_fn(move |request| front.clone().answer(request));
        Self {
            number,
            server: Server::start(service).await,
            caches,
            is_strict,
            parts: [hot, cold],
        }
    }

    fn redis(&self) -> Option<&CircuitBrokenRedis> {
        self.caches.redis()
    }

    /// Whether the breaker lets reads through to Redis no more.
    pub(crate) fn is_open(&self) -> bool {
        let open = |redis: &CircuitBrokenRedis| redis.state(Side::Read) != BreakerState::Closed;
        self.redis().is_some_and(open)
    }

    /// Whether the circuit is closed and the node follows the log.
    pub(crate) fn is_well(&self) -> bool {
        let closed = |redis: &CircuitBrokenRedis| {
            [Side::Read, Side::Write]
                .iter()
                .all(|side| redis.state(*side) == BreakerState::Closed)
        };
        let log = self.caches.log_status();
        self.redis().is_some_and(closed) && log.is_some_and(|log| log.position.is_some())
    }

    pub(crate) fn owed(&self) -> usize {
        self.caches.log_status().map_or(0, |log| log.owed)
    }

    pub(crate) fn lookups(&self, which: RemoteLookup) -> u64 {
        let lookups = self.parts.iter().flat_map(Cache::remote_lookups);
        let counts = lookups.filter(|(lookup, _)| *lookup == which);
        counts.map(|(_, count)| count).sum()
    }
}

/// The handler behind the caches: a page for each row, with the row's tag.
fn handler(rows: &Arc<Rows>) -> Origin {
    let rows = Arc::clone(rows);
    Origin::new(move |request, _| {
        let row = rows::row(request.uri().path()).expect("a row's path");
        let rows = Arc::clone(&rows);
        async move {
            let version = rows.read(row);
            tokio::time::sleep(WORK).await;
            let tag = rows::tag(row);
            let headers = [("cache-control", "max-age=3600"), ("cache-tag", &*tag)];
            Origin::reply(&headers, rows::page(row, version))
        }
    })
}

#[derive(Clone)]
struct Front<S> {
    number: usize,
    rows: Arc<Rows>,
    caches: Caches,
    is_forgetful: bool,
    hot: S,
    cold: S,
}

impl<S> Front<S> {
    async fn answer<Q, R>(self, request: Request<Q>) -> Result<Response<ReplyBody>, Infallible>
    where
        S: Service<Request<Q>, Response = Response<R>, Error = Infallible>,
        R: http_body_util::BodyExt<Data = bytes::Bytes> + Send + 'static,
        R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let row = rows::row(request.uri().path()).expect("a row's path");
        if request.method() == Method::POST {
            self.write(row).await;
            return Ok(Origin::reply(&[], "written"));
        }
        let part = if row < rows::HOT { self.hot } else { self.cold };
        let response = part.oneshot(request).await?;
        Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
    }

    /// Commits, invalidates, and only then acknowledges.
    async fn write(&self, row: usize) {
        let version = self.rows.write(row);
        let is_applied = self.is_forgetful || {
            let done = self.caches.invalidate([rows::tag(row)]).await;
            matches!(done, Ok(Invalidated::Applied { .. }))
        };
        self.rows.acknowledge(self.number, row, version, is_applied);
    }
}
