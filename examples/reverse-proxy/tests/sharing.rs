//! Two proxies over one Redis, as processes: what they share, and what they never do.

use pitlane_testkit::{Answer, Origin, RedisServer, Server};

use crate::support::proxies::{Proxy, until, until_stored};
use crate::support::running::signal;

const STORED: &[(&str, &str)] = &[("cache-control", "max-age=600")];

#[track_caller]
fn check(answer: &Answer, status: u16, body: &str, told: &str) {
    let seen = answer.header("cache-status");
    assert_eq!(
        (answer.status.as_u16(), answer.text()),
        (status, body),
        "{seen}"
    );
    assert!(seen.contains(told), "{body}: {seen}");
}

#[tokio::test]
async fn a_page_computed_behind_one_proxy_is_a_hit_at_the_other() {
    let redis = RedisServer::start();
    let origin = Origin::counting(STORED);
    let server = Server::start(origin.clone()).await;
    let one = Proxy::joined(server.address(), &redis, &[]).await;
    let other = Proxy::joined(server.address(), &redis, &[]).await;

    check(&one.get("/page").await, 200, "/page 1", "fwd=uri-miss");
    until_stored(&redis, "pitlane:default:*", 1).await;
    check(&other.get("/page").await, 200, "/page 1", "detail=remote");
    check(&other.get("/page").await, 200, "/page 1", "detail=fresh");
    assert_eq!(origin.calls(), 1);
    assert_eq!(other.lookups("hit").await, 1);
}

#[tokio::test]
async fn an_invalidation_at_one_proxy_ends_the_page_at_both() {
    let redis = RedisServer::start();
    let origin = Origin::counting(STORED);
    let server = Server::start(origin.clone()).await;
    let one = Proxy::joined(server.address(), &redis, &[]).await;
    let other = Proxy::joined(server.address(), &redis, &[]).await;

    for (round, body) in [
        r#"{"urls":["http://site.org/a/page"]}"#,
        r#"{"prefixes":["http://site.org/a"]}"#,
        r#"{"prefixes":["site.org:a"]}"#,
        r#"{"keys":["site.org:a:page"]}"#,
    ]
    .into_iter()
    .enumerate()
    {
        let fresh = one.get("/a/page").await;
        let kept = one.get("/ab").await;
        until_stored(&redis, "pitlane:default:*", 2).await;
        until("the other proxy has the page", async || {
            let answer = other.get("/a/page").await;
            answer.is_hit() && answer.text() == fresh.text()
        })
        .await;

        let done = other.invalidate(body).await;
        assert_eq!(done["outcome"], "applied", "{body}");
        let position = done["position"].as_str().unwrap();
        assert!(position.parse::<pitlane::Position>().is_ok(), "{position}");

        // At once where it was asked for, and within the bound everywhere else.
        let here = other.get("/a/page").await;
        assert!(!here.is_hit(), "{body}: {}", here.header("cache-status"));
        assert_ne!(here.text(), fresh.text(), "{body}");
        until("the page has ended at the first proxy", async || {
            one.get("/a/page").await.text() != fresh.text()
        })
        .await;
        check(&one.get("/ab").await, 200, kept.text(), "pitlane; hit");
        assert_eq!(kept.text().split(' ').next(), Some("/ab"), "{round}");
    }
}

#[tokio::test]
async fn a_soft_invalidation_leaves_what_may_be_stale() {
    let redis = RedisServer::start();
    let stale = &[("cache-control", "max-age=600, stale-while-revalidate=600")];
    let origin = Origin::counting(stale);
    let server = Server::start(origin.clone()).await;
    let one = Proxy::joined(server.address(), &redis, &[]).await;
    one.get("/page").await;
    let done = one
        .invalidate(r#"{"urls":["http://site.org/page"],"soft":true}"#)
        .await;
    assert_eq!(done["outcome"], "applied");
    let answer = one.get("/page").await;
    check(&answer, 200, "/page 1", "detail=stale-while-revalidate");
    until("it is refreshed", async || {
        one.get("/page").await.text() != "/page 1"
    })
    .await;
}

#[tokio::test]
async fn two_namespaces_never_meet() {
    let redis = RedisServer::start();
    let origin = Origin::counting(STORED);
    let server = Server::start(origin.clone()).await;
    let one = Proxy::joined(server.address(), &redis, &["--namespace", "one"]).await;
    let other = Proxy::joined(server.address(), &redis, &["--namespace", "other"]).await;
    check(&one.get("/page").await, 200, "/page 1", "fwd=uri-miss");
    until_stored(&redis, "one:default:*", 1).await;
    check(&other.get("/page").await, 200, "/page 2", "fwd=uri-miss");
    until_stored(&redis, "other:default:*", 1).await;

    let body = r#"{"urls":["http://site.org/page"]}"#;
    assert_eq!(other.invalidate(body).await["outcome"], "applied");
    // Appending brings a proxy up to date: had the two one log, the first would know by now.
    let something = r#"{"tags":["something"]}"#;
    assert_eq!(one.invalidate(something).await["outcome"], "applied");
    check(&one.get("/page").await, 200, "/page 1", "detail=fresh");
    check(&other.get("/page").await, 200, "/page 3", "fwd=");
}

#[tokio::test]
async fn what_could_not_be_told_by_the_end_is_said_and_the_exit_is_clean() {
    let redis = RedisServer::start();
    let server = Server::start(Origin::counting(STORED)).await;
    for told in [true, false] {
        let mut proxy = Proxy::joined(server.address(), &redis, &[]).await;
        if !told {
            redis.kill();
            let done = proxy.invalidate(r#"{"tags":["something"]}"#).await;
            assert_eq!(done["outcome"], "queued");
            assert_eq!(proxy.stats().await["log"]["owed"], 1);
        }
        signal(&proxy.started.child, "TERM").await;
        let end = proxy.started.child.wait().await.unwrap();
        assert_eq!(end.code(), Some(0));
        let said = proxy.started.said.await.unwrap();
        let is_said = said.contains("Redis was not told of the last invalidations");
        assert_eq!(is_said, !told, "{said}");
    }
}
