//! What processes and networks do.

use std::time::Duration;

use bytes::Bytes;
use fred::{clients::Client, interfaces::LuaInterface};
use pitlane_core::{BreakerState, Condition, RemoteStore, StoreErrorKind};
use pitlane_redis::{CircuitBrokenRedis, Database, FailureKind, Side};
use pitlane_testkit::{Fault, FaultProxy, RedisServer};
use tokio::time::{Instant, sleep};

use crate::support::{MINUTE, built, closed, patient, soon_closed};

const VALUE: Bytes = Bytes::from_static(b"the only right answer");

async fn store(database: &Database) {
    let stored = database.set("key", VALUE, MINUTE, Condition::Always);
    assert!(stored.await.unwrap());
}

/// Asks until the circuit opens: every answer is right or an error.
async fn ask_until_open(redis: &CircuitBrokenRedis, database: &Database) {
    patient(async || {
        if let Ok(answer) = database.get("key").await {
            assert!(
                answer.is_none_or(|answer| answer == VALUE),
                "a wrong answer"
            );
        }
        redis.state(Side::Read) != BreakerState::Closed
    })
    .await;
    assert_ne!(redis.state(Side::Write), BreakerState::Closed);
}

/// A client through a proxy. Its budget is short, because it is meant to run out.
async fn proxied(server: &RedisServer) -> (FaultProxy, CircuitBrokenRedis, Database) {
    let proxy = FaultProxy::start(server.address()).await;
    let builder = CircuitBrokenRedis::builder(&proxy.url()).unwrap();
    let redis = builder.budget(Duration::from_millis(100)).build().unwrap();
    soon_closed(&redis).await;
    let database = redis.database(0).unwrap();
    store(&database).await;
    (proxy, redis, database)
}

/// A fault opens the circuit, and its end closes it.
async fn check(fault: Fault) {
    let server = RedisServer::start();
    let (proxy, redis, database) = proxied(&server).await;
    proxy.set(fault);
    ask_until_open(&redis, &database).await;
    let error = database.get("key").await.unwrap_err();
    let kinds = [StoreErrorKind::Open, StoreErrorKind::Unreachable];
    assert!(kinds.contains(&error.kind()), "{error:?}");
    proxy.set(Fault::Pass);
    soon_closed(&redis).await;
    patient(async || database.get("key").await.ok().flatten() == Some(VALUE)).await;
}

#[tokio::test]
async fn a_black_hole_is_survived() {
    check(Fault::Blackhole).await;
}

#[tokio::test]
async fn answers_that_come_too_late_are_survived() {
    check(Fault::Delay(Duration::from_secs(1))).await;
}

#[tokio::test]
async fn connections_that_are_refused_are_survived() {
    check(Fault::Refuse).await;
}

#[tokio::test]
async fn connections_that_are_reset_are_survived() {
    check(Fault::Reset).await;
}

#[tokio::test]
async fn connections_that_are_cut_within_an_answer_are_survived() {
    check(Fault::CutAfter(7)).await;
}

#[tokio::test]
async fn garbage_is_survived() {
    check(Fault::Garbage).await;
}

/// Single-flight may make others wait for a call that began while the circuit was closed.
#[tokio::test]
async fn calls_on_their_way_end_when_the_circuit_opens() {
    const BUDGET: Duration = Duration::from_secs(4);
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address()).await;
    let builder = CircuitBrokenRedis::builder(&proxy.url()).unwrap();
    let redis = builder.budget(BUDGET).build().unwrap();
    soon_closed(&redis).await;
    let database = redis.database(0).unwrap();
    proxy.set(Fault::Blackhole);
    let early: Vec<_> = (0..3)
        .map(|_| {
            let database = database.clone();
            tokio::spawn(async move { database.get("key").await })
        })
        .collect();
    sleep(BUDGET / 2).await;
    let began = Instant::now();
    let late = database.get("key").await.unwrap_err();
    assert_eq!(late.kind(), StoreErrorKind::TimedOut);
    assert!(began.elapsed() < BUDGET, "it waited for all of its budget");
    for early in early {
        early.await.unwrap().unwrap_err();
    }
    assert_ne!(redis.state(Side::Read), BreakerState::Closed);
}

/// Only this one connection is dead; whoever connects anew is served.
#[tokio::test]
async fn a_connection_that_died_silently_is_replaced() {
    let server = RedisServer::start();
    let (proxy, redis, database) = proxied(&server).await;
    let before = proxy.accepted();
    proxy.set(Fault::Blackhole);
    ask_until_open(&redis, &database).await;
    // Connections made under the fault stay dead; what comes after must be a new one.
    patient(async || proxy.accepted() > before).await;
    proxy.set(Fault::Pass);
    soon_closed(&redis).await;
    assert_eq!(database.get("key").await.unwrap(), Some(VALUE));
}

#[tokio::test]
async fn replies_to_other_questions_are_never_believed() {
    let server = RedisServer::start();
    let (proxy, redis, database) = proxied(&server).await;
    let before = proxy.accepted();
    proxy.set(Fault::WrongReply);
    patient(async || {
        let _ = database.increment("n", 1).await;
        let _ = database.get_many(&["key", "other"]).await;
        proxy.accepted() > before
    })
    .await;
    proxy.set(Fault::Pass);
    soon_closed(&redis).await;
    patient(async || database.get("key").await.ok().flatten() == Some(VALUE)).await;
}

#[tokio::test]
async fn a_server_that_comes_later_is_found() {
    let server = RedisServer::start();
    server.kill();
    let redis = built(&server.url());
    let database = redis.database(0).unwrap();
    assert_eq!(
        database.get("key").await.unwrap_err().kind(),
        StoreErrorKind::Open
    );
    patient(async || redis.snapshot(Side::Read).openings > 1).await;
    server.restart();
    soon_closed(&redis).await;
    store(&database).await;
}

#[tokio::test]
async fn a_server_that_is_killed_and_started_again_is_found_again() {
    let server = RedisServer::start();
    let redis = closed(&server.url()).await;
    let database = redis.database(0).unwrap();
    for _ in 0..3 {
        store(&database).await;
        server.kill();
        ask_until_open(&redis, &database).await;
        server.restart();
        soon_closed(&redis).await;
        assert_eq!(database.get("key").await.unwrap(), None, "data is lost");
    }
}

/// The script is on its way when the server dies.
#[tokio::test]
async fn a_call_that_is_under_way_when_the_server_dies_fails_at_once() {
    let server = RedisServer::start();
    let redis = closed(&server.url()).await;
    let database = redis.database(0).unwrap();
    let call = |client: Client| async move {
        let none = Vec::<String>::new;
        client
            .eval::<(), _, _, _>("while true do end", none(), none())
            .await
    };
    let limit = Duration::from_secs(10);
    let running = database.run_within(Side::Write, "endless", limit, call);
    let kill = async {
        patient(async || redis.in_flight() > 0).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.kill();
    };
    let (result, ()) = tokio::join!(running, kill);
    assert_eq!(result.unwrap_err().kind(), FailureKind::Unreachable);
}

#[tokio::test]
async fn one_dead_connection_does_not_stop_the_other_databases() {
    let server = RedisServer::start();
    // The server has only sixteen: the connection to this one is never made.
    let builder = CircuitBrokenRedis::builder(&server.url()).unwrap();
    let builder = builder.budget(Duration::from_secs(1)).databases([0, 200]);
    let redis = builder.build().unwrap();
    let (good, bad) = (redis.database(0).unwrap(), redis.database(200).unwrap());
    patient(async || good.get("key").await.is_ok()).await;
    patient(async || redis.state(Side::Write) == BreakerState::Closed).await;
    let openings = redis.snapshot(Side::Read).openings;
    for _ in 0..50 {
        let error = bad.get("key").await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unreachable);
        store(&good).await;
    }
    assert_eq!(redis.snapshot(Side::Read).openings, openings);
}
