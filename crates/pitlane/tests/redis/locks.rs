//! Locks of several nodes, and of several processes, over one Redis.

mod processes;
mod trouble;
mod values;

use std::time::Duration;

use pitlane::{
    Cache, Caches, Key,
    lock::{Held, Lock, LockErrorKind},
};
use pitlane_testkit::{RedisReply, RedisServer};

use crate::nodes::{caches, until, until_joined};

/// Longer than a test takes: who gets a lock with such a lease before it is over did not wait for
/// the end of the lease.
const LONG: Duration = Duration::from_secs(600);
const DEADLINE: Duration = Duration::from_secs(20);

async fn registry(redis: &RedisServer) -> Caches {
    let caches = caches(redis).build().expect("a registry");
    until_joined(&caches).await;
    caches
}

/// Two nodes of one cache; the registries live as long as their caches do.
async fn pair(redis: &RedisServer) -> (Cache, Cache) {
    let cache = async || registry(redis).await.get("default").expect("the cache");
    (cache().await, cache().await)
}

fn import(cache: &Cache) -> Lock {
    cache.lock(&Key::new("import").child(7))
}

/// Fails instead of hanging.
#[track_caller]
fn bounded<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let at = std::panic::Location::caller();
    async move {
        let done = tokio::time::timeout(DEADLINE, work).await;
        done.unwrap_or_else(|_| panic!("hung at {at}"))
    }
}

async fn acquire(lock: &Lock) -> Held {
    bounded(lock.acquire()).await.expect("the lock")
}

async fn try_acquire(lock: &Lock) -> Option<Held> {
    bounded(lock.try_acquire()).await.expect("an answer")
}

/// The names of all there is of locks.
fn keys(redis: &RedisServer) -> Vec<String> {
    let RedisReply::Array(keys) = redis.run(&["KEYS", "pitlane:*+*"]) else {
        panic!("no list");
    };
    let mut keys: Vec<_> = keys.iter().map(|key| key.text().to_owned()).collect();
    keys.sort();
    keys
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_at_a_time_has_a_lock() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let held = acquire(&import(&a).lease(LONG)).await;
    assert!(try_acquire(&import(&b)).await.is_none());
    assert!(try_acquire(&import(&a)).await.is_none());
    let other = b.lock(&Key::new("import").child(8));
    assert!(try_acquire(&other).await.is_some());
    let first = held.fence();
    bounded(held.release()).await.expect("it was held");
    let held = try_acquire(&import(&b)).await.expect("it is free");
    assert!(held.fence() > first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_are_named_by_a_digest_and_end_by_themselves() {
    let redis = RedisServer::start();
    let (a, _) = pair(&redis).await;
    let secret = a.lock(&Key::new("user").child("ada@example.org"));
    let held = acquire(&secret.lease(LONG)).await;
    let names = keys(&redis);
    let [fence, lock] = &*names else {
        panic!("{names:?}");
    };
    assert_eq!(fence, "pitlane:default+fence");
    let digest = lock.strip_prefix("pitlane:default+lock:").expect(lock);
    assert!(digest.len() == 32 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let left = redis.run(&["PTTL", lock]).integer();
    assert!((1..=600_000).contains(&left), "{left}");
    // A clear is none of a lock's business.
    let caches = registry(&redis).await;
    let _ = caches.clear("default").await.expect("a clear");
    bounded(held.release()).await.expect("it was held");
    assert_eq!(keys(&redis), ["pitlane:default+fence"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_is_slower_than_its_lease_loses_it_and_frees_nobody_elses() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let slow = acquire(&import(&a).lease(Duration::from_millis(100))).await;
    let next = acquire(&import(&b).lease(LONG)).await;
    assert!(next.fence() > slow.fence());
    assert_eq!(slow.left(), Duration::ZERO);
    let late = bounded(slow.renew()).await.expect_err("it was lost");
    assert_eq!(late.kind(), LockErrorKind::Lost);
    let late = bounded(slow.release()).await.expect_err("it was lost");
    assert_eq!(late.kind(), LockErrorKind::Lost);
    assert!(try_acquire(&import(&a)).await.is_none());
    bounded(next.release()).await.expect("it was held still");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_holder_that_is_dropped_frees_nobody_elses_either() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let slow = acquire(&import(&a).lease(Duration::from_millis(100))).await;
    let next = acquire(&import(&b).lease(LONG)).await;
    let calls = exchanges(&redis);
    drop(slow);
    until("it was given back", || exchanges(&redis) > calls).await;
    assert!(try_acquire(&import(&a)).await.is_none());
    bounded(next.release()).await.expect("it was held still");
}

/// How many scripts Redis ran.
fn exchanges(redis: &RedisServer) -> i64 {
    let statistics = redis.run(&["INFO", "commandstats"]);
    let mut lines = statistics.text().lines().map(str::trim);
    let calls = lines.find_map(|line| line.strip_prefix("cmdstat_eval:calls="));
    let calls = calls.and_then(|rest| rest.split(',').next());
    calls.map_or(0, |calls| calls.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewing_begins_the_lease_anew() {
    let redis = RedisServer::start();
    let (a, _) = pair(&redis).await;
    let held = acquire(&import(&a).lease(LONG)).await;
    let [_, lock] = &*keys(&redis) else {
        panic!("no lock");
    };
    redis.run(&["PEXPIRE", lock, "60000"]);
    bounded(held.renew()).await.expect("it is held");
    let left = redis.run(&["PTTL", lock]).integer();
    assert!(left > 500_000, "{left}");
    assert!(held.left() > LONG - DEADLINE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_lock_outlives_its_lease_until_it_is_dropped() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let held = acquire(&import(&a).lease(Duration::from_secs(9)).renewed()).await;
    let [_, lock] = &*keys(&redis) else {
        panic!("no lock");
    };
    let shortened = async || {
        let left = redis.run(&["PTTL", lock]).integer();
        assert!(left > 0, "it was lost");
        left
    };
    // It grows only where somebody renews it.
    for _ in 0..2 {
        let before = shortened().await;
        let grown = async {
            let mut last = before;
            loop {
                let left = shortened().await;
                if left > last {
                    return;
                }
                last = left;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        bounded(grown).await;
    }
    drop(held);
    drop(acquire(&import(&b)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_go_on_above_the_last_when_redis_has_lost_its_data() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let mut last = acquire(&import(&a)).await.fence();
    for _ in 0..10 {
        let next = acquire(&import(&b)).await.fence();
        assert!(next > last, "{next} after {last}");
        last = next;
    }
    redis.run(&["FLUSHALL"]);
    let flushed = acquire(&import(&a)).await.fence();
    assert!(flushed > last, "{flushed} after {last}");
    redis.restart();
    let caches = registry(&redis).await;
    let cache = caches.get("default").expect("the cache");
    let restarted = acquire(&import(&cache)).await.fence();
    assert!(restarted > flushed, "{restarted} after {flushed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_go_on_above_the_last_when_the_servers_clock_goes_back() {
    let redis = RedisServer::start();
    let (a, _) = pair(&redis).await;
    // As if the clock had been an hour ahead.
    let first = acquire(&import(&a)).await.fence();
    let ahead = first.as_u64() + 3_600_000_000;
    redis.run(&["SET", "pitlane:default+fence", &ahead.to_string()]);
    let next = acquire(&import(&a)).await.fence();
    assert_eq!(next.as_u64(), ahead + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_asks_as_often_for_two_hundred_callers_as_for_one() {
    let redis = RedisServer::start();
    let (a, b) = pair(&redis).await;
    let held = acquire(&import(&a).lease(LONG)).await;
    let before = exchanges(&redis);
    let began = tokio::time::Instant::now();
    let waiting: Vec<_> = (0..200)
        .map(|_| {
            let lock = import(&b).wait(Duration::from_secs(1));
            tokio::spawn(async move { lock.acquire().await.expect_err("it is held").kind() })
        })
        .collect();
    for caller in waiting {
        assert_eq!(
            bounded(caller).await.expect("it ended"),
            LockErrorKind::TimedOut
        );
    }
    // A pause is at least half of the one before it made longer, and at most 250 ms: after the first ten,
    // at least 125 ms. 200 callers would ask 200 times at once.
    let most = 20 + i64::try_from(began.elapsed().as_millis() / 125).expect("a number");
    let asked = exchanges(&redis) - before;
    assert!(asked <= most, "{asked} times in {:?}", began.elapsed());
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_of_the_manual_may_lock() {
    let redis = RedisServer::builder()
        .config("user", crate::acl::rules())
        .start();
    let url = format!("redis://pitlane:PASSWORD@{}/2", redis.address());
    let caches = Caches::builder()
        .namespace("site")
        .redis(url)
        .redis_budget(Duration::from_secs(2))
        .build()
        .expect("a registry");
    until_joined(&caches).await;
    let cache = caches.get("default").expect("the cache");
    let held = acquire(&import(&cache)).await;
    bounded(held.renew()).await.expect("it is held");
    bounded(held.release()).await.expect("it is held");
    let (key, locking) = (Key::new("ranking"), pitlane::lock::Locking::or_error());
    let value = cache.with_lock(&key, locking, async || Ok::<_, std::io::Error>(7));
    assert_eq!(bounded(value).await.expect("a value"), 7);
    assert_eq!(redis.run(&["ACL", "LOG"]), RedisReply::Array(Vec::new()));
}
