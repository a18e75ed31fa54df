//! Locks that a process has to itself: there is no Redis here. Time stands still unless somebody
//! sleeps.

use std::{convert::Infallible, time::Duration};

use pitlane::{
    Cache, Caches, Claim, Freshness, Key,
    data::DataErrorKind,
    lock::{Held, Lock, LockErrorKind, Locking},
};
use tokio::time::{Instant, sleep};

const LEASE: Duration = Duration::from_secs(30);

fn cache() -> Cache {
    Caches::builder().build().unwrap().get("default").unwrap()
}

fn import(cache: &Cache) -> Lock {
    cache.lock(&Key::new("import").child(7))
}

async fn acquire(cache: &Cache) -> Held {
    import(cache).acquire().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_caller_at_a_time_has_a_lock() {
    let cache = cache();
    let held = acquire(&cache).await;
    assert!(import(&cache).try_acquire().await.unwrap().is_none());
    let other = cache.lock(&Key::new("import").child(8));
    assert!(other.try_acquire().await.unwrap().is_some());
    held.release().await.unwrap();
    assert!(import(&cache).try_acquire().await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn locks_of_one_name_in_two_caches_are_two() {
    let caches = Caches::builder().cache("a").cache("b").build().unwrap();
    let held = acquire(&caches.get("a").unwrap()).await;
    let other = acquire(&caches.get("b").unwrap()).await;
    drop((held, other));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_guard_frees_the_lock_at_once_and_who_waits_gets_it() {
    let cache = cache();
    let held = acquire(&cache).await;
    let waiting = import(&cache);
    let waiting = tokio::spawn(async move { waiting.acquire().await });
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    drop(held);
    let next = waiting.await.unwrap().unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(next.left(), LEASE);
}

#[tokio::test(start_paused = true)]
async fn a_lease_ends_and_the_one_who_was_late_is_told() {
    let cache = cache();
    let slow = acquire(&cache).await;
    let began = Instant::now();
    let next = acquire(&cache).await;
    assert_eq!(began.elapsed(), LEASE);
    assert!(next.fence() > slow.fence());
    assert_eq!(slow.left(), Duration::ZERO);
    assert_eq!(slow.renew().await.unwrap_err().kind(), LockErrorKind::Lost);
    assert_eq!(
        slow.release().await.unwrap_err().kind(),
        LockErrorKind::Lost
    );
    assert!(import(&cache).try_acquire().await.unwrap().is_none());
    next.release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_is_forgotten_ends_with_its_lease() {
    let cache = cache();
    std::mem::forget(acquire(&cache).await);
    let began = Instant::now();
    drop(acquire(&cache).await);
    assert_eq!(began.elapsed(), LEASE);
}

#[tokio::test(start_paused = true)]
async fn who_waits_longer_than_it_would_gets_an_error() {
    let cache = cache();
    let held = acquire(&cache).await;
    let began = Instant::now();
    let wait = Duration::from_secs(2);
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let lock = import(&cache).wait(wait);
            tokio::spawn(async move { lock.acquire().await.unwrap_err().kind() })
        })
        .collect();
    for caller in waiting {
        assert_eq!(caller.await.unwrap(), LockErrorKind::TimedOut);
    }
    assert_eq!(began.elapsed(), wait);
    // Without any wait the first question is asked all the same.
    drop(held);
    let lock = import(&cache).wait(Duration::ZERO);
    drop(lock.acquire().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_renewed_lock_is_had_for_as_long_as_its_guard_lives() {
    let cache = cache();
    let held = import(&cache).renewed().acquire().await.unwrap();
    for _ in 0..20 {
        sleep(LEASE / 2).await;
        assert!(held.left() >= LEASE / 2);
        assert!(import(&cache).try_acquire().await.unwrap().is_none());
    }
    drop(held);
    drop(import(&cache).try_acquire().await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn work_that_runs_under_a_lock_is_told_its_number_and_a_panic_frees_the_lock() {
    let cache = cache();
    let first = acquire(&cache).await.fence();
    let fence = import(&cache).run(async |fence| fence).await.unwrap();
    assert!(fence > first);
    let lock = import(&cache);
    let panics = tokio::spawn(async move {
        lock.run(async |_| panic!("as it happens")).await.unwrap();
    });
    assert!(panics.await.unwrap_err().is_panic());
    drop(import(&cache).try_acquire().await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn absurd_times_are_bounded() {
    let cache = cache();
    let lock = import(&cache).lease(Duration::MAX).wait(Duration::MAX);
    let held = lock.acquire().await.unwrap();
    assert_eq!(held.left(), Duration::from_secs(24 * 3600));
    drop(held);
    let held = import(&cache).lease(Duration::ZERO).acquire().await;
    assert_eq!(held.unwrap().left(), Duration::from_millis(1));
}

#[tokio::test(start_paused = true)]
async fn callers_of_a_locked_value_do_as_they_chose_when_it_is_slow() {
    let cache = cache();
    let key = Key::new("standings");
    let slow = cache.clone();
    let slow_key = key.clone();
    let slow = tokio::spawn(async move {
        let compute = async || {
            sleep(Duration::from_secs(25)).await;
            Ok::<_, Infallible>(1)
        };
        let locking = Locking::or_error();
        slow.with_lock(&slow_key, locking, compute).await
    });
    sleep(Duration::from_secs(1)).await;
    let wait = Duration::from_secs(15);
    let began = Instant::now();
    let two = async || Ok::<_, Infallible>(2);
    let error = cache.with_lock(&key, Locking::or_error().wait(wait), two);
    let error = error.await.unwrap_err();
    assert_eq!(
        (error.kind(), began.elapsed()),
        (DataErrorKind::Locked, wait)
    );
    // A caller that waits longer gets the one value: patience without a lock would end after 10 s.
    let patient = cache.with_lock(&key, Locking::or_error(), two);
    assert_eq!(patient.await.unwrap(), 1);
    assert_eq!(slow.await.unwrap().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_chose_to_compute_does_so_beside_the_slow_one() {
    let cache = cache();
    let key = Key::new("standings");
    let (slow, slow_key) = (cache.clone(), key.clone());
    let slow = tokio::spawn(async move {
        let compute = async || {
            sleep(Duration::from_secs(25)).await;
            Ok::<_, Infallible>(1)
        };
        slow.with_lock(&slow_key, Locking::or_compute(), compute)
            .await
    });
    sleep(Duration::from_secs(1)).await;
    let wait = Duration::from_secs(5);
    let began = Instant::now();
    let two = async || Ok::<_, Infallible>(2);
    let value = cache.with_lock(&key, Locking::or_compute().wait(wait), two);
    assert_eq!((value.await.unwrap(), began.elapsed()), (2, wait));
    assert_eq!(slow.await.unwrap().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn something_stale_is_handed_out_while_one_computes_under_the_lock() {
    let clock = pitlane::Clock::manual(pitlane::Timestamp::from_millis(1_700_000_000_000));
    let caches = Caches::builder().clock(clock.clone()).build().unwrap();
    let cache = caches.get("default").unwrap();
    let minute = Duration::from_secs(60);
    let data = cache.data().ttl(minute).stale_while_revalidate(minute);
    let locked = data.lock(Locking::or_error());
    let key = Key::new("standings");
    let value = |number: u32| async move || Ok::<_, Infallible>(number);
    assert_eq!(locked.get_or_compute(&key, value(1)).await.unwrap(), 1);
    clock.advance(minute + minute / 2);
    assert_eq!(locked.get_or_compute(&key, value(2)).await.unwrap(), 1);
    let renewed = async {
        while locked.get_or_compute(&key, value(3)).await.unwrap() == 1 {
            tokio::task::yield_now().await;
        }
    };
    renewed.await;
    assert_eq!(locked.get_or_compute(&key, value(4)).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn values_that_nobody_can_share_are_not_computed_one_after_the_other() {
    const LONG: Duration = Duration::from_secs(1);
    let cache = cache();
    let part = Key::new("part");
    let Claim::Fill(fill) = cache.claim(&part).await else {
        panic!("there already");
    };
    let stale = Freshness::new(Duration::ZERO).with_stale_while_revalidate(60 * LEASE);
    fill.store_with("part", stale, [""; 0]);
    let began = Instant::now();
    let calls = (0..20).map(|_| {
        let (cache, part) = (cache.clone(), part.clone());
        tokio::spawn(async move {
            let inner = cache.clone();
            let compute = async move || {
                assert!(inner.get(&part).is_some_and(|part| part.is_stale()));
                sleep(LONG).await;
                Ok::<_, Infallible>(7)
            };
            let locking = Locking::or_error();
            cache.with_lock(&Key::new("whole"), locking, compute).await
        })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().unwrap(), 7);
    }
    // The first one, and then all the others together.
    assert_eq!(began.elapsed(), 2 * LONG);
}
