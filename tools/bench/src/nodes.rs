//! Caches over a redis-server, ready to be measured.

use std::future::Future;
use std::time::{Duration, Instant};

use pitlane::{Cache, Caches, CachesBuilder, Claim, Key};
use pitlane_testkit::RedisServer;
use tokio::task::JoinSet;

/// Longer than anything here takes.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
const PATIENCE: Duration = Duration::from_secs(60);

/// How many values, and bytes, are stored at once: fewer than the caches write in the background
/// at a time, so that none is left out.
const AT_ONCE: usize = 64;
const AT_ONCE_BYTES: usize = 1 << 20;

/// Caches that have no memory: every hit comes from Redis.
pub(crate) fn without_memory(redis_url: &str) -> CachesBuilder {
    caches(redis_url)
        .config("[caches.api]\nmemory = \"0B\"", "the benchmark")
        .expect("a configuration")
}

pub(crate) fn caches(redis_url: &str) -> CachesBuilder {
    Caches::builder()
        .namespace("bench")
        .redis(redis_url)
        // A machine that is busy elsewhere must not turn hits into misses.
        .redis_budget(Duration::from_secs(5))
        .cache("api")
}

/// Waits until the node follows the log and Redis answers.
pub(crate) async fn join(caches: &Caches) -> Cache {
    caches.redis().expect("a client").when_closed().await;
    let joined = || {
        let status = caches.log_status();
        async move { status.is_some_and(|log| log.position.is_some()) }
    };
    until("the node has joined the log", joined).await;
    caches.get("api").expect("the cache")
}

/// Stores `body` under each key and returns when all of them are in Redis.
pub(crate) async fn store(
    caches: &Caches,
    redis: &RedisServer,
    keys: &[Key],
    body: &[u8],
    tag: &'static str,
) {
    let cache = caches.get("api").expect("the cache");
    let client = caches.redis().expect("a client");
    let before = keys_in(redis);
    let at_once = (AT_ONCE_BYTES / body.len().max(1)).clamp(1, AT_ONCE);
    for some in keys.chunks(at_once) {
        let mut storing = JoinSet::new();
        for key in some {
            let (cache, key, body) = (cache.clone(), key.clone(), body.to_vec());
            storing.spawn(async move {
                match cache.claim(&key).await {
                    Claim::Fill(fill) => {
                        fill.store_with(body, pitlane::Freshness::new(HOUR), [tag]);
                    }
                    Claim::Hit(_) => panic!("{key:?} was stored before"),
                }
            });
        }
        while let Some(stored) = storing.join_next().await {
            stored.expect("a value that is stored");
        }
        // What is written in the background is on its way as soon as its task ran once.
        tokio::task::yield_now().await;
        while client.write_bytes() > 0 {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    }
    // A probe key that was there before may have expired.
    let wanted = before + i64::try_from(keys.len()).unwrap_or(i64::MAX) - 1;
    until("everything is in Redis", || async {
        keys_in(redis) >= wanted
    })
    .await;
}

pub(crate) fn keys_in(redis: &RedisServer) -> i64 {
    redis.run(&["DBSIZE"]).integer()
}

/// A body that no compressor makes smaller: what is stored is as long as what is served.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()[7]
    };
    (0..length).map(|_| next()).collect()
}

/// The number behind `name:` in what INFO says of memory.
pub(crate) fn used_memory(redis: &RedisServer) -> i64 {
    let info = redis.run(&["INFO", "memory"]);
    let mut lines = info.text().lines();
    let line = lines.find_map(|line| line.strip_prefix("used_memory:"));
    line.and_then(|number| number.trim().parse().ok())
        .expect("a number")
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is about time")]
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, met: impl Fn() -> F) {
    let began = Instant::now();
    while !met().await {
        assert!(began.elapsed() < PATIENCE, "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
