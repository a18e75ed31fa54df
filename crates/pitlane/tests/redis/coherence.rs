//! What a hit promises while other nodes invalidate.

use std::time::Duration;

use http::Method;
use pitlane::{CachesBuilder, Position, ResponseCacheLayer};
use pitlane_testkit::{Client, Fault, FaultProxy, Origin, Protocol, RedisServer, Server};
use tower::Layer;

use crate::nodes::{Node, caches, until_joined};

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("cache-tag", "club")];

fn strict(redis: &RedisServer) -> CachesBuilder {
    let text = "[caches.default]\ncoherence = \"strict\"";
    caches(redis).config(text, "test").expect("a configuration")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_hit_in_memory_is_never_older_than_an_acknowledged_invalidation() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let a = Node::joined(&redis, &origin).await;
    let b = Node::start(strict(&redis), &origin).await;
    b.until_joined().await;
    for round in 0..300 {
        b.get("/x").await;
        let before = b.get("/x").await;
        assert!(before.is_hit(), "{round}: {before:?}");
        let _ = a.caches.invalidate(["club"]).await.unwrap();
        let after = b.get("/x").await;
        assert_ne!(after.text(), before.text(), "{round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_cache_without_its_log_answers_by_the_handler() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let node = Node::start(strict(&redis), &origin).await;
    node.until_joined().await;
    node.get("/x").await;
    assert!(node.get("/x").await.is_hit());
    redis.kill();
    let without = node.get("/x").await;
    assert_eq!((without.detail(), without.text()), ("unconfirmed", "/x 2"));
}

/// A node whose follower and heartbeat hear nothing for a while.
async fn deaf(redis: &RedisServer, origin: &Origin) -> (FaultProxy, Node) {
    let proxy = FaultProxy::start(redis.address()).await;
    let builder = pitlane::Caches::builder()
        .redis(proxy.url())
        .redis_budget(Duration::from_millis(200));
    let node = Node::start(builder, origin).await;
    node.until_joined().await;
    (proxy, node)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_its_position_reads_its_own_write_on_a_node_that_is_behind() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let name = http::HeaderName::from_static("x-position");
    let serve = |caches: &pitlane::Caches| {
        let layer = ResponseCacheLayer::new(&caches.get("default").unwrap());
        layer.position_header(name.clone()).layer(origin.clone())
    };
    let a = caches(&redis).build().unwrap();
    let b = caches(&redis).build().unwrap();
    until_joined(&a).await;
    until_joined(&b).await;
    let (a_server, b_server) = (
        Server::start(serve(&a)).await,
        Server::start(serve(&b)).await,
    );
    let client = Client::new(Protocol::Http1);
    let host = ("host", "site.org");
    for round in 0..200 {
        let path = format!("/x{round}");
        client.get(&b_server.url(&path), &[host]).await;
        let old = client.get(&b_server.url(&path), &[host]).await;
        let write = client
            .ask(Method::POST, &a_server.url(&path), &[host])
            .await;
        let position = write.header("x-position").to_owned();
        assert!(position.parse::<Position>().is_ok(), "{position:?}");
        let mine = [host, ("x-position", position.as_str())];
        let new = client.get(&b_server.url(&path), &mine).await;
        assert_ne!(new.text(), old.text(), "{round}");
    }
    // Nonsense is nobody's position, and no reason to do anything.
    let nonsense = [host, ("x-position", "~~~")];
    client.get(&b_server.url("/y"), &nonsense).await;
    assert!(client.get(&b_server.url("/y"), &nonsense).await.is_hit());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_cannot_be_reached_passes() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let a = Node::joined(&redis, &origin).await;
    let (proxy, b) = deaf(&redis, &origin).await;
    proxy.set(Fault::Blackhole);
    let done = a.caches.invalidate(["club"]).await.unwrap();
    let pitlane::Invalidated::Applied { position } = done else {
        panic!("{done:?}");
    };
    assert!(!b.caches.reach(position).await);
    proxy.set(Fault::Pass);
    proxy.cut_all();
    let mut reached = false;
    for _ in 0..1000 {
        reached = b.caches.reach(position).await;
        if reached {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(reached);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_served_without_the_log_for_as_long_as_the_operator_says() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let builder = caches(&redis).max_degraded(Duration::from_millis(400));
    let node = Node::start(builder, &origin).await;
    node.until_joined().await;
    node.get("/x").await;
    assert_eq!(node.get("/x").await.detail(), "fresh");
    redis.kill();
    assert_eq!(node.get("/x").await.detail(), "fresh", "not at once");
    let mut detail = String::new();
    for _ in 0..1000 {
        detail = node.get("/x").await.detail().to_owned();
        if detail == "degraded" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(detail, "degraded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_unconfirmed_is_stored_for_nobody() {
    let redis = RedisServer::start();
    let headers: &[(&str, &str)] = &[("cache-control", "max-age=60")];
    let origin = Origin::new(move |request, call| async move {
        let cookie = request.headers().get("cookie");
        let cookie = cookie
            .map_or("-", |value| value.to_str().unwrap())
            .to_owned();
        Origin::reply(headers, format!("{cookie} {call}"))
    });
    let caches = strict(&redis).build().unwrap();
    let layer = pitlane::AnonymousCacheLayer::new(&caches.get("default").unwrap());
    let layer = layer
        .ttl(Duration::from_secs(60))
        .add_harmless_cookie("theme");
    let server = Server::start(layer.layer(origin.clone())).await;
    until_joined(&caches).await;
    let client = Client::new(Protocol::Http1);
    redis.kill();
    let evil = client
        .get(&server.url("/x"), &[("cookie", "theme=evil")])
        .await;
    assert_eq!(evil.detail(), "unconfirmed", "{evil:?}");
    redis.restart();
    let mut clean = client.get(&server.url("/x"), &[]).await;
    for _ in 0..1000 {
        if clean.is_hit() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        clean = client.get(&server.url("/x"), &[]).await;
        assert!(!clean.text().contains("evil"), "{clean:?}");
    }
    assert!(clean.is_hit(), "{clean:?}");
    assert!(!clean.text().contains("evil"), "{clean:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_nothing_serves_nothing_without_the_log_and_everything_with_it() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let node = Node::start(caches(&redis).max_degraded(Duration::ZERO), &origin).await;
    node.until_joined().await;
    let mut detail = String::new();
    for _ in 0..1000 {
        detail = node.get("/x").await.detail().to_owned();
        if detail == "fresh" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(detail, "fresh", "it was suspended before it joined");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_the_rfc_profile_that_wants_no_stored_answer_gets_none_from_redis() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let text = "[caches.default]\nmemory = \"0B\"";
    let caches = caches(&redis)
        .config(text, "test")
        .unwrap()
        .build()
        .unwrap();
    let layer = ResponseCacheLayer::new(&caches.get("default").unwrap());
    let layer = layer.profile(pitlane::Profile::Rfc);
    let server = Server::start(layer.layer(origin.clone())).await;
    until_joined(&caches).await;
    let client = Client::new(Protocol::Http1);
    let url = server.url("/x");
    client.get(&url, &[]).await;
    while caches.background() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(client.get(&url, &[]).await.detail(), "remote");
    let anew = client.get(&url, &[("cache-control", "no-cache")]).await;
    assert_eq!((anew.is_hit(), anew.text()), (false, "/x 2"));
}
