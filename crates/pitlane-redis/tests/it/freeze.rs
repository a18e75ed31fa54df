//! A server that stands still, with many callers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use pitlane_core::{BreakerState, Condition, RemoteStore, StoreErrorKind};
use pitlane_redis::{CircuitBrokenRedis, Database, Side};
use pitlane_testkit::RedisServer;
use tokio::time::{Instant, sleep};

use crate::support::{MINUTE, patient, soon_closed};

const WORKERS: usize = 64;
const FREEZE: Duration = Duration::from_secs(3);

#[derive(Default)]
struct Counts {
    calls: AtomicUsize,
    answered: AtomicUsize,
    timed_out: AtomicUsize,
    /// Though the circuit was not closed when they began.
    timed_out_open: AtomicUsize,
    longest_micros: AtomicUsize,
    is_over: AtomicBool,
}

async fn work(redis: CircuitBrokenRedis, database: Database, counts: Arc<Counts>) {
    while !counts.is_over.load(Ordering::Relaxed) {
        let was_open = redis.state(Side::Read) != BreakerState::Closed;
        let begin = Instant::now();
        let result = database.get("key").await;
        let took = usize::try_from(begin.elapsed().as_micros()).unwrap();
        counts.longest_micros.fetch_max(took, Ordering::Relaxed);
        counts.calls.fetch_add(1, Ordering::Relaxed);
        match result {
            Ok(answer) => {
                assert_eq!(answer.unwrap(), "value");
                counts.answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                if error.kind() == StoreErrorKind::TimedOut {
                    counts.timed_out.fetch_add(1, Ordering::Relaxed);
                    let late = usize::from(was_open);
                    counts.timed_out_open.fetch_add(late, Ordering::Relaxed);
                }
                sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freeze_costs_each_caller_one_budget_at_most() {
    let server = RedisServer::start();
    server.run(&["SET", "key", "value"]);
    let redis = CircuitBrokenRedis::builder(&server.url())
        .unwrap()
        .build()
        .unwrap();
    soon_closed(&redis).await;
    let counts = Arc::new(Counts::default());
    let worker = |_| {
        let database = redis.database(0).unwrap();
        tokio::spawn(work(redis.clone(), database, Arc::clone(&counts)))
    };
    let workers: Vec<_> = (0..WORKERS).map(worker).collect();
    patient(async || counts.answered.load(Ordering::Relaxed) > 1_000).await;
    soon_closed(&redis).await;

    // A machine under load may have been late by a budget before; only the freeze is counted.
    counts.timed_out.store(0, Ordering::Relaxed);
    counts.longest_micros.store(0, Ordering::Relaxed);
    let (calls, resident) = (counts.calls.load(Ordering::Relaxed), resident_kib());
    server.freeze();
    patient(async || redis.state(Side::Read) != BreakerState::Closed).await;
    sleep(FREEZE).await;
    let grown = resident_kib().saturating_sub(resident);
    let calls = counts.calls.load(Ordering::Relaxed) - calls;
    let timed_out = counts.timed_out.load(Ordering::Relaxed);
    let longest = counts.longest_micros.load(Ordering::Relaxed);
    let thawed = Instant::now();
    server.thaw();
    soon_closed(&redis).await;
    let recovered = thawed.elapsed();
    counts.is_over.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    eprintln!(
        "frozen for {FREEZE:?}: {calls} calls, {timed_out} slow, the longest {longest} us; \
         recovered {recovered:?} after the thaw; grown by {grown} KiB"
    );
    // Two callers may come again before the third failure is counted.
    assert!(timed_out <= WORKERS + 8, "{timed_out} slow calls");
    assert_eq!(counts.timed_out_open.load(Ordering::Relaxed), 0);
    assert!(calls > 1_000, "nobody was held up, so there were many");
}

/// Values that were given up are still held somewhere, and counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_into_a_freeze_hold_no_more_memory_than_the_bound() {
    const BOUND: usize = 2 << 20;
    let server = RedisServer::start();
    let builder = CircuitBrokenRedis::builder(&server.url()).unwrap();
    let redis = builder.max_write_bytes(BOUND).build().unwrap();
    soon_closed(&redis).await;
    server.freeze();
    let most = Arc::new(AtomicUsize::new(0));
    let is_over = Arc::new(AtomicBool::new(false));
    let refused = Arc::new(AtomicUsize::new(0));
    let writer = |_| {
        let (redis, most, refused) = (redis.clone(), Arc::clone(&most), Arc::clone(&refused));
        let is_over = Arc::clone(&is_over);
        tokio::spawn(async move {
            let database = redis.database(0).unwrap();
            while !is_over.load(Ordering::Relaxed) {
                let value = Bytes::from(vec![b'x'; 100_000]);
                let result = database.set("key", value, MINUTE, Condition::Always).await;
                most.fetch_max(redis.write_bytes(), Ordering::Relaxed);
                let is_busy = result.is_err_and(|error| error.kind() == StoreErrorKind::Busy);
                refused.fetch_add(usize::from(is_busy), Ordering::Relaxed);
                sleep(Duration::from_millis(1)).await;
            }
        })
    };
    let writers: Vec<_> = (0..WORKERS).map(writer).collect();
    patient(async || redis.state(Side::Write) != BreakerState::Closed).await;
    patient(async || refused.load(Ordering::Relaxed) > 0).await;
    is_over.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(most.load(Ordering::Relaxed) <= BOUND);
    assert_eq!(redis.in_flight(), 0);
    server.thaw();
    soon_closed(&redis).await;
    patient(async || redis.write_bytes() == 0).await;
}
