use std::time::Duration;

use bytes::Bytes;
use fred::interfaces::{ClientLike, KeysInterface};
use pitlane_core::{BreakerState, Condition, RemoteStore};
use pitlane_redis::{CircuitBrokenRedis, Database, Side};
use pitlane_testkit::RedisServer;

use crate::support::{MINUTE, closed, patient};

async fn database(server: &RedisServer) -> Database {
    closed(&server.url()).await.database(0).unwrap()
}

#[tokio::test]
async fn what_was_set_is_read_until_it_is_deleted() {
    let server = RedisServer::start();
    let database = database(&server).await;
    let value = Bytes::from_static(b"\0 any bytes \xff");
    assert_eq!(database.get("key").await.unwrap(), None);
    let stored = database.set("key", value.clone(), MINUTE, Condition::Always);
    assert!(stored.await.unwrap());
    assert_eq!(database.get("key").await.unwrap(), Some(value));
    assert!(database.delete("key").await.unwrap());
    assert!(!database.delete("key").await.unwrap());
    assert_eq!(database.get("key").await.unwrap(), None);
}

#[tokio::test]
async fn conditions_hold() {
    let server = RedisServer::start();
    let database = database(&server).await;
    let set = async |text: &'static str, condition| {
        let value = Bytes::from_static(text.as_bytes());
        database.set("key", value, MINUTE, condition).await.unwrap()
    };
    assert!(!set("a", Condition::IfPresent).await);
    assert!(set("b", Condition::IfAbsent).await);
    assert!(!set("c", Condition::IfAbsent).await);
    assert!(set("d", Condition::IfPresent).await);
    assert_eq!(database.get("key").await.unwrap().unwrap(), "d");
}

#[tokio::test]
async fn a_value_expires() {
    let server = RedisServer::start();
    let database = database(&server).await;
    let life = Duration::from_micros(10);
    let stored = database.set("key", Bytes::from_static(b"x"), life, Condition::Always);
    assert!(stored.await.unwrap());
    patient(async || database.get("key").await.unwrap().is_none()).await;
}

#[tokio::test]
async fn a_value_for_ever_has_no_time_to_live() {
    let server = RedisServer::start();
    let database = database(&server).await;
    for (key, ttl) in [("ever", Duration::MAX), ("minute", MINUTE)] {
        let value = Bytes::from_static(b"x");
        let stored = database.set(key, value, ttl, Condition::IfAbsent);
        assert!(stored.await.unwrap());
        let expires = server.run(&["TTL", key]).integer() >= 0;
        assert_eq!(expires, key == "minute", "{key}");
    }
}

#[tokio::test]
async fn another_process_is_another_connection() {
    let server = RedisServer::start();
    let database = database(&server).await;
    let before = database.connections();
    server.restart();
    patient(async || database.connections() > before).await;
}

#[tokio::test]
async fn many_are_read_peeked_at_and_unlinked_in_order() {
    let server = RedisServer::start();
    let database = database(&server).await;
    for key in ["a", "b", "c"] {
        let value = Bytes::from(format!("value of {key}"));
        let stored = database.set(key, value, MINUTE, Condition::Always);
        assert!(stored.await.unwrap());
    }
    let values = database.get_many(&["c", "none", "a"]).await.unwrap();
    let values: Vec<_> = values.iter().map(|value| value.as_deref()).collect();
    assert_eq!(
        values,
        [Some(&b"value of c"[..]), None, Some(b"value of a")]
    );
    assert!(database.get_many(&[]).await.unwrap().is_empty());

    for keys in [vec!["b", "none", "a"], vec!["b"], vec![]] {
        let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
        let peeked = database.peek(&keys, 5).await.unwrap();
        let value = |key: &String| if key == "none" { &b""[..] } else { b"value" };
        let expected: Vec<_> = keys.iter().map(value).collect();
        assert_eq!(peeked, expected);
        let nothing = database.peek(&keys, 0).await.unwrap();
        assert_eq!(nothing, vec![Bytes::new(); keys.len()]);
    }

    let keys = ["a", "none", "c"].map(str::to_owned);
    assert_eq!(database.unlink(&keys).await.unwrap(), 2);
    assert_eq!(database.unlink(&[]).await.unwrap(), 0);
    assert!(database.get("a").await.unwrap().is_none());
    assert!(database.get("b").await.unwrap().is_some());
}

#[tokio::test]
async fn counting_begins_at_one() {
    let server = RedisServer::start();
    let database = database(&server).await;
    assert_eq!(database.increment("n", 1).await.unwrap(), 1);
    assert_eq!(database.increment("n", 1).await.unwrap(), 2);
    server.run(&["SET", "n", "-5"]);
    assert!(database.increment("n", 1).await.is_err());
    server.run(&["SET", "n", "text"]);
    assert!(database.increment("n", 1).await.is_err());
}

#[tokio::test]
async fn a_walk_finds_every_key_of_a_prefix_and_no_other() {
    let server = RedisServer::start();
    let database = database(&server).await;
    let mut expected: Vec<String> = (0..1_500).map(|n| format!("a[*]:{n}")).collect();
    for key in expected.iter().map(String::as_str).chain(["axx:1", "a"]) {
        server.run(&["SET", key, "x"]);
    }
    server.run(&[&b"SET"[..], b"a[*]:\xff", b"x"]);
    let (mut found, mut cursor) = (Vec::new(), 0);
    loop {
        let (next, keys) = database.scan("a[*]:", cursor).await.unwrap();
        found.extend(keys);
        if next == 0 {
            break;
        }
        cursor = next;
    }
    found.sort();
    found.dedup();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn each_database_has_its_own_keys() {
    let server = RedisServer::start();
    let builder = CircuitBrokenRedis::builder(&server.url()).unwrap();
    let redis = builder.databases([0, 2]).build().unwrap();
    redis.when_closed().await;
    let (zero, two) = (redis.database(0).unwrap(), redis.database(2).unwrap());
    patient(async || two.get("key").await.is_ok()).await;
    let value = Bytes::from_static(b"two");
    two.set("key", value, MINUTE, Condition::Always)
        .await
        .unwrap();
    assert_eq!(zero.get("key").await.unwrap(), None);
    assert_eq!(two.get("key").await.unwrap().unwrap(), "two");
    assert!(redis.database(1).is_err());
}

#[tokio::test]
async fn any_command_runs_through_the_circuit() {
    let server = RedisServer::start();
    let database = database(&server).await;
    let set = |client: fred::clients::Client| async move {
        client.set::<(), _, _>("key", 7, None, None, false).await?;
        client.get::<Option<i64>, _>("key").await
    };
    assert_eq!(
        database.run(Side::Write, "set", set).await.unwrap(),
        Some(7)
    );
    let ping = |client: fred::clients::Client| async move { client.ping(None).await };
    let pong: String = database.run(Side::Read, "ping", ping).await.unwrap();
    assert_eq!(pong, "PONG");
}

#[tokio::test]
async fn a_unix_socket_and_a_password_do_as_well() {
    let server = RedisServer::builder()
        .unix_socket()
        .password("s3cret")
        .start();
    let path = server.unix_socket().unwrap();
    let url = format!("redis+unix://:s3cret@any{}", path.display());
    let redis = closed(&url).await;
    let database = redis.database(0).unwrap();
    assert_eq!(database.increment("n", 1).await.unwrap(), 1);
    assert_eq!(redis.state(Side::Write), BreakerState::Closed);
}
