//! What a node can say of what all nodes share.

use std::time::Duration;

use pitlane::manage::KeyQuery;
use pitlane::{Caches, Claim, Freshness, Invalidation, Key};
use pitlane_testkit::RedisServer;

use crate::nodes::{caches, until, until_joined};

async fn joined(redis: &RedisServer) -> Caches {
    let caches = caches(redis).build().expect("caches");
    until_joined(&caches).await;
    caches
}

async fn put(caches: &Caches, key: &str) {
    let cache = caches.get("default").expect("the cache");
    let key: Key = key.parse().expect("a key");
    let Claim::Fill(fill) = cache.claim(&key).await else {
        panic!("{key} is there already");
    };
    let _value = fill.store_with("value", Freshness::new(Duration::from_secs(600)), ["clubs"]);
    until("it is stored", || caches.background() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalidations_of_all_nodes_are_told_with_their_names() {
    let redis = RedisServer::start();
    let (one, two) = (joined(&redis).await, joined(&redis).await);
    let _position = one.invalidate(["club:42"]).await.expect("Redis");
    let soft = Invalidation::default().add_key(&Key::new("club")).soft();
    let _position = two.publish(soft).await.expect("Redis");
    for node in [&one, &two] {
        let recent = node.recent_invalidations(2).await.expect("Redis");
        let said: Vec<_> = recent
            .iter()
            .map(|one| (&*one.items[0].kind, one.items[0].name.as_deref(), one.soft))
            .collect();
        assert_eq!(
            said,
            [
                ("subtree", Some("club"), true),
                ("tag", Some("club:42"), false)
            ]
        );
        assert!(recent[0].at_ms >= recent[1].at_ms && recent[1].at_ms > 1_600_000_000_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_another_life_of_the_log_says_so() {
    let redis = RedisServer::builder().append_only().start();
    let caches = joined(&redis).await;
    put(&caches, "club:42").await;
    let view = caches.entry("default", "club:42").await.expect("Redis");
    let stored = view.expect("an entry").redis.expect("in Redis");
    assert!(
        stored.verdict.usable && stored.incarnation_is_current,
        "{stored:?}"
    );
    redis.restart();
    let other = joined(&redis).await;
    let view = other.entry("default", "club:42").await.expect("Redis");
    let stored = view.expect("an entry").redis.expect("in Redis");
    assert_eq!(
        stored.verdict.reason.as_deref(),
        Some("incarnation"),
        "{stored:?}"
    );
    assert!(!stored.incarnation_is_current);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_entry_is_shown_and_neither_used_nor_deleted() {
    let redis = RedisServer::start();
    let caches = joined(&redis).await;
    put(&caches, "club:42").await;
    let page = caches
        .keys("default", &KeyQuery::new())
        .await
        .expect("Redis");
    let name = page.keys[0].redis_key.clone().expect("a name");
    let cut = redis.run(&[
        "EVAL",
        "return redis.call('SET', KEYS[1], redis.call('GETRANGE', KEYS[1], 0, 150))",
        "1",
        &name,
    ]);
    assert_eq!(cut.text(), "OK");
    redis.run(&["SET", "pitlane:default:\x1b[2J", "anything\x1b[2J"]);
    let view = caches.entry("default", &name).await.expect("Redis");
    let stored = view.expect("something").redis.expect("in Redis");
    assert_eq!(
        (&*stored.verdict.state, stored.verdict.usable),
        ("no-entry", false)
    );
    let page = caches
        .keys("default", &KeyQuery::new())
        .await
        .expect("Redis");
    assert_eq!(page.keys.len(), 2, "both are still there");
    let text = format!("{page:?}");
    assert!(!text.contains('\x1b'), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_nobody_waits_for_leaves_no_keys() {
    let redis = RedisServer::start();
    let caches = joined(&redis).await;
    for micros in [0, 200, 500, 1000, 2000, 4000] {
        let check = caches.check("default");
        let _ = tokio::time::timeout(Duration::from_micros(micros), check).await;
    }
    until("what was dropped is tidied up", || {
        let left = redis.run(&[
            "EVAL",
            "return #redis.call('KEYS', 'pitlane:default*')",
            "0",
        ]);
        left.integer() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_only_joins_begins_no_log() {
    let redis = RedisServer::start();
    let tool = caches(&redis).only_join().build().expect("caches");
    tool.redis().expect("Redis").when_closed().await;
    let tag = Invalidation::tags(["club"]);
    let queued = tool.publish(tag).await.expect("an answer");
    assert_eq!(queued, pitlane::Invalidated::Queued);
    let keys = redis.run(&["EVAL", "return #redis.call('KEYS', '{pitlane}:l*')", "0"]);
    assert_eq!(keys.integer(), 0, "no log was begun");
    let server = joined(&redis).await;
    until("the tool joins what a server began", || {
        tool.log_status().is_some_and(|log| log.position.is_some())
    })
    .await;
    drop(server);
}
