//! Two nodes that share one Redis.

use std::time::Duration;

use bytes::Bytes;
use pitlane::{Cache, CacheHint, Caches, GrpcCacheLayer, Key, RemoteLookup};
use pitlane_core::codec::{Compression, Frame, Limits, decode, encode};
use pitlane_testkit::{RedisReply, RedisServer, Server};
use tower::Layer;

use crate::attacks::{self, ATTACKS, is_poisoned, layered};
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
        let layer = layered(GrpcCacheLayer::new(&cache).method(CACHED, TTL));
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
        // Reads until one gets an answer.
        let missing = || self.lookups(RemoteLookup::Skipped) + self.lookups(RemoteLookup::Failed);
        let touch = async {
            loop {
                let before = missing();
                let _ = self.cache.read(&Key::new("probe")).await;
                if missing() == before {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let touched = tokio::time::timeout(DEADLINE, touch).await;
        touched.expect("the node is in touch");
    }

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

fn get(redis: &RedisServer, name: &str) -> Option<Bytes> {
    match redis.run(&["GET", name]) {
        RedisReply::Bulk(bytes) => Some(bytes.into()),
        _ => None,
    }
}

/// Puts other bytes into the frame of an answer, which stays in order: only what is inside is none.
fn damage(redis: &RedisServer, name: &str, damage: impl Fn(&mut Vec<u8>)) -> Bytes {
    let bytes = get(redis, name).unwrap();
    let decoded = decode(&bytes, &Limits::default()).unwrap();
    let mut body = decoded.body.to_vec();
    damage(&mut body);
    assert_ne!(body, decoded.body);
    let frame = Frame {
        position: decoded.position,
        stored_at: decoded.stored_at,
        cost: decoded.cost,
        kind: decoded.kind,
        key: &decoded.key,
        ids: &decoded.ids,
        names: &decoded.names,
        head: &decoded.head,
        body: &body,
    };
    let damaged = encode(&frame, Compression::None).unwrap();
    redis.run(&[b"SET", name.as_bytes(), &damaged, b"KEEPTTL"]);
    damaged
}

type Damage = (&'static str, fn(&mut Vec<u8>));

/// What a store may have done to an answer.
const DAMAGES: &[Damage] = &[
    ("nothing is left", Vec::clear),
    ("the format alone", |body| body.truncate(1)),
    ("another format", |body| body[0] = 2),
    ("cut short", |body| {
        body.pop();
    }),
    ("more behind it", |body| body.push(b'x')),
    ("an error", |body| {
        let at = body.windows(11).position(|at| at == b"grpc-status");
        body[at.unwrap() + 11 + 1 + 4] = b'5';
    }),
    ("a line end in a value", |body| {
        let at = body.windows(4).position(|at| at == b"AAEC");
        body[at.unwrap()] = b'\n';
    }),
    ("fields without end", |body| body[1..3].fill(0xff)),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_holds_no_answer_is_a_miss_and_does_not_stay() {
    let redis = RedisServer::start();
    let echo = echo();
    let a = Node::joined(&redis, &echo).await;
    let b = Node::joined(&redis, &echo).await;
    let mut seen: Vec<String> = Vec::new();
    for (what, harm) in DAMAGES {
        a.call(what).await;
        let fresh = || stored(&redis).into_iter().find(|name| !seen.contains(name));
        until("the answer is in Redis", || fresh().is_some()).await;
        let name = fresh().unwrap();
        seen.push(name.clone());
        let damaged = damage(&redis, &name, harm);
        let calls = echo.calls();
        let answer = b.call(what).await;
        assert_eq!(answer.text(), (calls + 1).to_string(), "{what}");
        assert_eq!(answer.grpc_status(), "0", "{what}");
        assert_eq!(answer.trailers.as_ref().unwrap()["x-cost"], "7", "{what}");
        let hit = b.call(what).await;
        assert_eq!(
            (hit.detail(), hit.text()),
            ("fresh", answer.text()),
            "{what}"
        );
        until("it is gone", || get(&redis, &name) != Some(damaged.clone())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_holds_no_answer_goes_even_when_nothing_takes_its_place() {
    let redis = RedisServer::start();
    let echo = Echo::new(|seen| async move {
        let status = if seen.call == 1 { "0" } else { "14" };
        ended(&seen.call.to_string(), &[("grpc-status", status)])
    });
    let a = Node::joined(&redis, &echo).await;
    let b = Node::joined(&redis, &echo).await;
    a.call("a").await;
    until_stored(&redis, 1).await;
    let name = stored(&redis).remove(0);
    damage(&redis, &name, Vec::clear);
    let answer = b.call("a").await;
    assert_eq!((answer.text(), answer.grpc_status()), ("2", "14"));
    until("it is gone", || get(&redis, &name).is_none()).await;
}

/// The attacks once more, from one node to the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_clean_call_at_another_node_is_answered_by_somebodys_own() {
    let redis = RedisServer::start();
    let echo = attacks::echo();
    let a = Node::joined(&redis, &echo).await;
    let b = Node::joined(&redis, &echo).await;
    let mut shared = 0;
    for (number, own) in ATTACKS.iter().enumerate() {
        let text = number.to_string();
        if own
            .call(&a.client, &text)
            .await
            .cache_status()
            .contains("stored")
        {
            shared += 1;
            until_stored(&redis, shared).await;
        }
        let victim = b.call(&text).await;
        assert!(!is_poisoned(&victim), "{own:?}: {victim:?}");
        if victim.cache_status().contains("stored") {
            shared += 1;
            until_stored(&redis, shared).await;
        }
        // A clean one is shared, so that the test would see the others.
        let again = a.call(&text).await;
        assert!(again.is_hit(), "{own:?}: {again:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_entry_are_a_miss_and_are_replaced() {
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
