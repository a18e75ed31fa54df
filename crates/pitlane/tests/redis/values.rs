//! Data behind the handlers that one node computed and others use.

use std::time::Duration;

use pitlane::{Claim, Freshness, Key, Tier};
use pitlane_testkit::{Origin, RedisServer};

use crate::nodes::{Node, until};

const MINUTE: Duration = Duration::from_secs(60);

async fn pair(redis: &RedisServer) -> (Node, Node) {
    let origin = Origin::counting(&[]);
    (
        Node::joined(redis, &origin).await,
        Node::joined(redis, &origin).await,
    )
}

/// Computes and stores a value; the caller must be the one to.
async fn compute(node: &Node, key: &Key, value: &'static [u8], tags: &[&'static str]) {
    let Claim::Fill(fill) = node.cache().claim(key).await else {
        panic!("{key} is there already");
    };
    fill.store_with(value, Freshness::new(MINUTE), tags.iter().copied());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_claimed_once_for_all_nodes_and_then_found_in_each_tier() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let key = Key::new("club").child(42);
    compute(&a, &key, b"members", &["club:42"]).await;
    a.until_stored(&redis, 1).await;
    let Claim::Hit(value) = b.cache().claim(&key).await else {
        panic!("it is in Redis");
    };
    assert_eq!(
        (&**value.bytes(), value.tier()),
        (&b"members"[..], Some(Tier::Remote))
    );
    let value = b.cache().read(&key).await.unwrap();
    assert_eq!(
        (&**value.bytes(), value.tier()),
        (&b"members"[..], Some(Tier::Memory))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_invalidation_on_one_node_ends_the_value_in_redis() {
    use pitlane::Invalidation;
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let key = Key::new("club").child(42).child("members");
    let all = [
        Invalidation::tags(["club:42"]),
        Invalidation::default().add_key(&key),
        Invalidation::default().add_key(&Key::new("club").child(42)),
        Invalidation::default().add_key(&Key::new("club")),
    ];
    for invalidation in all {
        compute(&a, &key, b"members", &["club:42"]).await;
        a.until_stored(&redis, 1).await;
        let done = a.caches.publish(invalidation.clone()).await.unwrap();
        assert!(matches!(done, pitlane::Invalidated::Applied { .. }));
        assert!(b.cache().read(&key).await.is_none(), "{invalidation:?}");
        assert!(a.cache().get(&key).is_none(), "{invalidation:?}");
    }
    compute(&a, &key, b"members", &["club:42"]).await;
    a.until_stored(&redis, 1).await;
    let _ = a.caches.clear("default").await.unwrap();
    assert!(b.cache().read(&key).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_computed_before_an_invalidation_and_stored_after_it_is_used_by_nobody() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let key = Key::new("club").child(42);
    let Claim::Fill(fill) = a.cache().claim(&key).await else {
        panic!("nothing is there");
    };
    let _ = b.caches.invalidate(["club:42"]).await.unwrap();
    fill.store_with(&b"old"[..], Freshness::new(MINUTE), ["club:42"]);
    // Whether or not it reached Redis: wait until it had the time to.
    a.cache().read(&Key::new("other")).await;
    until("b has looked", || redis.run(&["DBSIZE"]).integer() >= 3).await;
    for _ in 0..20 {
        assert!(b.cache().read(&key).await.is_none());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(a.cache().read(&key).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soft_mark_makes_a_value_of_another_node_stale_and_not_unusable() {
    use pitlane::Invalidation;
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let key = Key::new("club");
    let Claim::Fill(fill) = a.cache().claim(&key).await else {
        panic!("nothing is there");
    };
    let freshness = Freshness::new(MINUTE).with_stale_while_revalidate(MINUTE);
    fill.store_with(&b"old"[..], freshness, ["club"]);
    a.until_stored(&redis, 1).await;
    let soft = Invalidation::tags(["club"]).soft();
    let _ = b.caches.publish(soft).await.unwrap();
    let value = b.cache().read(&key).await.unwrap();
    assert!(value.is_stale());
    // It must not look fresh the next time, from memory.
    assert!(b.cache().get(&key).is_none_or(|value| value.is_stale()));
    let _ = b.caches.invalidate(["club"]).await.unwrap();
    assert!(b.cache().read(&key).await.is_none());
}
