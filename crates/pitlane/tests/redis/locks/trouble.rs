//! What trouble with Redis, and callers that leave, do to locks.

use std::time::Duration;

use pitlane::lock::{LockErrorKind, Locking};
use pitlane_testkit::RedisServer;

use super::{LONG, acquire, bounded, import, pair, registry, try_acquire, values::Computer};

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Killed,
    Frozen,
}

impl Trouble {
    fn befall(self, redis: &RedisServer) {
        match self {
            Self::Killed => redis.kill(),
            Self::Frozen => redis.freeze(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_lock_when_redis_goes_away_is_told_at_once() {
    for trouble in [Trouble::Killed, Trouble::Frozen] {
        let redis = RedisServer::start();
        let (a, b) = pair(&redis).await;
        let held = acquire(&import(&a).lease(LONG)).await;
        let waiting: Vec<_> = (0..20)
            .map(|_| {
                let lock = import(&b).wait(LONG);
                tokio::spawn(async move { lock.acquire().await.expect_err("no lock").kind() })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        trouble.befall(&redis);
        for caller in waiting {
            let kind = bounded(caller).await.expect("it ended");
            assert_eq!(kind, LockErrorKind::Unavailable, "{trouble:?}");
        }
        let error = bounded(held.release()).await.expect_err("nobody answers");
        assert_eq!(error.kind(), LockErrorKind::Unavailable, "{trouble:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_value_when_redis_goes_away_does_at_once_what_was_chosen() {
    for trouble in [Trouble::Killed, Trouble::Frozen] {
        let redis = RedisServer::start();
        let (a, b) = pair(&redis).await;
        let computer = Computer::default();
        let slow = Locking::or_error().lease(LONG);
        let slow = tokio::spawn(computer.clone().of(a, slow));
        bounded(computer.gate.arrival()).await;
        let other = Computer::default();
        other.gate.open(2);
        let locking = Locking::or_compute().lease(LONG).wait(LONG);
        let waits = tokio::spawn(other.clone().of(b.clone(), locking.clone()));
        tokio::time::sleep(Duration::from_millis(50)).await;
        trouble.befall(&redis);
        let value = bounded(waits).await.expect("it ended").expect("a value");
        assert_eq!((value, other.count()), (1, 1), "{trouble:?}");
        computer.gate.open(1);
        let value = bounded(slow).await.expect("it ended").expect("a value");
        assert_eq!(value, 1, "{trouble:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_a_lock_is_an_error_and_a_value_is_computed_once_a_node() {
    let redis = RedisServer::start();
    let (a, _) = pair(&redis).await;
    redis.kill();
    let gone = async {
        loop {
            if let Err(error) = import(&a).acquire().await {
                return error;
            }
        }
    };
    let error = bounded(gone).await;
    assert_eq!(error.kind(), LockErrorKind::Unavailable);
    assert!(std::error::Error::source(&error).is_some());
    let computer = Computer::default();
    computer.gate.open(1);
    for _ in 0..3 {
        let locking = Locking::or_compute().wait(LONG);
        let value = bounded(computer.clone().of(a.clone(), locking)).await;
        assert_eq!(value.expect("a value"), 1);
    }
    assert_eq!(computer.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_could_not_be_given_back_is_when_redis_is_there_again() {
    let redis = RedisServer::start();
    let (nodes, (_, b)) = (registry(&redis).await, pair(&redis).await);
    let a = nodes.get("default").expect("the cache");
    let held = acquire(&import(&a).lease(LONG)).await;
    redis.freeze();
    let circuit = nodes.redis().expect("a Redis").events();
    let opens = async {
        while circuit.borrow().is_closed() {
            drop(import(&a).try_acquire().await);
        }
    };
    bounded(opens).await;
    drop(held);
    // Nothing is sent now, and the first one who tries to give it back finds that out.
    tokio::time::sleep(Duration::from_millis(50)).await;
    redis.thaw();
    let free = async {
        loop {
            match import(&b).try_acquire().await {
                Ok(Some(held)) => return held,
                Ok(None) | Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    drop(bounded(free).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_leaves_while_it_asks_keeps_no_lock() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    for round in 0..100 {
        let lock = import(&a).lease(LONG);
        let asks = tokio::spawn(async move { lock.acquire().await });
        // From before the question is sent to after the answer came.
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        if round % 4 == 0 {
            tokio::time::sleep(Duration::from_micros(10 * round)).await;
        }
        asks.abort();
        drop(asks.await);
        drop(acquire(&import(&b).lease(LONG)).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_aborted_while_it_holds_gives_back_and_one_that_waits_leaves_the_line() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let lock = import(&a).lease(LONG);
    let (told, had) = tokio::sync::oneshot::channel();
    let holder = tokio::spawn(async move {
        let _held = acquire(&lock).await;
        told.send(()).expect("somebody listens");
        std::future::pending::<()>().await;
    });
    bounded(had).await.expect("it has it");
    let waiting = import(&b).wait(LONG);
    let waiting = tokio::spawn(async move { waiting.acquire().await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(try_acquire(&import(&b)).await.is_none());
    waiting.abort();
    holder.abort();
    drop(acquire(&import(&b)).await);
}

#[tokio::test]
async fn a_guard_that_outlives_its_runtime_neither_waits_nor_panics() {
    let redis = RedisServer::start();
    let url = redis.url();
    let held = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let caches = pitlane::Caches::builder().redis(url);
            let caches = caches.build().expect("a registry");
            crate::nodes::until_joined(&caches).await;
            let lock = import(&caches.get("default").expect("the cache"));
            acquire(&lock.lease(Duration::from_millis(200)).renewed()).await
        })
    });
    let held = held.join().expect("no panic");
    std::thread::spawn(move || drop(held))
        .join()
        .expect("no panic");
    let caches = registry(&redis).await;
    drop(acquire(&import(&caches.get("default").expect("the cache"))).await);
}
