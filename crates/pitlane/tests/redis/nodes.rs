//! Nodes that share one Redis: each with caches, a server and a client of its own.

use std::time::Duration;

use http::Method;
use pitlane::{Cache, Caches, CachesBuilder, ResponseCacheLayer};
use pitlane_testkit::{Answer, Client, Origin, Protocol, RedisServer, Server};
use tower::Layer;

/// Longer than anything here may take.
const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) struct Node {
    pub(crate) caches: Caches,
    pub(crate) server: Server,
    client: Client,
}

impl Node {
    /// A node in front of `origin` that has joined the log.
    pub(crate) async fn joined(redis: &RedisServer, origin: &Origin) -> Self {
        let node = Self::start(caches(redis), origin).await;
        node.until_joined().await;
        node
    }

    pub(crate) async fn start(builder: CachesBuilder, origin: &Origin) -> Self {
        let caches = builder.build().expect("a registry");
        let layer = ResponseCacheLayer::new(&caches.get("default").expect("the cache"));
        Self {
            server: Server::start(layer.layer(origin.clone())).await,
            client: Client::new(Protocol::Http1),
            caches,
        }
    }

    pub(crate) async fn until_joined(&self) {
        until_joined(&self.caches).await;
    }

    pub(crate) fn cache(&self) -> Cache {
        self.caches.get("default").expect("the cache")
    }

    /// All nodes are one site.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let headers: Vec<_> = headers
            .iter()
            .copied()
            .chain([("host", "site.org")])
            .collect();
        self.client.get(&self.server.url(path), &headers).await
    }

    pub(crate) async fn ask(&self, method: Method, path: &str) -> Answer {
        let headers = [("host", "site.org")];
        self.client
            .ask(method, &self.server.url(path), &headers)
            .await
    }

    /// Waits until what was given to Redis in the background is there.
    pub(crate) async fn until_stored(&self, redis: &RedisServer, keys: i64) {
        let pattern = "pitlane:default*";
        let met = || {
            let found = redis.run(&["EVAL", "return #redis.call('KEYS', ARGV[1])", "0", pattern]);
            found.integer() >= keys
        };
        until("entries are in Redis", met).await;
    }
}

/// Waits until a node is in the log, and in touch with Redis in both directions.
pub(crate) async fn until_joined(caches: &Caches) {
    let joined = || {
        caches
            .log_status()
            .is_some_and(|log| log.position.is_some())
    };
    until("the node has joined", joined).await;
    let redis = caches.redis().expect("a Redis");
    let closed = tokio::time::timeout(DEADLINE, redis.when_closed()).await;
    closed.expect("the circuit is closed");
    let key = pitlane::Key::new("probe");
    for cache in caches.iter() {
        let touch = async {
            loop {
                let before = missing(cache);
                let _ = cache.read(&key).await;
                if missing(cache) == before {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let touched = tokio::time::timeout(DEADLINE, touch).await;
        touched.expect("the node is in touch");
    }
}

/// How many looks into Redis brought no answer.
fn missing(cache: &Cache) -> u64 {
    let lookups = cache.remote_lookups();
    let missing = |lookup: &pitlane::RemoteLookup| {
        matches!(
            lookup,
            pitlane::RemoteLookup::Skipped | pitlane::RemoteLookup::Failed
        )
    };
    lookups
        .iter()
        .filter(|(lookup, _)| missing(lookup))
        .map(|(_, count)| count)
        .sum()
}

/// Registries with a budget that a busy machine can keep.
pub(crate) fn caches(redis: &RedisServer) -> CachesBuilder {
    Caches::builder()
        .redis(redis.url())
        .redis_budget(Duration::from_secs(2))
}

#[track_caller]
pub(crate) fn until(what: &str, met: impl Fn() -> bool) -> impl Future<Output = ()> {
    let at = std::panic::Location::caller();
    let what = what.to_owned();
    async move {
        let wait = async {
            while !met() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, wait).await;
        assert!(waited.is_ok(), "not within 10 s: {what} (at {at})");
    }
}
