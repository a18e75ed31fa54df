//! Typed values that one node computed and others use.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use pitlane::{Key, data::Json};
use pitlane_testkit::{Origin, RedisServer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::nodes::Node;

#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

impl Counter {
    async fn of(&self, node: &Node, key: &Key) -> usize {
        let this = self.clone();
        let compute = async move || {
            let count = this.0.fetch_add(1, Ordering::SeqCst) + 1;
            Ok::<_, Infallible>(count)
        };
        let data = node.cache().data().tags(["members"]);
        data.get_or_compute(key, compute).await.expect("a value")
    }
}

async fn pair(redis: &RedisServer) -> (Node, Node) {
    let origin = Origin::counting(&[]);
    (
        Node::joined(redis, &origin).await,
        Node::joined(redis, &origin).await,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_computed_once_for_all_nodes_until_one_of_them_ends_it() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let (key, counter) = (Key::new("club").child(42), Counter::default());
    assert_eq!(counter.of(&a, &key).await, 1);
    a.until_stored(&redis, 1).await;
    assert_eq!(counter.of(&b, &key).await, 1);
    let done = b.caches.invalidate(["members"]).await.unwrap();
    let pitlane::Invalidated::Applied { position } = done else {
        panic!("{done:?}");
    };
    assert_eq!(counter.of(&b, &key).await, 2);
    // What b computed has to be in Redis first.
    crate::nodes::until("b has written", || b.caches.background() == 0).await;
    assert!(a.caches.reach(position).await);
    assert_eq!(counter.of(&a, &key).await, 2);
}

/// Whether names are written as texts or, as they were once, as numbers.
static TEXTS: AtomicBool = AtomicBool::new(false);

/// A type whose fields changed, and whose version nobody counted up.
struct Name(String);

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if TEXTS.load(Ordering::SeqCst) {
            self.0.serialize(serializer)
        } else {
            [u64::MAX; 4].serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_another_version_of_its_type_wrote_is_a_miss() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let key = Key::new("club").child(42);
    let of = |node: &Node, json: bool| {
        let (cache, key) = (node.cache(), key.clone());
        async move {
            let compute = async || Ok::<_, Infallible>(Name("Apex".into()));
            let name = if json {
                cache.data().codec(Json).get_or_compute(&key, compute).await
            } else {
                cache.data().get_or_compute(&key, compute).await
            };
            name.unwrap().0
        }
    };
    for json in [false, true] {
        assert_eq!(of(&a, json).await, "Apex");
        a.until_stored(&redis, 1 + i64::from(json)).await;
    }
    TEXTS.store(true, Ordering::SeqCst);
    for json in [false, true] {
        // What b finds is whole by its checksum, and no value of the type any more; nor is what a
        // has in memory.
        assert_eq!(of(&b, json).await, "Apex");
        assert_eq!(of(&a, json).await, "Apex");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_values_are_computed_and_kept_in_memory() {
    let redis = RedisServer::start();
    let (a, _) = pair(&redis).await;
    let (key, counter) = (Key::new("club").child(42), Counter::default());
    drop(redis);
    for _ in 0..3 {
        let value = tokio::time::timeout(Duration::from_secs(10), counter.of(&a, &key));
        assert_eq!(value.await.unwrap(), 1);
    }
}
