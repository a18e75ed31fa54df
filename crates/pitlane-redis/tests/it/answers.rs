//! What the server says when it says no, each provoked on a real one.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use fred::{
    clients::Client,
    interfaces::{KeysInterface, LuaInterface},
    types::{CustomCommand, Value},
};
use pitlane_core::{BreakerState, Condition, RemoteStore, StoreErrorKind};
use pitlane_redis::{CircuitBrokenRedis, Database, FailureKind, Side};
use pitlane_testkit::{RedisReply, RedisServer};

use crate::support::{MINUTE, built, closed, patient, soon_closed};

async fn failing(database: &Database, side: Side) -> Option<FailureKind> {
    let call = |client: Client| async move {
        match side {
            Side::Read => client.get::<Option<Bytes>, _>("key").await.map(drop),
            Side::Write => client.set("key", "value", None, None, false).await,
        }
    };
    let result = database.run(side, "call", call).await;
    result.err().map(|failure| failure.kind())
}

/// The write side opens, for one reason, while reads go on; and it closes again.
async fn check_writes_only(
    redis: &CircuitBrokenRedis,
    database: &Database,
    kind: FailureKind,
    repair: impl FnOnce(),
) {
    for _ in 0..3 {
        // The read right behind it is answered: a refusal is no reason to reconnect.
        let (write, read) = tokio::join!(
            failing(database, Side::Write),
            failing(database, Side::Read)
        );
        assert_eq!((write, read), (Some(kind), None));
    }
    assert_eq!(
        failing(database, Side::Write).await,
        Some(FailureKind::Open)
    );
    assert_ne!(redis.state(Side::Write), BreakerState::Closed);
    for _ in 0..5 {
        assert_eq!(failing(database, Side::Read).await, None);
    }
    assert_eq!(redis.state(Side::Read), BreakerState::Closed);
    repair();
    soon_closed(redis).await;
    assert_eq!(failing(database, Side::Write).await, None);
}

#[tokio::test]
async fn out_of_memory_opens_only_the_write_side() {
    let server = RedisServer::start();
    let redis = closed(&server.url()).await;
    let database = redis.database(0).unwrap();
    server.run(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.run(&["CONFIG", "SET", "maxmemory", "1"]);
    let repair = || drop(server.run(&["CONFIG", "SET", "maxmemory", "0"]));
    check_writes_only(&redis, &database, FailureKind::OutOfMemory, repair).await;
}

#[tokio::test]
async fn a_replica_that_is_read_only_opens_only_the_write_side() {
    let server = RedisServer::start();
    let redis = closed(&server.url()).await;
    let database = redis.database(0).unwrap();
    server.run(&["REPLICAOF", "127.0.0.1", "1"]);
    let repair = || drop(server.run(&["REPLICAOF", "NO", "ONE"]));
    check_writes_only(&redis, &database, FailureKind::ReadOnly, repair).await;
}

#[tokio::test]
async fn too_few_replicas_open_only_the_write_side() {
    let server = RedisServer::start();
    let redis = closed(&server.url()).await;
    let database = redis.database(0).unwrap();
    server.run(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let repair = || drop(server.run(&["CONFIG", "SET", "min-replicas-to-write", "0"]));
    check_writes_only(&redis, &database, FailureKind::NoReplicas, repair).await;
}

#[tokio::test]
async fn a_disk_that_fails_opens_only_the_write_side() {
    let server = RedisServer::start();
    let redis = closed(&server.url()).await;
    let database = redis.database(0).unwrap();
    // A folder in the file's place makes every save fail.
    std::fs::create_dir(server.folder().join("dump.rdb")).unwrap();
    server.run(&["SET", "something", "to save"]);
    server.run(&["CONFIG", "SET", "save", "1 1"]);
    patient(async || {
        server.cli().run(&["BGSAVE"]).unwrap();
        server
            .cli()
            .run(&["SET", "x", "y"])
            .unwrap()
            .is_error("MISCONF")
    })
    .await;
    let repair = || drop(server.run(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]));
    check_writes_only(&redis, &database, FailureKind::Misconfigured, repair).await;
}

#[tokio::test]
async fn a_replica_without_its_primary_opens_both_sides() {
    let server = RedisServer::start();
    let redis = closed(&server.url()).await;
    let database = redis.database(0).unwrap();
    server.run(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    server.run(&["REPLICAOF", "127.0.0.1", "1"]);
    for _ in 0..3 {
        let kind = failing(&database, Side::Read).await;
        assert_eq!(kind, Some(FailureKind::ClusterDown));
    }
    assert_eq!(redis.state(Side::Read), BreakerState::Open);
    assert_eq!(redis.state(Side::Write), BreakerState::Open);
    server.run(&["REPLICAOF", "NO", "ONE"]);
    soon_closed(&redis).await;
}

#[tokio::test]
async fn an_endless_script_opens_both_sides_until_it_is_killed() {
    let server = RedisServer::builder()
        .config("busy-reply-threshold", "10")
        .start();
    let redis = closed(&server.url()).await;
    let database = redis.database(0).unwrap();
    let mut other = server.cli();
    let script = std::thread::spawn(move || other.run(&["EVAL", "while true do end", "0"]));
    patient(async || failing(&database, Side::Read).await == Some(FailureKind::Busy)).await;
    patient(async || failing(&database, Side::Read).await == Some(FailureKind::Open)).await;
    assert_ne!(redis.state(Side::Write), BreakerState::Closed);
    server.cli().run(&["SCRIPT", "KILL"]).unwrap();
    soon_closed(&redis).await;
    let killed = script.join().unwrap().unwrap();
    assert!(matches!(killed, RedisReply::Error(_)), "{killed:?}");
}

#[tokio::test]
async fn a_server_that_loads_its_data_opens_both_sides_until_it_has_done_so() {
    let server = RedisServer::builder()
        .config("enable-debug-command", "yes")
        .config("loading-process-events-interval-bytes", "1024")
        .start();
    server.run(&["DEBUG", "POPULATE", "3000"]);
    server.run(&["CONFIG", "SET", "key-load-delay", "500"]);
    let redis = closed(&server.url()).await;
    let database = redis.database(0).unwrap();
    let mut other = server.cli();
    let reload = std::thread::spawn(move || other.run(&["DEBUG", "RELOAD"]));
    patient(async || failing(&database, Side::Read).await == Some(FailureKind::Loading)).await;
    patient(async || failing(&database, Side::Read).await == Some(FailureKind::Open)).await;
    assert_ne!(redis.state(Side::Write), BreakerState::Closed);
    assert_eq!(reload.join().unwrap().unwrap().text(), "OK");
    soon_closed(&redis).await;
    assert_eq!(failing(&database, Side::Read).await, None);
}

#[tokio::test]
async fn a_script_that_is_not_there_opens_nothing() {
    let server = RedisServer::start();
    let redis = closed(&server.url()).await;
    let database = redis.database(0).unwrap();
    for _ in 0..30 {
        let digest = "0".repeat(40);
        let call = |client: Client| async move {
            client
                .evalsha::<Value, _, _, _>(digest, Vec::<String>::new(), Vec::<String>::new())
                .await
        };
        let failure = database.run(Side::Write, "script", call).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::NoScript);
    }
    assert_eq!(redis.state(Side::Write), BreakerState::Closed);
}

#[tokio::test]
async fn a_key_of_another_type_opens_nothing() {
    let server = RedisServer::start();
    let redis = closed(&server.url()).await;
    let database = redis.database(0).unwrap();
    server.run(&["RPUSH", "list", "x"]);
    server.run(&["SET", "text", "x"]);
    for _ in 0..30 {
        let error = database.get("list").await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Protocol);
        let parse = |client: Client| async move { client.get::<u64, _>("text").await };
        let failure = database.run(Side::Read, "parse", parse).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::WrongType);
        let command = CustomCommand::new_static("NONSENSE", None, false);
        let nonsense = |client: Client| async move {
            use fred::interfaces::ClientLike;
            client.custom::<Value, String>(command, vec![]).await
        };
        let failure = database
            .run(Side::Read, "nonsense", nonsense)
            .await
            .unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused);
    }
    assert_eq!(redis.state(Side::Read), BreakerState::Closed);
    assert_eq!(failing(&database, Side::Read).await, None);
}

#[tokio::test]
async fn a_password_that_is_asked_for_opens_both_sides() {
    let server = RedisServer::builder().password("s3cret").start();
    let redis = built(&format!("redis://{}", server.address()));
    patient(async || redis.snapshot(Side::Read).openings > 1).await;
    let database = redis.database(0).unwrap();
    assert_eq!(
        failing(&database, Side::Read).await,
        Some(FailureKind::Open)
    );
    server.run(&["CONFIG", "SET", "requirepass", ""]);
    soon_closed(&redis).await;
}

#[tokio::test]
async fn a_user_who_may_not_read_opens_both_sides_at_once() {
    let server = RedisServer::start();
    server.run(&["ACL", "SETUSER", "worker", "on", ">pw", "~*", "+@all"]);
    let redis = closed(&format!("redis://worker:pw@{}", server.address())).await;
    let database = redis.database(0).unwrap();
    server.run(&["ACL", "SETUSER", "worker", "-get"]);
    let kind = failing(&database, Side::Read).await;
    assert_eq!(kind, Some(FailureKind::Permission));
    assert_eq!(
        failing(&database, Side::Write).await,
        Some(FailureKind::Open)
    );
    server.run(&["ACL", "SETUSER", "worker", "+get"]);
    soon_closed(&redis).await;
}

#[tokio::test]
async fn a_password_that_changes_opens_both_sides_until_it_is_ours_again() {
    let server = RedisServer::start();
    server.run(&["ACL", "SETUSER", "worker", "on", ">pw", "~*", "+@all"]);
    let redis = closed(&format!("redis://worker:pw@{}", server.address())).await;
    let database = Arc::new(redis.database(0).unwrap());
    server.run(&["ACL", "SETUSER", "worker", "resetpass", ">other"]);
    server.run(&["CLIENT", "KILL", "USER", "worker"]);
    patient(async || {
        let _ = failing(&database, Side::Read).await;
        redis.state(Side::Read) == BreakerState::Open
    })
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        failing(&database, Side::Read).await,
        Some(FailureKind::Open)
    );
    server.run(&["ACL", "SETUSER", "worker", "resetpass", ">pw"]);
    soon_closed(&redis).await;
    let value = Bytes::from_static(b"x");
    database
        .set("key", value, MINUTE, Condition::Always)
        .await
        .unwrap();
}
