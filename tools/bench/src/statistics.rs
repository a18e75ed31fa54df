//! What statistics cost a hit in memory.

use std::time::Duration;

use http::Method;
use pitlane::{AnonymousCacheLayer, Caches, stats::StatsOptions};
use tower::Layer;

use crate::{
    hit::{bare, case},
    measure::{Case, median, thread_nanoseconds},
};

/// How many rounds each takes, and of how many calls.
const ROUNDS: usize = 301;
const CALLS: u32 = 10_000;

/// Hits on two registries in turns; one of them keeps statistics.
pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a runtime");
    let [off, on] = [(); 2].map(|()| Caches::builder().memory(64 << 20).build().expect("caches"));
    let entered = runtime.enter();
    let keeper = on.keep_stats(StatsOptions::new());
    drop(entered);
    let hit = |name, caches: &Caches| {
        let cache = caches.get("default").expect("the cache");
        let layer = AnonymousCacheLayer::new(&cache).ttl(Duration::from_secs(3600));
        case(
            name,
            layer.layer(bare(1 << 10, "max-age=3600")),
            Method::GET,
        )
    };
    let mut cases = [
        hit("hit, statistics off", &off),
        hit("hit, statistics on", &on),
    ];
    let rounds = paired(&mut cases);
    println!("{:<28} {:>9} {:>7}", "thread time", "ns/call", "ratio");
    let of = |index: usize| median(rounds.iter().map(|round| round[index]).collect());
    println!("{:<28} {:>9.0}", cases[0].name, of(0));
    let ratio = median(rounds.iter().map(|round| round[1] / round[0]).collect());
    println!(
        "{:<28} {:>9.0} {ratio:>6.3}x (bar: 1.05)",
        cases[1].name,
        of(1)
    );
    let seen = on.node_stats().totals.windows.since_start.outcomes;
    let measured: u64 = on.node_stats().caches[0]
        .latencies
        .iter()
        .map(|one| one.count)
        .sum();
    println!("{} hits, of which samples stand for {measured}", seen.hit);
    drop(keeper);
}

/// Nanoseconds a call for both, round by round. Who is first changes, and what counts is the time
/// of the thread: whatever else the machine does hits both alike.
fn paired(cases: &mut [Case; 2]) -> Vec<[f64; 2]> {
    let time = |case: &mut Case| {
        let start = thread_nanoseconds();
        for _ in 0..CALLS {
            (case.work)();
        }
        (thread_nanoseconds() - start) / f64::from(CALLS)
    };
    let mut rounds = Vec::with_capacity(ROUNDS);
    for round in 0..=ROUNDS {
        let mut times = [0.0; 2];
        for turn in 0..2 {
            let index = (turn + round) % 2;
            times[index] = time(&mut cases[index]);
        }
        rounds.push(times);
    }
    // The first one warms up.
    rounds.split_off(1)
}
