//! Pages that one node computed and others serve.

use http::Method;
use pitlane_testkit::{Origin, RedisServer};

use crate::nodes::Node;

const FRESH: &[(&str, &str)] = &[
    ("cache-control", "max-age=60"),
    ("content-type", "text/plain"),
    ("cache-tag", "club:42"),
    ("x-own", "kept"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_one_node_computed_is_a_hit_on_another_with_its_headers_and_age() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let a = Node::joined(&redis, &origin).await;
    let b = Node::joined(&redis, &origin).await;
    let miss = a.get("/x").await;
    assert_eq!(miss.detail(), "uri-miss");
    a.until_stored(&redis, 1).await;
    let remote = b.get("/x").await;
    assert_eq!(remote.detail(), "remote", "{remote:?}");
    assert!(remote.is_hit());
    assert_eq!(remote.text(), miss.text());
    for name in ["content-type", "x-own", "etag", "cache-control"] {
        assert_eq!(remote.header(name), miss.header(name), "{name}");
    }
    assert_eq!(remote.header("age"), "0");
    // From now on it is in this node's memory.
    assert_eq!(b.get("/x").await.detail(), "fresh");
    assert_eq!(origin.calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidation_on_one_node_ends_the_page_in_redis_for_all() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let a = Node::joined(&redis, &origin).await;
    let b = Node::joined(&redis, &origin).await;
    a.get("/x").await;
    a.until_stored(&redis, 1).await;
    let done = b.caches.invalidate(["club:42"]).await.unwrap();
    assert!(
        matches!(done, pitlane::Invalidated::Applied { .. }),
        "{done:?}"
    );
    // B never had it: it reads Redis and must not believe it.
    assert_eq!(b.get("/x").await.text(), "/x 2");
    let unusable = b.cache().remote_lookups();
    assert!(
        unusable.contains(&(pitlane::RemoteLookup::Unusable, 1)),
        "{unusable:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_over_http_ends_its_uri_on_all_nodes_before_it_is_answered() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let a = Node::joined(&redis, &origin).await;
    let b = Node::joined(&redis, &origin).await;
    for round in 0..50 {
        let path = format!("/x{round}");
        a.get(&path).await;
        a.until_stored(&redis, round + 1).await;
        let before = origin.calls();
        a.ask(Method::POST, &path).await;
        assert_ne!(b.get(&path).await.detail(), "remote", "{path}");
        assert_eq!(origin.calls(), before + 2, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variants_are_found_on_a_node_that_never_saw_the_uri() {
    let redis = RedisServer::start();
    let headers: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("vary", "accept-language")];
    let origin = Origin::new(move |request, call| async move {
        let language = request.headers().get("accept-language");
        let language = language
            .map_or("-", |value| value.to_str().unwrap())
            .to_owned();
        Origin::reply(headers, format!("{language} {call}"))
    });
    let a = Node::joined(&redis, &origin).await;
    let b = Node::joined(&redis, &origin).await;
    a.get_with("/x", &[("accept-language", "de")]).await;
    a.get_with("/x", &[("accept-language", "fr")]).await;
    a.until_stored(&redis, 3).await;
    let german = b.get_with("/x", &[("accept-language", "de")]).await;
    assert_eq!((german.detail(), german.text()), ("remote", "de 1"));
    let french = b.get_with("/x", &[("accept-language", "fr")]).await;
    assert_eq!((french.detail(), french.text()), ("remote", "fr 2"));
    let italian = b.get_with("/x", &[("accept-language", "it")]).await;
    assert_eq!(italian.text(), "it 3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_served_without_redis_and_before_it_is_there() {
    let redis = RedisServer::start();
    redis.kill();
    let origin = Origin::counting(FRESH);
    let node = Node::start(crate::nodes::caches(&redis), &origin).await;
    assert_eq!(node.get("/x").await.text(), "/x 1");
    assert_eq!(node.get("/x").await.detail(), "fresh");
    redis.restart();
    node.until_joined().await;
    // What was computed before the node joined has no position in the log.
    let after = node.get("/x").await;
    assert_eq!((after.detail(), after.text()), ("incarnation", "/x 2"));
    assert_eq!(node.get("/x").await.detail(), "fresh");
}
