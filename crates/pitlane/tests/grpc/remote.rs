//! Two nodes that share one Redis.

use std::time::Duration;

use pitlane::{Cache, CacheHint, Caches, GrpcCacheLayer, RemoteLookup};
use pitlane_testkit::{RedisServer, Server};
use tower::Layer;

use crate::client::{Answer, Client};
use crate::fixture::{CACHED, DEADLINE, Echo, TTL, ended, until};

struct Node {
    caches: Caches,
    cache: Cache,
    client: Client,
    _server: Server,
}

impl Node {
    async fn joined(redis: &RedisServer, echo: &Echo) -> Self {
        let builder = Caches::builder().redis(redis.url());
        let builder = builder.redis_budget(Duration::from_secs(2));
        let caches = builder.build().unwrap();
        let cache = caches.get("default").unwrap();
        let layer = GrpcCacheLayer::new(&cache).method(CACHED, TTL);
        let server = Server::start(layer.layer(echo.clone())).await;
        let client = Client::connect(&server).await;
        let node = Self {
            caches,
            cache,
            client,
            _server: server,
        };
        node.until_joined().await;
        node
    }

    async fn until_joined(&self) {
        let status = || self.caches.log_status();
        until("the node has joined", || {
            status().is_some_and(|log| log.position.is_some())
        })
        .await;
        let redis = self.caches.redis().unwrap();
        let closed = tokio::time::timeout(DEADLINE, redis.when_closed()).await;
        closed.expect("the circuit is closed");
    }

    /// Reads until Redis answers, whatever it says.
    async fn call(&self, text: &str) -> Answer {
        self.client.call(text).await
    }

    fn lookups(&self, which: RemoteLookup) -> u64 {
        let lookups = self.cache.remote_lookups();
        let found = lookups.iter().find(|(lookup, _)| *lookup == which);
        found.map_or(0, |(_, count)| *count)
    }
}

fn echo() -> Echo {
    Echo::new(|seen| async move {
        let trailers = [("grpc-status", "0"), ("x-cost", "7"), ("x-a-bin", "AAEC")];
        let mut reply = ended(&seen.call.to_string(), &trailers);
        reply.extensions_mut().insert(CacheHint::tags(["club"]));
        reply
    })
}

/// The names in Redis of what is stored.
fn stored(redis: &RedisServer) -> Vec<String> {
    let script = "return table.concat(redis.call('KEYS', ARGV[1]), '\\n')";
    let names = redis.run(&["EVAL", script, "0", "pitlane:default:*"]);
    let names = names.text().to_owned();
    names.lines().map(str::to_owned).collect()
}

async fn until_stored(redis: &RedisServer, count: usize) {
    until("entries are in Redis", || stored(redis).len() >= count).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_computed_another_serves_with_its_trailers() {
    let redis = RedisServer::start();
    let echo = echo();
    let a = Node::joined(&redis, &echo).await;
    let b = Node::joined(&redis, &echo).await;
    let miss = a.call("a").await;
    until_stored(&redis, 1).await;
    let remote = b.call("a").await;
    assert_eq!((remote.text(), remote.detail()), ("1", "remote"));
    assert!(remote.is_hit());
    assert_eq!(remote.own_head(), miss.own_head());
    assert_eq!(remote.trailers, miss.trailers);
    assert_eq!(b.call("a").await.detail(), "fresh");
    assert_eq!(echo.calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidation_at_one_node_ends_it_at_both() {
    let redis = RedisServer::start();
    let echo = echo();
    let a = Node::joined(&redis, &echo).await;
    let b = Node::joined(&redis, &echo).await;
    a.call("a").await;
    until_stored(&redis, 1).await;
    let done = b.caches.invalidate(["club"]).await.unwrap();
    assert!(
        matches!(done, pitlane::Invalidated::Applied { .. }),
        "{done:?}"
    );
    // It never was in B's memory: what Redis holds is not believed.
    assert_eq!(b.call("a").await.text(), "2");
    assert_eq!(b.lookups(RemoteLookup::Unusable), 1);
    let follows = async {
        while a.call("a").await.text() != "2" {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, follows)
        .await
        .expect("A follows");
    assert_eq!(echo.calls(), 2);
}

/// Stores bytes under the name of an answer, as any other value of the cache with a frame that is in
/// order: only what is inside of it is no answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_answer_are_a_miss_and_are_replaced() {
    let redis = RedisServer::start();
    let echo = echo();
    let a = Node::joined(&redis, &echo).await;
    let b = Node::joined(&redis, &echo).await;
    a.call("a").await;
    until_stored(&redis, 1).await;
    let name = stored(&redis).remove(0);
    let ttl = redis.run(&["PTTL", &name]).integer();
    assert!(ttl > 0);
    // Flips the last byte of the frame: the checksum finds it, and the entry is deleted.
    let flip = "local v = redis.call('GET', KEYS[1]); \
                local b = string.char(255 - string.byte(v, -1)); \
                redis.call('SET', KEYS[1], string.sub(v, 1, -2) .. b, 'KEEPTTL'); return 1";
    assert_eq!(redis.run(&["EVAL", flip, "1", &name]).integer(), 1);
    let again = b.call("a").await;
    assert_eq!((again.text(), again.grpc_status()), ("2", "0"));
    assert_eq!(b.lookups(RemoteLookup::Corrupt), 1);
    assert_eq!(b.call("a").await.detail(), "fresh");
}
