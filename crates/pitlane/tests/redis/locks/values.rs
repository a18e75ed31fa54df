//! Values that one of all nodes computes.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pitlane::{
    Cache, Key,
    data::{DataError, DataErrorKind},
    lock::{LockError, LockErrorKind, Locking},
};
use pitlane_testkit::{Gate, RedisServer};

use super::{LONG, bounded, exchanges, pair};

fn key() -> Key {
    Key::new("standings")
}

/// Counts computations, each of which waits at a gate.
#[derive(Clone, Default)]
pub(super) struct Computer {
    count: Arc<AtomicUsize>,
    pub(super) gate: Gate,
}

impl Computer {
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    pub(super) async fn of(
        self,
        cache: Cache,
        locking: Locking,
    ) -> Result<usize, DataError<io::Error>> {
        let compute = async move || {
            let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
            self.gate.pass().await;
            Ok(number)
        };
        cache.with_lock(&key(), locking, compute).await
    }

    fn spawn(
        &self,
        cache: &Cache,
        locking: Locking,
    ) -> tokio::task::JoinHandle<Result<usize, DataError<io::Error>>> {
        tokio::spawn(self.clone().of(cache.clone(), locking))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_callers_of_two_nodes_are_one_computation() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let computer = Computer::default();
    let locking = Locking::or_error().lease(LONG);
    let calls: Vec<_> = (0..500)
        .map(|n| computer.spawn(if n % 2 == 0 { &a } else { &b }, locking.clone()))
        .collect();
    bounded(computer.gate.arrival()).await;
    computer.gate.open(500);
    for call in calls {
        let value = bounded(call).await.expect("it ended").expect("a value");
        assert_eq!(value, 1);
    }
    assert_eq!(computer.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_lock_each_node_computes() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let computer = Computer::default();
    for cache in [&a, &b] {
        let (cache, computer) = (cache.clone(), computer.clone());
        tokio::spawn(async move {
            let compute = async move || {
                computer.count.fetch_add(1, Ordering::SeqCst);
                computer.gate.pass().await;
                Ok::<_, io::Error>(0)
            };
            cache.data().get_or_compute(&key(), compute).await
        });
    }
    bounded(computer.gate.arrival()).await;
    bounded(computer.gate.arrival()).await;
    assert_eq!(computer.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_in_vain_gets_an_error_or_computes_as_was_chosen() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let computer = Computer::default();
    let slow = computer.spawn(&a, Locking::or_error().lease(LONG));
    bounded(computer.gate.arrival()).await;
    let short = Duration::from_millis(100);
    let other = Computer::default();
    other.gate.open(1);
    let error = other.spawn(&b, Locking::or_error().lease(LONG).wait(short));
    let error = bounded(error)
        .await
        .expect("it ended")
        .expect_err("no turn");
    assert_eq!(error.kind(), DataErrorKind::Locked);
    let source = std::error::Error::source(&error).expect("a source");
    let source: &LockError = source.downcast_ref().expect("the lock's error");
    assert_eq!(source.kind(), LockErrorKind::TimedOut);
    assert_eq!(other.count(), 0);
    let value = other.spawn(&b, Locking::or_compute().lease(LONG).wait(short));
    let value = bounded(value).await.expect("it ended").expect("a value");
    assert_eq!((value, other.count()), (1, 1));
    computer.gate.open(1);
    assert_eq!(bounded(slow).await.expect("it ended").expect("a value"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_ended_while_somebody_waited_for_it_is_not_used() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let nodes = super::registry(&redis).await;
    let computer = Computer::default();
    let slow = computer.spawn(&a, Locking::or_error().lease(LONG));
    bounded(computer.gate.arrival()).await;
    let waiting = computer.spawn(&b, Locking::or_error().lease(LONG));
    // The holder noted its position before this.
    let ended = pitlane::Invalidation::default().add_key(&key());
    let _ = nodes.publish(ended).await.expect("an invalidation");
    computer.gate.open(2);
    assert_eq!(bounded(slow).await.expect("it ended").expect("a value"), 1);
    assert_eq!(
        bounded(waiting).await.expect("it ended").expect("a value"),
        2
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_computation_that_fails_hands_its_turn_on() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let gate = Gate::new();
    let at = gate.clone();
    let fails = tokio::spawn(async move {
        let compute = async move || {
            at.pass().await;
            Err::<usize, _>(io::Error::other("no"))
        };
        let locking = Locking::or_error().lease(LONG);
        a.with_lock(&key(), locking, compute).await
    });
    bounded(gate.arrival()).await;
    let computer = Computer::default();
    computer.gate.open(1);
    let next = computer.spawn(&b, Locking::or_error().lease(LONG));
    gate.open(1);
    let error = bounded(fails)
        .await
        .expect("it ended")
        .expect_err("it failed");
    assert_eq!(error.kind(), DataErrorKind::Computation);
    assert_eq!(bounded(next).await.expect("it ended").expect("a value"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_leaves_takes_neither_the_computation_nor_the_lock_along() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let computer = Computer::default();
    let leaves = computer.spawn(&a, Locking::or_error().lease(LONG));
    bounded(computer.gate.arrival()).await;
    leaves.abort();
    let waits = computer.spawn(&b, Locking::or_error().lease(LONG));
    computer.gate.open(1);
    assert_eq!(bounded(waits).await.expect("it ended").expect("a value"), 1);
    assert_eq!(computer.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stale_while_another_node_computes_it_asks_for_the_lock_now_and_then() {
    const HITS: i64 = 300;
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let computer = Computer::default();
    let of = |cache: &Cache| {
        let data = cache.data::<usize>().ttl(Duration::ZERO);
        let data = data.stale_while_revalidate(LONG);
        let computer = computer.clone();
        async move {
            let data = data.lock(Locking::or_error().lease(LONG));
            let compute = async move || {
                let number = computer.count.fetch_add(1, Ordering::SeqCst) + 1;
                computer.gate.pass().await;
                Ok::<_, io::Error>(number)
            };
            data.get_or_compute(&key(), compute).await
        }
    };
    computer.gate.open(2);
    bounded(of(&a)).await.expect("a value");
    bounded(of(&b)).await.expect("a value");
    assert_eq!(computer.count(), 2);
    // The lock of the second computation may be on its way back still.
    bounded(async {
        while computer.count() < 3 {
            of(&a).await.expect("a stale value");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    // Now `a` computes anew, and has the lock.
    let before = exchanges(&redis);
    for _ in 0..HITS {
        bounded(of(&b)).await.expect("a stale value");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let asked = exchanges(&redis) - before;
    assert!((1..HITS / 3).contains(&asked), "{asked} questions");
    computer.gate.open(1);
    assert_eq!(computer.count(), 3);
}
