//! Emptying a cache, and caches of the kind `store`.

use std::time::Duration;

use pitlane::{Caches, Claim, ErrorKind, Key, Wrote};
use pitlane_testkit::{Origin, RedisServer};

use crate::nodes::{Node, until};

const MINUTE: Duration = Duration::from_secs(60);

const TWO: &str = "namespace = \"pitlane\"\n[caches.default]\n[caches.other]\n[caches.sessions]\n\
                   kind = \"store\"\ndatabase = 1\n";

async fn node(redis: &RedisServer) -> Node {
    let builder = crate::nodes::caches(redis)
        .config(TWO, "test")
        .expect("it is configured");
    let node = Node::start(builder, &Origin::counting(&[])).await;
    node.until_joined().await;
    node
}

async fn fill(caches: &Caches, cache: &str, count: u32) {
    for n in 0..count {
        let Claim::Fill(fill) = caches
            .get(cache)
            .expect("it is configured")
            .claim(&Key::new(n))
            .await
        else {
            panic!("{n} is there");
        };
        fill.store(vec![7; 100], MINUTE);
    }
}

fn keys(redis: &RedisServer, pattern: &str) -> i64 {
    redis
        .run(&["EVAL", "return #redis.call('KEYS', ARGV[1])", "0", pattern])
        .integer()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clear_ends_one_cache_at_once_and_gives_its_memory_back_in_the_background() {
    let redis = RedisServer::start();
    let node = node(&redis).await;
    fill(&node.caches, "default", 200).await;
    fill(&node.caches, "other", 50).await;
    let stored = || keys(&redis, "pitlane:default:*") + keys(&redis, "pitlane:other:*");
    until("all are in Redis", || stored() == 250).await;
    let _ = node.caches.clear("default").await.unwrap();
    for n in 0..200 {
        assert!(node.cache().read(&Key::new(n)).await.is_none(), "{n}");
    }
    until("the memory is given back", || {
        keys(&redis, "pitlane:default:*") == 0
    })
    .await;
    assert_eq!(keys(&redis, "pitlane:other:*"), 50);
    let other = node.caches.get("other").unwrap();
    for n in 0..50 {
        assert!(other.read(&Key::new(n)).await.is_some(), "{n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_after_a_clear_survives_the_walk() {
    let redis = RedisServer::start();
    let node = node(&redis).await;
    fill(&node.caches, "default", 600).await;
    until("all are in Redis", || {
        keys(&redis, "pitlane:default:*") == 600
    })
    .await;
    let _ = node.caches.clear("default").await.unwrap();
    let key = Key::new("new");
    let Claim::Fill(new) = node.cache().claim(&key).await else {
        panic!("it is new");
    };
    new.store(&b"new"[..], MINUTE);
    until("only the new one is left", || {
        keys(&redis, "pitlane:default:*") == 1
    })
    .await;
    assert!(node.cache().read(&key).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_end_by_delete_expiry_and_clear_and_not_by_the_log() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis).await, node(&redis).await);
    let records = |node: &Node| node.caches.get("sessions").unwrap().records().unwrap();
    let (a_records, b_records) = (records(&a), records(&b));
    let key = Key::new("session").child("secret-id");
    assert_eq!(
        a_records.create(&key, b"one", MINUTE).await.unwrap(),
        Wrote::Yes
    );
    assert_eq!(
        b_records.create(&key, b"two", MINUTE).await.unwrap(),
        Wrote::No
    );
    assert_eq!(
        b_records.read(&key).await.unwrap().as_deref(),
        Some(&b"one"[..])
    );
    assert_eq!(
        b_records.replace(&key, b"three", MINUTE).await.unwrap(),
        Wrote::Yes
    );
    assert_eq!(
        a_records.read(&key).await.unwrap().as_deref(),
        Some(&b"three"[..])
    );
    // The log has nothing to say here, not even when it begins anew.
    redis.run(&["SCRIPT", "FLUSH"]);
    redis.run(&["DEL", "{pitlane}:log", "{pitlane}:last", "{pitlane}:tail"]);
    let _ = a.caches.invalidate(["session"]).await.unwrap();
    assert!(a_records.read(&key).await.unwrap().is_some());
    // Ids are secrets.
    let names = redis.run(&[
        "EVAL",
        "redis.call('SELECT', 1) return redis.call('KEYS', '*')",
        "0",
    ]);
    assert!(!format!("{names:?}").contains("secret-id"), "{names:?}");

    a_records.delete(&key).await.unwrap();
    assert_eq!(b_records.read(&key).await.unwrap(), None);
    assert_eq!(
        b_records.replace(&key, b"back", MINUTE).await.unwrap(),
        Wrote::No
    );
    a_records
        .write(&key, b"short", Duration::from_millis(20))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(b_records.read(&key).await.unwrap(), None);

    a_records.write(&key, b"four", MINUTE).await.unwrap();
    let _ = b.caches.clear("sessions").await.unwrap();
    assert_eq!(a_records.read(&key).await.unwrap(), None);
    assert_eq!(
        a_records.replace(&key, b"back", MINUTE).await.unwrap(),
        Wrote::No
    );
    assert_eq!(
        a_records.create(&key, b"five", MINUTE).await.unwrap(),
        Wrote::Yes
    );
    assert_eq!(
        b_records.read(&key).await.unwrap().as_deref(),
        Some(&b"five"[..])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_with_redis_is_an_error_of_records_and_a_cache_of_another_kind_has_none() {
    let redis = RedisServer::start();
    let node = node(&redis).await;
    assert_eq!(
        node.cache().records().unwrap_err().kind(),
        ErrorKind::Configuration
    );
    let records = node.caches.get("sessions").unwrap().records().unwrap();
    redis.kill();
    let error = records.read(&Key::new("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Redis);
    let memory_only = Caches::builder()
        .config(TWO, "test")
        .unwrap()
        .build()
        .unwrap();
    let sessions = memory_only.get("sessions").unwrap();
    assert!(
        sessions
            .records()
            .unwrap_err()
            .to_string()
            .contains("needs Redis")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cleared_records_do_not_come_back_when_redis_forgets_the_clear() {
    let redis = RedisServer::start();
    let node = node(&redis).await;
    let records = node.caches.get("sessions").unwrap().records().unwrap();
    let key = Key::new("session");
    records.write(&key, b"signed in", MINUTE).await.unwrap();
    let name = "pitlane:sessions:generation";
    let forget = |script: &str| redis.run(&["EVAL", script, "1", name]);
    // Keep the record from the walk, as one does that Redis was too busy to reach.
    let hidden = "redis.call('SELECT', 1) for _, k in ipairs(redis.call('KEYS', 'pitlane:s*')) do \
                  if k ~= KEYS[1] then redis.call('RENAME', k, 'hidden:' .. k) end end return 1";
    forget(hidden);
    let _ = node.caches.clear("sessions").await.unwrap();
    let back = "redis.call('SELECT', 1) for _, k in ipairs(redis.call('KEYS', 'hidden:*')) do \
                redis.call('RENAME', k, string.sub(k, 8)) end \
                redis.call('DEL', KEYS[1]) return 1";
    forget(back);
    assert_eq!(records.read(&key).await.unwrap(), None);
    assert_eq!(
        records.replace(&key, b"back", MINUTE).await.unwrap(),
        Wrote::No
    );
    assert_eq!(
        records.create(&key, b"new", MINUTE).await.unwrap(),
        Wrote::Yes
    );
    assert_eq!(
        records.read(&key).await.unwrap().as_deref(),
        Some(&b"new"[..])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_create_a_record_at_once_after_a_clear_one_does() {
    let redis = RedisServer::start();
    let node = node(&redis).await;
    let records = node.caches.get("sessions").unwrap().records().unwrap();
    for round in 0..30 {
        let key = Key::new("session").child(round);
        records.write(&key, b"old", MINUTE).await.unwrap();
        let _ = node.caches.clear("sessions").await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..8_u8 {
            let (records, key) = (records.clone(), key.clone());
            tasks.spawn(async move { (n, records.create(&key, &[n], MINUTE).await.unwrap()) });
        }
        let done = tasks.join_all().await;
        let winners: Vec<u8> = done
            .iter()
            .filter(|(_, wrote)| *wrote == Wrote::Yes)
            .map(|(n, _)| *n)
            .collect();
        assert_eq!(winners.len(), 1, "{round}: {winners:?}");
        assert_eq!(
            records.read(&key).await.unwrap().as_deref(),
            Some(&winners[..])
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_leaves_what_came_after_the_next_clear() {
    let redis = RedisServer::start();
    let node = node(&redis).await;
    let sessions = node.caches.get("sessions").unwrap();
    let records = sessions.records().unwrap();
    let create = async |prefix: &'static str, count: u32| {
        for n in 0..count {
            let key = Key::new(prefix).child(n);
            let wrote = records.create(&key, b"session", MINUTE).await.unwrap();
            assert_eq!(wrote, Wrote::Yes);
        }
    };
    // More than one step of the walk, so that it is still on its way.
    create("old", 1500).await;
    let _ = node.caches.clear("sessions").await.unwrap();
    let _ = node.caches.clear("sessions").await.unwrap();
    create("new", 1000).await;
    let old = || {
        let script = "redis.call('SELECT', 1) return #redis.call('KEYS', ARGV[1])";
        redis
            .run(&["EVAL", script, "0", "pitlane:sessions:*"])
            .integer()
    };
    until("the old ones are gone", || old() <= 1001).await;
    until("the walks are over", || node.caches.background() == 0).await;
    for n in 0..1000 {
        let key = Key::new("new").child(n);
        assert!(records.read(&key).await.unwrap().is_some(), "{n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clear_is_told_from_a_loss_and_all_nodes_begin_the_same_life() {
    let redis = RedisServer::start();
    let nodes = [node(&redis).await, node(&redis).await];
    let [a, b] = nodes.each_ref().map(|node| {
        let sessions = node.caches.get("sessions").unwrap();
        sessions.records().unwrap()
    });
    let mut before = a.era().await.unwrap();
    for round in 0..20 {
        redis.run(&["FLUSHALL"]);
        let (one, other) = tokio::join!(a.era(), b.era());
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one, other, "{round}");
        assert!(one.has_forgotten(before) && !one.has_cleared(before));
        before = one;
    }
    let _ = nodes[0].caches.clear("sessions").await.unwrap();
    let cleared = b.era().await.unwrap();
    assert!(!cleared.has_forgotten(before) && cleared.has_cleared(before));
    redis.run(&["FLUSHALL"]);
    let _ = nodes[1].caches.clear("sessions").await.unwrap();
    let both = a.era().await.unwrap();
    assert!(both.has_forgotten(cleared) && both.has_cleared(cleared));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_is_swapped_only_for_what_was_seen() {
    let redis = RedisServer::start();
    let node = node(&redis).await;
    let records = node.caches.get("sessions").unwrap().records().unwrap();
    let (key, other) = (Key::new("one"), Key::new("other"));
    let nothing = records.see(&key).await.unwrap();
    assert_eq!(nothing.record(), None);
    let swap = async |seen: &pitlane::Sighting, value: &[u8]| {
        records.swap(&key, seen, value, MINUTE).await.unwrap()
    };
    assert_eq!(swap(&nothing, b"1").await, Wrote::Yes);
    assert_eq!(swap(&nothing, b"2").await, Wrote::No);
    let (era, seen) = records.see_many(&[other, key.clone()]).await.unwrap();
    assert_eq!(seen[0], pitlane::Sighting::empty(era));
    assert_eq!(seen[1], pitlane::Sighting::of(era, b"1"));
    assert!(!format!("{:?}", seen[1]).contains("[49]"));
    assert_eq!(swap(&seen[1], b"2").await, Wrote::Yes);
    assert_eq!(swap(&seen[1], b"3").await, Wrote::No);
    let seen = records.see(&key).await.unwrap();
    let _ = node.caches.clear("sessions").await.unwrap();
    let cleared = records.see(&key).await.unwrap();
    assert_eq!(cleared.record(), None);
    assert!(cleared.era().has_cleared(seen.era()));
    assert_eq!(swap(&cleared, b"4").await, Wrote::Yes);
    assert_eq!(
        records.read(&key).await.unwrap().as_deref(),
        Some(&b"4"[..])
    );
}
