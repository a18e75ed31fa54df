//! The reasons that come with a log and a tier that nodes share.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use pitlane::{Caches, CachesBuilder, Outcome, Reason, ResponseCacheLayer};
use pitlane_testkit::RedisServer;

use super::case::{Handler, Service, ask, counts, reply, send, service};
use crate::nodes::{caches, until, until_joined};

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];

pub(super) async fn all() -> [Reason; 4] {
    [
        remote().await,
        incarnation().await,
        unconfirmed().await,
        degraded().await,
    ]
}

struct Node {
    caches: Caches,
    service: Service,
}

impl Node {
    async fn start(builder: CachesBuilder) -> Self {
        let caches = builder.build().unwrap();
        let cache = caches.get("default").unwrap();
        let handler: Handler = Arc::new(|_, call| reply(FRESH, call.to_string()));
        let service = service(&ResponseCacheLayer::new(&cache), &handler);
        until_joined(&caches).await;
        Self { caches, service }
    }

    async fn get(&self) -> String {
        let answer = send(&self.service, get()).await.unwrap();
        let said = answer.headers()["cache-status"].to_str().unwrap();
        said.rsplit('=').next().unwrap().to_owned()
    }

    /// Asks why, has it answered, and finds the same.
    async fn check(&self, outcome: Outcome, reason: Reason) -> Reason {
        let cache = self.caches.get("default").unwrap();
        let before = (
            counts(&cache),
            cache.remote_lookups(),
            cache.memory().entries,
        );
        let why = ask(&self.service, get()).await;
        let after = (
            counts(&cache),
            cache.remote_lookups(),
            cache.memory().entries,
        );
        assert_eq!(after, before, "{reason}: asking leaves nothing");
        assert_eq!((why.outcome, why.reason), (outcome, reason), "{why}");
        assert_eq!(self.get().await, reason.as_str());
        let counted = counts(&cache);
        assert!(
            counted.contains(&(outcome, reason, 1)),
            "{reason}: {counted:?}"
        );
        reason
    }
}

fn get() -> Request<Full<Bytes>> {
    Request::get("http://site.test/")
        .body(Full::default())
        .unwrap()
}

async fn remote() -> Reason {
    let redis = RedisServer::start();
    let writer = Node::start(caches(&redis)).await;
    let reader = Node::start(caches(&redis)).await;
    writer.get().await;
    until("it is in Redis", || keys(&redis) > 0).await;
    reader.check(Outcome::Hit, Reason::Remote).await
}

fn keys(redis: &RedisServer) -> i64 {
    let pattern = "pitlane:default*";
    let count = "return #redis.call('KEYS', ARGV[1])";
    redis.run(&["EVAL", count, "0", pattern]).integer()
}

/// Redis was restarted: what is in memory was made under another life of the log.
async fn incarnation() -> Reason {
    let redis = RedisServer::start();
    let node = Node::start(caches(&redis)).await;
    node.get().await;
    let before = node.caches.log_status().unwrap().incarnations;
    redis.restart();
    let renewed = || {
        let status = node.caches.log_status().unwrap();
        status.incarnations > before && status.position.is_some()
    };
    until("the node has joined the new log", renewed).await;
    node.check(Outcome::Miss, Reason::Incarnation).await
}

async fn unconfirmed() -> Reason {
    let redis = RedisServer::start();
    let text = "[caches.default]\ncoherence = \"strict\"";
    let node = Node::start(caches(&redis).config(text, "test").unwrap()).await;
    node.get().await;
    redis.kill();
    node.check(Outcome::Bypass, Reason::Unconfirmed).await
}

async fn degraded() -> Reason {
    let redis = RedisServer::start();
    let node = Node::start(caches(&redis).max_degraded(Duration::from_millis(100))).await;
    node.get().await;
    redis.kill();
    // Asking leaves nothing, so it can go on until the time has come.
    let wait = async {
        while ask(&node.service, get()).await.reason != Reason::Degraded {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
    assert!(waited.is_ok(), "the log stays out of reach");
    node.check(Outcome::Bypass, Reason::Degraded).await
}
