//! A coherent hit from Redis in process, beside a bare GET of the same bytes.
//!
//! Both go over one pipelined connection of the same client library to the same redis-server.
//! What the cache adds: the tail of the log is read from the primary and compared, the frame is
//! checked and taken apart, the entry is judged, and all of it happens behind the circuit and
//! within a budget.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use pitlane::{Cache, Key, Tier};
use pitlane_core::RemoteStore;
use pitlane_redis::fred::clients::Client;
use pitlane_redis::fred::interfaces::{ClientLike, KeysInterface, LuaInterface};
use pitlane_redis::fred::prelude::{Builder, Config};
use pitlane_redis::{CircuitBrokenRedis, Database};
use pitlane_testkit::RedisServer;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::measure::{median, processor_seconds};
use crate::nodes;

const KEYS: usize = 512;
const ROUNDS: usize = 15;
/// How many readings a round has at that many tasks, and the bar.
const LOADS: [(usize, usize, f64); 3] = [(1, 1_000, 0.85), (64, 25_600, 0.75), (512, 51_200, 0.75)];

pub(crate) fn run() {
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        for size in [1 << 10, 64 << 10] {
            table(size).await;
        }
    });
}

async fn table(size: usize) {
    let redis = RedisServer::start();
    let caches = nodes::without_memory(&redis.url()).build().expect("caches");
    let cache = nodes::join(&caches).await;
    let keys: Vec<Key> = (0..KEYS).map(|n| Key::new(format!("club:{n}"))).collect();
    nodes::store(&caches, &redis, &keys, &nodes::noise(size), "clubs").await;
    let subject = Arc::new(Subject::connect(&redis, cache, keys).await);
    println!(
        "{:<22} {:>10} {:>7} {:>12} {:>7} {:>12} {:>7}",
        format!("remote get, {} KiB", size >> 10),
        "calls/s",
        "ratio",
        "own CPU, us",
        "ratio",
        "Redis's, us",
        "in all",
    );
    for (tasks, calls, bar) in LOADS {
        // A round of large values moves as many bytes as it can in the same time.
        let calls = if size > 1 << 12 { calls / 8 } else { calls };
        let all = subject.measure(tasks, calls.max(tasks)).await;
        let floor = all[0];
        println!("{tasks:>5} tasks");
        for (way, cost) in Way::ALL.into_iter().zip(all) {
            let verdict = match way {
                Way::Hit if size > 1 << 10 => String::new(),
                Way::Hit if cost.rate / floor.rate >= bar => format!("  bar {bar}: met"),
                Way::Hit => format!("  bar {bar}: missed"),
                _ => String::new(),
            };
            println!(
                "  {:<20} {:>10.0} {:>7.2} {:>12.2} {:>7.2} {:>12.2} {:>7.2}{verdict}",
                way.name(),
                cost.rate,
                cost.rate / floor.rate,
                cost.own,
                floor.own / cost.own,
                cost.servers,
                (floor.own + floor.servers) / (cost.own + cost.servers),
            );
        }
    }
    subject.check();
}

/// How a value is read.
#[derive(Clone, Copy)]
enum Way {
    /// By the client library alone: the floor.
    Bare,
    /// Through the cache.
    Hit,
    /// Through the circuit, without the log.
    Circuit,
    /// By the client library, with a reading of the tail along with each: what a coherent hit
    /// would ask of Redis at least if nobody shared one.
    BareAndTail,
}

impl Way {
    const ALL: [Self; 4] = [Self::Bare, Self::Hit, Self::Circuit, Self::BareAndTail];

    const fn name(self) -> &'static str {
        match self {
            Self::Bare => "GET",
            Self::Hit => "cache, coherent",
            Self::Circuit => "GET in the circuit",
            Self::BareAndTail => "GET and a tail each",
        }
    }
}

/// What a reading cost.
#[derive(Clone, Copy)]
struct Cost {
    /// Readings a second: the median of the rounds.
    rate: f64,
    /// Microseconds of processor time a reading, in this process and in the server's.
    own: f64,
    servers: f64,
}

/// The same values, reached in several ways.
struct Subject {
    bare: Client,
    names: Vec<String>,
    cache: Cache,
    keys: Vec<Key>,
    circuit: Database,
    digest: String,
    server: u32,
}

impl Subject {
    async fn connect(redis: &RedisServer, cache: Cache, keys: Vec<Key>) -> Self {
        let config = Config::from_url(&redis.url()).expect("a URL");
        let bare = Builder::from_config(config).build().expect("a client");
        bare.init().await.expect("a connection");
        let client = CircuitBrokenRedis::builder(&redis.url()).expect("a URL");
        let client = client
            .budget(std::time::Duration::from_secs(5))
            .build()
            .expect("a client");
        client.when_closed().await;
        // What the script of the log does for a tail.
        let script = "if ARGV[1] == 't' then return redis.call('GET', KEYS[3]) end";
        let digest: String = bare.script_load(script).await.expect("a script");
        Self {
            names: names(redis),
            server: redis.pid(),
            bare,
            cache,
            keys,
            circuit: client.database(0).expect("the database"),
            digest,
        }
    }

    /// Rounds in turns.
    async fn measure(self: &Arc<Self>, tasks: usize, calls: usize) -> [Cost; 4] {
        let mut rates = [const { Vec::new() }; 4];
        let mut used = [(0.0, 0.0); 4];
        for round in 0..=ROUNDS {
            for (number, way) in Way::ALL.into_iter().enumerate() {
                let before = self.processors();
                let rate = self.round(way, tasks, calls).await;
                let after = self.processors();
                // The first round warms up.
                if round > 0 {
                    rates[number].push(rate);
                    used[number].0 += after.0 - before.0;
                    used[number].1 += after.1 - before.1;
                }
            }
        }
        let made = (ROUNDS * calls) as f64;
        let mut costs = rates
            .into_iter()
            .zip(used)
            .map(|(rates, (own, servers))| Cost {
                rate: median(rates),
                own: own * 1e6 / made,
                servers: servers * 1e6 / made,
            });
        std::array::from_fn(|_| costs.next().expect("one for each way"))
    }

    /// Processor time used so far: by this process, and by the server.
    fn processors(&self) -> (f64, f64) {
        (
            processor_seconds(std::process::id()),
            processor_seconds(self.server),
        )
    }

    /// Readings a second.
    #[expect(clippy::disallowed_methods, reason = "a benchmark is about time")]
    async fn round(self: &Arc<Self>, way: Way, tasks: usize, calls: usize) -> f64 {
        let calls = calls / tasks;
        let began = Instant::now();
        let mut workers = JoinSet::new();
        for task in 0..tasks {
            let subject = Arc::clone(self);
            workers.spawn(async move {
                for call in 0..calls {
                    subject.get(way, (task * 7 + call) % KEYS).await;
                }
            });
        }
        while let Some(done) = workers.join_next().await {
            done.expect("a worker that reads");
        }
        (calls * tasks) as f64 / began.elapsed().as_secs_f64()
    }

    async fn get(&self, way: Way, index: usize) {
        let name = self.names[index].as_str();
        match way {
            Way::Bare => {
                let found: Option<Bytes> = self.bare.get(name).await.expect("an answer");
                assert!(found.is_some());
            }
            Way::Hit => {
                let found = self.cache.read(&self.keys[index]).await.expect("a hit");
                assert_eq!(found.tier(), Some(Tier::Remote));
            }
            Way::Circuit => {
                let found = self.circuit.get(name).await.expect("an answer");
                assert!(found.is_some());
            }
            Way::BareAndTail => {
                let get = self.bare.get::<Option<Bytes>, _>(name);
                let keys = vec!["{bench}:log", "{bench}:last", "{bench}:tail"];
                let digest = self.digest.as_str();
                let tail = self
                    .bare
                    .evalsha::<Option<Bytes>, _, _, _>(digest, keys, vec!["t"]);
                let (found, tail) = tokio::join!(get, tail);
                assert!(found.expect("an answer").is_some() && tail.expect("a tail").is_some());
            }
        }
    }

    /// Every reading was a hit: a miss would have panicked, and a hit from memory too.
    fn check(&self) {
        let lookups = self.cache.remote_lookups();
        let failed = lookups.iter().filter(|(lookup, _)| {
            matches!(
                lookup,
                pitlane::RemoteLookup::Failed | pitlane::RemoteLookup::Skipped
            )
        });
        assert_eq!(
            failed.map(|(_, count)| count).sum::<u64>(),
            0,
            "{lookups:?}"
        );
    }
}

/// The names of the entries in Redis.
fn names(redis: &RedisServer) -> Vec<String> {
    let reply = redis.run(&["KEYS", "bench:api:*"]);
    let pitlane_testkit::RedisReply::Array(names) = reply else {
        panic!("no list of keys");
    };
    assert_eq!(names.len(), KEYS);
    names.iter().map(|name| name.text().to_owned()).collect()
}
