//! What one invalidation costs, however many entries it ends, and what Redis holds for it.

use std::time::{Duration, Instant};

use pitlane::{Cache, Caches, Invalidated, Key};
use pitlane_testkit::RedisServer;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::measure::{median, processor_seconds};
use crate::nodes;

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const ROUNDS: usize = 31;
const CALLS: usize = 200;
const TAGS: usize = 100_000;
const BODIES: [usize; 4] = [0, 1 << 10, 4 << 10, 64 << 10];

pub(crate) fn run() {
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        flat().await;
        entries().await;
        tags().await;
        clear().await;
    });
}

/// A node with so many entries under one tag, in memory and in Redis.
struct Node {
    redis: RedisServer,
    caches: Caches,
    cache: Cache,
    keys: Vec<Key>,
}

impl Node {
    async fn with(entries: usize) -> Self {
        let redis = RedisServer::start();
        let caches = nodes::caches(&redis.url()).memory(2 << 30);
        let caches = caches.build().expect("caches");
        let cache = nodes::join(&caches).await;
        let keys: Vec<Key> = (0..entries)
            .map(|n| Key::new(format!("page:{n}")))
            .collect();
        nodes::store(&caches, &redis, &keys, &[b'x'; 64], "clubs").await;
        let held = cache.memory().entries;
        assert!(held >= entries, "memory holds {held} of {entries}");
        Self {
            redis,
            caches,
            cache,
            keys,
        }
    }

    async fn invalidate(&self) {
        let done = self.caches.invalidate(["clubs"]).await.expect("an outcome");
        assert!(matches!(done, Invalidated::Applied { .. }), "{done:?}");
    }

    /// Microseconds an invalidation: of time, and of processor time here and in Redis.
    #[expect(clippy::disallowed_methods, reason = "a benchmark is about time")]
    async fn round(&self) -> (f64, f64) {
        let processors =
            || processor_seconds(std::process::id()) + processor_seconds(self.redis.pid());
        let (began, before) = (Instant::now(), processors());
        for _ in 0..CALLS {
            self.invalidate().await;
        }
        let each = |seconds: f64| seconds * 1e6 / CALLS as f64;
        (
            each(began.elapsed().as_secs_f64()),
            each(processors() - before),
        )
    }

    /// Entries that can still be had, of a sample, in memory or in Redis.
    async fn usable(&self) -> usize {
        let mut usable = 0;
        for key in self.keys.iter().step_by(self.keys.len() / 500) {
            usable += usize::from(self.cache.get(key).is_some());
            usable += usize::from(self.cache.read(key).await.is_some());
        }
        usable
    }
}

async fn flat() {
    let mut all = Vec::new();
    for size in SIZES {
        all.push(Node::with(size).await);
    }
    for node in &all {
        assert!(node.usable().await >= 1000, "the entries are there");
        node.invalidate().await;
        assert_eq!(node.usable().await, 0, "none is usable after it");
    }
    let mut rounds = vec![Vec::new(); all.len()];
    for _ in 0..ROUNDS {
        for (node, rounds) in all.iter().zip(&mut rounds) {
            rounds.push(node.round().await);
        }
    }
    println!(
        "{:<34} {:>12} {:>10} {:>8} {:>10} {:>8}",
        "one invalidation of one tag", "keys in Redis", "us", "ratio", "CPU, us", "ratio"
    );
    let costs = rounds.iter().map(|rounds| {
        let time = median(rounds.iter().map(|round| round.0).collect());
        let processor = rounds.iter().map(|round| round.1).sum::<f64>() / ROUNDS as f64;
        (time, processor)
    });
    let costs: Vec<(f64, f64)> = costs.collect();
    for ((size, node), (time, processor)) in SIZES.iter().zip(&all).zip(&costs) {
        let keys = nodes::keys_in(&node.redis);
        let (ratio, of_processor) = (time / costs[0].0, processor / costs[0].1);
        let name = format!("{size} entries under the tag");
        println!(
            "{name:<34} {keys:>12} {time:>10.1} {ratio:>8.3} {processor:>10.1} {of_processor:>8.3}"
        );
    }
    println!("bar: flat within 10 %");
}

/// What an entry takes in Redis over its body.
async fn entries() {
    const ENTRIES: usize = 10_000;
    println!(
        "\n{:<34} {:>12} {:>14} {:>14}",
        "an entry in Redis", "value, bytes", "MEMORY USAGE", "used_memory"
    );
    for body in BODIES {
        let count = if body > 1 << 13 {
            ENTRIES / 10
        } else {
            ENTRIES
        };
        let redis = RedisServer::start();
        let caches = nodes::without_memory(&redis.url()).build().expect("caches");
        nodes::join(&caches).await;
        let before = nodes::used_memory(&redis);
        let keys: Vec<Key> = (0..count).map(|n| Key::new(format!("page:{n}"))).collect();
        nodes::store(&caches, &redis, &keys, &nodes::noise(body), "clubs").await;
        let used = (nodes::used_memory(&redis) - before) as f64 / count as f64;
        let name = redis.run(&["EVAL", "return redis.call('KEYS', 'bench:api:*')[1]", "0"]);
        let length = redis.run(&["STRLEN", name.text()]).integer();
        let usage = redis.run(&["MEMORY", "USAGE", name.text()]).integer();
        println!(
            "{:<34} {length:>12} {usage:>14} {used:>14.0}",
            format!("a value of {body} bytes, one tag"),
        );
    }
}

/// What the log takes in Redis when many tags were invalidated.
async fn tags() {
    let redis = RedisServer::start();
    let caches = nodes::caches(&redis.url()).build().expect("caches");
    nodes::join(&caches).await;
    let before = nodes::used_memory(&redis);
    let mut working = JoinSet::new();
    for worker in 0..64 {
        let caches = caches.clone();
        working.spawn(async move {
            for tag in (worker..TAGS).step_by(64) {
                let done = caches.invalidate([format!("club:{tag}")]).await;
                let done = done.expect("an outcome");
                assert!(matches!(done, Invalidated::Applied { .. }), "{done:?}");
            }
        });
    }
    while let Some(done) = working.join_next().await {
        done.expect("a worker that invalidates");
    }
    let used = nodes::used_memory(&redis) - before;
    println!(
        "\n{:<34} {:>12} {:>14}",
        format!("{TAGS} tags invalidated"),
        "bytes",
        "a tag or record"
    );
    let usage = |key: &str| {
        redis
            .run(&["MEMORY", "USAGE", key, "SAMPLES", "0"])
            .integer()
    };
    let (hash, stream) = (usage("{bench}:last"), usage("{bench}:log"));
    let fields = redis.run(&["HLEN", "{bench}:last"]).integer();
    let records = redis.run(&["XLEN", "{bench}:log"]).integer();
    let row = |name: String, bytes: i64, of: i64| {
        println!("{name:<34} {bytes:>12} {:>14.0}", bytes as f64 / of as f64);
    };
    row(format!("the hash, {fields} fields"), hash, fields);
    row(format!("the stream, {records} records"), stream, records);
    row(String::from("the tail"), usage("{bench}:tail"), 1);
    row(String::from("in all (used_memory)"), used, TAGS as i64);
}

/// What a clear asks of Redis while it gives the memory back.
#[expect(clippy::disallowed_methods, reason = "a benchmark is about time")]
async fn clear() {
    const ENTRIES: usize = 50_000;
    let redis = RedisServer::start();
    let caches = nodes::without_memory(&redis.url()).build().expect("caches");
    nodes::join(&caches).await;
    let own = nodes::keys_in(&redis);
    let keys: Vec<Key> = (0..ENTRIES)
        .map(|n| Key::new(format!("page:{n}")))
        .collect();
    nodes::store(&caches, &redis, &keys, &[b'x'; 64], "clubs").await;
    let (began, before) = (Instant::now(), commands(&redis));
    let cleared = caches.clear("api").await.expect("an outcome");
    let answered = began.elapsed();
    assert!(
        matches!(cleared, Invalidated::Applied { .. }),
        "{cleared:?}"
    );
    // The probe key may have come or gone meanwhile. Looking is a command too, so not often.
    while nodes::keys_in(&redis) > own + 1 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "\nclear of {ENTRIES} entries: answered after {:.1} ms; given back in {seconds:.1} s with \
         {:.0} commands a second",
        answered.as_secs_f64() * 1e3,
        (commands(&redis) - before) / seconds
    );
}

/// All commands that were sent to a server; each of a pipeline counts.
fn commands(redis: &RedisServer) -> f64 {
    let info = redis.run(&["INFO", "stats"]);
    let mut lines = info.text().lines();
    let line = lines.find_map(|line| line.strip_prefix("total_commands_processed:"));
    line.and_then(|number| number.trim().parse().ok())
        .expect("a number")
}
