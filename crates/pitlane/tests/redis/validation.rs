//! Entries that one node stored and another validates.

use std::time::Duration;

use http::{Method, StatusCode, header};
use pitlane::{Profile, ResponseCacheLayer};
use pitlane_testkit::{Client, Origin, Protocol, RedisServer, Server};
use tower::Layer;

use crate::nodes::{caches, until, until_joined};

/// Nodes agree on Redis's clock, so time has to pass for all of them.
const LIFETIME: Duration = Duration::from_secs(1);

const TAGGED: &[(&str, &str)] = &[
    ("cache-control", "max-age=1"),
    ("etag", "\"a\""),
    ("cache-tag", "club:42"),
];

/// Answers 304 to who has "a", and what a HEAD says to who asks for a head.
fn origin() -> Origin {
    Origin::new(|request, call| async move {
        if request.method() == Method::HEAD {
            return Origin::reply(&[("etag", "\"b\"")], "");
        }
        let asked = request.headers().get(header::IF_NONE_MATCH);
        if asked.is_some_and(|asked| asked == "\"a\"") {
            let mut reply = Origin::reply(TAGGED, "");
            *reply.status_mut() = StatusCode::NOT_MODIFIED;
            return reply;
        }
        Origin::reply(TAGGED, format!("body {call}"))
    })
}

struct Node {
    caches: pitlane::Caches,
    server: Server,
    client: Client,
}

impl Node {
    async fn start(redis: &RedisServer, origin: &Origin) -> Self {
        let caches = caches(redis).build().expect("a registry");
        until_joined(&caches).await;
        let layer = ResponseCacheLayer::new(&caches.get("default").expect("the cache"));
        let service = layer.profile(Profile::Rfc).layer(origin.clone());
        Self {
            server: Server::start(service).await,
            client: Client::new(Protocol::Http1),
            caches,
        }
    }

    async fn ask(&self, method: Method, control: &str) -> pitlane_testkit::Answer {
        let headers = [("host", "site.org"), ("cache-control", control)];
        self.client
            .ask(method, &self.server.url("/x"), &headers)
            .await
    }

    async fn get(&self) -> pitlane_testkit::Answer {
        self.ask(Method::GET, "").await
    }
}

fn stored(redis: &RedisServer) -> i64 {
    let count = "return #redis.call('KEYS', ARGV[1])";
    redis
        .run(&["EVAL", count, "0", "pitlane:default*"])
        .integer()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_stored_another_validates_and_all_have_it_fresh() {
    let (redis, origin) = (RedisServer::start(), origin());
    let a = Node::start(&redis, &origin).await;
    let b = Node::start(&redis, &origin).await;
    assert_eq!(a.get().await.text(), "body 1");
    until("it is in Redis", || stored(&redis) == 1).await;
    tokio::time::sleep(LIFETIME * 2).await;
    let validated = b.get().await;
    assert_eq!(
        (validated.detail(), validated.text()),
        ("validated", "body 1"),
        "{validated:?}"
    );
    // Validated or not, it ends by its tags.
    let _ = a.caches.invalidate(["club:42"]).await.unwrap();
    assert_eq!(b.get().await.text(), format!("body {}", origin.calls()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_contradicts_an_entry_takes_it_out_of_redis() {
    let (redis, origin) = (RedisServer::start(), origin());
    let node = Node::start(&redis, &origin).await;
    node.get().await;
    until("it is in Redis", || stored(&redis) == 1).await;
    node.ask(Method::HEAD, "no-cache").await;
    until("it is gone", || stored(&redis) == 0).await;
}
