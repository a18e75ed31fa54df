//! How a client begins and ends, and what it tells.

use std::time::Duration;

use fred::{
    clients::Client,
    interfaces::{KeysInterface, LuaInterface, StreamsInterface},
    types::Value,
};
use pitlane_core::{BreakerState, RemoteStore, StoreErrorKind};
use pitlane_redis::{CircuitBrokenRedis, ConfigErrorKind, Dedicated, FailureKind, Side};
use pitlane_testkit::RedisServer;
use tokio::runtime::Handle;

use crate::support::{PATIENCE, built, closed, patient, soon_closed};

fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Connections to the server, but for the one that asks.
fn connections(server: &RedisServer) -> usize {
    server.run(&["CLIENT", "LIST"]).text().lines().count() - 1
}

#[test]
fn outside_a_runtime_there_is_a_clear_error() {
    let builder = CircuitBrokenRedis::builder("redis://:s3cret@127.0.0.1:1").unwrap();
    assert!(!format!("{builder:?}").contains("s3cret"));
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::NoRuntime);
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused() {
    let builder = || CircuitBrokenRedis::builder("redis://127.0.0.1:1").unwrap();
    let kind = |builder: pitlane_redis::RedisBuilder| builder.build().unwrap_err().kind();
    assert_eq!(
        kind(builder().budget(Duration::ZERO)),
        ConfigErrorKind::Budget
    );
    assert_eq!(
        kind(builder().budget(Duration::from_secs(11))),
        ConfigErrorKind::Budget
    );
    assert_eq!(kind(builder().max_in_flight(0)), ConfigErrorKind::Bound);
    assert_eq!(kind(builder().max_write_bytes(0)), ConfigErrorKind::Bound);
    assert_eq!(kind(builder().databases([])), ConfigErrorKind::Database);
    let redis = builder().databases([3]).build().unwrap();
    let error = redis.database(4).unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Database);
}

#[tokio::test]
async fn dropping_the_last_handle_ends_all_tasks_and_connections() {
    let server = RedisServer::start();
    assert_eq!(alive(), 0);
    let builder = CircuitBrokenRedis::builder(&server.url()).unwrap();
    let redis = builder.databases([0, 1, 2]).build().unwrap();
    soon_closed(&redis).await;
    assert!(alive() > 0 && connections(&server) == 3);
    let database = redis.database(1).unwrap();
    drop(redis);
    patient(async || database.get("key").await.is_ok()).await;
    drop(database);
    patient(async || alive() == 0).await;
    patient(async || connections(&server) == 0).await;
}

#[tokio::test]
async fn tasks_end_while_redis_is_away_as_well() {
    let server = RedisServer::start();
    let redis = closed(&server.url()).await;
    let dedicated = redis.dedicated(0);
    server.freeze();
    let database = redis.database(0).unwrap();
    patient(async || {
        let _ = database.get("key").await;
        redis.state(Side::Read) == BreakerState::Open
    })
    .await;
    drop((redis, database, dedicated));
    patient(async || alive() == 0).await;
}

#[tokio::test]
async fn after_a_shutdown_nothing_is_sent_and_nobody_waits() {
    let server = RedisServer::start();
    let redis = closed(&server.url()).await;
    let database = redis.database(0).unwrap();
    redis.shutdown().await;
    let error = database.get("key").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Open);
    assert!(
        tokio::time::timeout(PATIENCE, redis.when_closed())
            .await
            .is_ok()
    );
    patient(async || alive() == 0 && connections(&server) == 0).await;
    redis.shutdown().await;
}

#[tokio::test]
async fn whoever_listens_late_hears_the_last_state() {
    let server = RedisServer::start();
    let redis = closed(&server.url()).await;
    let database = redis.database(0).unwrap();
    let mut events = redis.events();
    events.mark_unchanged();
    for _ in 0..2 {
        server.kill();
        patient(async || {
            let _ = database.get("key").await;
            redis.state(Side::Read) == BreakerState::Open
        })
        .await;
        server.restart();
        soon_closed(&redis).await;
    }
    assert!(events.has_changed().unwrap());
    patient(async || events.borrow_and_update().is_closed()).await;
    server.kill();
    patient(async || {
        let _ = database.get("key").await;
        redis.state(Side::Read) == BreakerState::Open
    })
    .await;
    let opened = events.wait_for(|state| state.read == BreakerState::Open);
    assert!(tokio::time::timeout(PATIENCE, opened).await.is_ok());
}

#[tokio::test]
async fn a_script_may_have_more_time_than_the_budget() {
    let server = RedisServer::start();
    let builder = CircuitBrokenRedis::builder(&server.url()).unwrap();
    let redis = builder.budget(Duration::from_millis(100)).build().unwrap();
    soon_closed(&redis).await;
    let database = redis.database(0).unwrap();
    // Redis doesn't answer before it has counted to a time that is longer than the budget.
    let script = "local begin = redis.call('TIME') \
        repeat local now = redis.call('TIME') \
        until (now[1] - begin[1]) * 1000000 + now[2] - begin[2] > 200000 return 7";
    let call = |client: Client| async move {
        let none = Vec::<String>::new;
        client.eval::<u64, _, _, _>(script, none(), none()).await
    };
    let slow = database.run(Side::Read, "slow", call).await.unwrap_err();
    assert_eq!(slow.kind(), FailureKind::TimedOut);
    patient(async || database.get("key").await.is_ok()).await;
    let limit = Duration::from_secs(10);
    let patiently = database.run_within(Side::Read, "slow", limit, call).await;
    assert_eq!(patiently.unwrap(), 7);
}

async fn next(dedicated: &Dedicated, block: u64, limit: Duration) -> Result<Value, FailureKind> {
    let read = |client: Client| async move {
        client
            .xread::<Value, _, _>(None, Some(block), "stream", "$")
            .await
    };
    let read = dedicated.run(limit, read).await;
    read.map_err(|failure| failure.kind())
}

#[tokio::test]
async fn a_blocking_read_holds_up_nobody_and_opens_nothing() {
    let server = RedisServer::start();
    let redis = closed(&server.url()).await;
    let database = redis.database(0).unwrap();
    let dedicated = redis.dedicated(0);
    let blocked = next(&dedicated, 10_000, PATIENCE);
    let write = async {
        patient(async || server.run(&["CLIENT", "LIST"]).text().contains("cmd=xread")).await;
        for _ in 0..20 {
            database.get("key").await.unwrap();
        }
        server.run(&["XADD", "stream", "*", "a", "b"]);
    };
    let (read, ()) = tokio::join!(blocked, write);
    assert!(!read.unwrap().is_null());

    // Four times too short: the circuit hears nothing of it, and the connection works again.
    for _ in 0..4 {
        let kind = next(&dedicated, 10_000, Duration::from_millis(50)).await;
        assert!(matches!(
            kind,
            Err(FailureKind::TimedOut | FailureKind::Unreachable)
        ));
    }
    assert_eq!(redis.snapshot(Side::Read).failures, 0);
    patient(async || next(&dedicated, 1, Duration::from_secs(2)).await.is_ok()).await;
    server.kill();
    server.restart();
    patient(async || next(&dedicated, 1, Duration::from_secs(2)).await.is_ok()).await;
}

#[tokio::test]
async fn a_dedicated_connection_needs_no_redis_to_begin_and_no_client_to_go_on() {
    let server = RedisServer::start();
    server.kill();
    let redis = built(&server.url());
    let dedicated = redis.dedicated(3);
    let get = |client: Client| async move { client.get::<Option<String>, _>("key").await };
    let limit = Duration::from_millis(50);
    let failure = dedicated.run(limit, get).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Unreachable);
    drop(redis);
    server.restart();
    patient(async || dedicated.run(PATIENCE, get).await.is_ok()).await;
}
