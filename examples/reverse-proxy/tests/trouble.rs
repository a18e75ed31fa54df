//! Redis fails, and pages don't.

use std::time::{Duration, Instant};

use pitlane_testkit::{Origin, RedisServer, Server};

use crate::support::proxies::{Proxy, until, until_stored};

const STORED: &[(&str, &str)] = &[("cache-control", "max-age=600")];

#[track_caller]
fn check(answer: &pitlane_testkit::Answer, path: &str) {
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    assert!(answer.text().starts_with(path), "{path}: {}", answer.text());
}

#[tokio::test]
async fn a_killed_redis_fails_no_page_and_comes_back_by_itself() {
    let redis = RedisServer::start();
    let server = Server::start(Origin::counting(STORED)).await;
    let one = Proxy::joined(server.address(), &redis, &[]).await;
    let other = Proxy::joined(server.address(), &redis, &[]).await;
    check(&one.get("/before").await, "/before");

    redis.kill();
    for number in 0..50 {
        let path = format!("/killed/{number}");
        for proxy in [&one, &other] {
            check(&proxy.get(&path).await, &path);
            check(&proxy.get("/before").await, "/before");
        }
    }

    redis.restart();
    one.until_back().await;
    other.until_back().await;
    let mut number = 0;
    until("what one computes is a hit at the other", async || {
        number += 1;
        let path = format!("/after/{number}");
        check(&one.get(&path).await, &path);
        let answer = other.get(&path).await;
        check(&answer, &path);
        answer.detail() == "remote"
    })
    .await;
}

#[tokio::test]
async fn a_proxy_that_starts_without_redis_serves_and_joins_later() {
    let redis = RedisServer::start();
    redis.kill();
    let server = Server::start(Origin::counting(STORED)).await;
    let proxy = Proxy::start(server.address(), &redis, &redis.url_of(2), "5s", &[]).await;
    check(&proxy.get("/early").await, "/early");
    let stats = proxy.stats().await;
    assert_eq!(stats["log"]["position"], serde_json::Value::Null);
    assert_eq!(stats["redis"]["breaker"]["read"], "open");

    redis.restart();
    proxy.until_back().await;
    until_stored(&redis, "pitlane:default:*", 1).await;
}

/// How long one page took.
#[expect(
    clippy::disallowed_methods,
    reason = "a stopwatch, not a clock of the cache"
)]
async fn timed(proxy: &Proxy, path: &str) -> Duration {
    let start = Instant::now();
    check(&proxy.get(path).await, path);
    start.elapsed()
}

/// The budget is long enough that twice it can't be mistaken for a slow machine.
#[tokio::test]
async fn a_frozen_redis_costs_a_request_one_budget_and_then_nothing() {
    const BUDGET: Duration = Duration::from_secs(3);
    let redis = RedisServer::start();
    let server = Server::start(Origin::counting(STORED)).await;
    let proxy = Proxy::start(server.address(), &redis, &redis.url_of(2), "3s", &[]).await;
    proxy.until_in_touch().await;
    check(&proxy.get("/before").await, "/before");

    redis.freeze();
    let (a, b, c, d) = tokio::join!(
        timed(&proxy, "/frozen/1"),
        timed(&proxy, "/frozen/2"),
        timed(&proxy, "/frozen/3"),
        timed(&proxy, "/frozen/4"),
    );
    for wait in [a, b, c, d] {
        assert!(wait < 2 * BUDGET, "{wait:?}");
    }
    until("the circuit is open", async || {
        proxy.stats().await["redis"]["breaker"]["read"] == "open"
    })
    .await;

    // From here on nobody asks: every look is skipped, and none fails any more.
    let (failed, skipped) = (
        proxy.lookups("failed").await,
        proxy.lookups("skipped").await,
    );
    for number in 0..20 {
        let path = format!("/open/{number}");
        check(&proxy.get(&path).await, &path);
    }
    assert_eq!(proxy.lookups("failed").await, failed);
    assert!(proxy.lookups("skipped").await >= skipped + 20);

    redis.thaw();
    proxy.until_back().await;
    check(&proxy.get("/before").await, "/before");
}
