//! The course of one fault: warm caches, the fault, the way back, and a last look at every row.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pitlane::RemoteLookup;
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::{Instant, sleep, timeout};

use crate::disturb::Target;
use crate::fault::{Course, Fault};
use crate::load::{Load, Phase, Running};
use crate::node::{Manner, Node};
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::rows::{NODES, Rows};

/// How long anything may take that has to happen at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two looks at something that changes.
const LOOK: Duration = Duration::from_millis(2);

/// Over so long the ratio of hits is taken.
const SLICE: Duration = Duration::from_millis(500);

/// So many hits from Redis are no coincidence.
const FLOWING: u64 = 5;

/// A momentary fault comes again after so long.
const AGAIN: Duration = Duration::from_millis(700);

/// Runs one fault under load. Everything that it starts has ended when it returns.
///
/// # Panics
///
/// When redis-server can't be started or doesn't do what makes up the fault, and outside of a
/// runtime with several threads.
pub async fn run(fault: Fault, plan: &Plan) -> Outcome {
    let alone = alone(plan).await;
    let mut target = Target::start(fault, plan.window).await;
    let manner = Manner {
        redis: Some(target.url()),
        // A strict node that has never met Redis has no hits.
        is_strict: fault != Fault::Refused,
        ..Manner::alone(plan)
    };
    let running = start(plan, &manner).await;
    let load = Arc::clone(&running.load);
    let hits_before = warm(&load, fault != Fault::Refused).await;
    let watch = Watch::start(&load);
    let failed_before = failed(&load);
    load.enter(Phase::Fault);
    let (throughput, recoveries) = match fault.course(plan) {
        Course::Lasting(windows) => lasting(&load, &mut target, &windows).await,
        Course::Momentary(window) => momentary(&load, &mut target, window).await,
    };
    let openings = watch.openings();
    let grown = watch.stop();
    load.enter(Phase::After);
    load.stop_writing();
    settle(&load).await;
    let failed = failed(&load) - failed_before;
    let load = running.stop().await;
    Outcome::new(fault, &load)
        .hits_before(hits_before)
        .throughput(throughput, alone)
        .recoveries(recoveries)
        .memory(grown)
        .breaker(openings, failed)
}

async fn start(plan: &Plan, manner: &Manner) -> Running {
    let rows = Arc::new(Rows::new());
    let mut nodes = Vec::with_capacity(NODES);
    for number in 0..NODES {
        nodes.push(Node::start(number, &rows, manner).await);
    }
    Running::start(nodes, rows, plan)
}

/// Requests a second of the same load on the same nodes without Redis.
async fn alone(plan: &Plan) -> f64 {
    if plan.alone.is_zero() {
        return 0.0;
    }
    let running = start(plan, &Manner::alone(plan)).await;
    warm(&running.load, false).await;
    running.load.enter(Phase::Fault);
    let rate = rate_while(&running.load, sleep(plan.alone)).await;
    running.stop().await;
    rate
}

/// Waits until half of what is read comes from caches, and some of it from Redis. Returns the
/// ratio that was reached.
async fn warm(load: &Load, with_redis: bool) -> f64 {
    let tally = load.now();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let before = (tally.hits(), tally.reads());
        let remote: Vec<_> = load.nodes.iter().map(remote_hits).collect();
        sleep(SLICE).await;
        let reads = (tally.reads() - before.1).max(1);
        let ratio = (tally.hits() - before.0) as f64 / reads as f64;
        let mut nodes = load.nodes.iter().zip(&remote);
        let flows = nodes.all(|(node, before)| node.is_well() && remote_hits(node) > *before);
        let is_warm = ratio >= 0.5 && (flows || !with_redis);
        if is_warm || Instant::now() > deadline {
            return if flows || !with_redis { ratio } else { 0.0 };
        }
    }
}

fn remote_hits(node: &Node) -> u64 {
    node.lookups(RemoteLookup::Hit)
}

fn failed(load: &Load) -> u64 {
    let failed = |node: &Node| node.lookups(RemoteLookup::Failed);
    load.nodes.iter().map(failed).sum()
}

/// Requests a second during the first window, and the recovery after each.
async fn lasting(
    load: &Load,
    target: &mut Target,
    windows: &[Duration],
) -> (f64, Vec<Option<Recovery>>) {
    let mut throughput = None;
    let mut recoveries = Vec::with_capacity(windows.len());
    for window in windows {
        if throughput.is_some() {
            warm(load, true).await;
        }
        block_in_place(|| target.begin());
        let rate = rate_while(load, sleep(*window)).await;
        throughput.get_or_insert(rate);
        block_in_place(|| target.end());
        recoveries.push(recovery(load).await);
    }
    (throughput.unwrap_or(0.0), recoveries)
}

/// Requests a second while the fault comes again and again, and the recovery after the last time.
async fn momentary(
    load: &Load,
    target: &mut Target,
    window: Duration,
) -> (f64, Vec<Option<Recovery>>) {
    let end = Instant::now() + window;
    let repeat = async {
        while Instant::now() + AGAIN < end {
            block_in_place(|| target.begin());
            sleep(AGAIN).await;
        }
        block_in_place(|| target.begin());
        recovery(load).await
    };
    let rest = async {
        let recovered = repeat.await;
        tokio::time::sleep_until(end).await;
        recovered
    };
    let before = load.tally(Phase::Fault).total();
    let began = Instant::now();
    let recovered = rest.await;
    let rate = rate(load, before, began);
    (rate, vec![recovered])
}

async fn rate_while(load: &Load, during: impl Future<Output = ()>) -> f64 {
    let before = load.tally(Phase::Fault).total();
    let began = Instant::now();
    during.await;
    rate(load, before, began)
}

fn rate(load: &Load, before: u64, began: Instant) -> f64 {
    let done = load.tally(Phase::Fault).total() - before;
    done as f64 / began.elapsed().as_secs_f64()
}

/// The way back from a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// Until the circuits of all nodes were closed and they followed the log.
    pub(crate) well: Duration,
    /// Until hits came from Redis again on all nodes as well.
    pub(crate) whole: Duration,
}

/// How long it takes, from now on, until all nodes are well and serve hits from Redis.
async fn recovery(load: &Load) -> Option<Recovery> {
    let began = Instant::now();
    let before: Vec<_> = load.nodes.iter().map(remote_hits).collect();
    let flows = || {
        let mut nodes = load.nodes.iter().zip(&before);
        nodes.all(|(node, before)| remote_hits(node) >= before + FLOWING)
    };
    let wait = async {
        let mut well = None;
        loop {
            if load.nodes.iter().all(Node::is_well) {
                let well = *well.get_or_insert_with(|| began.elapsed());
                if flows() {
                    let whole = began.elapsed();
                    return Recovery { well, whole };
                }
            }
            sleep(LOOK).await;
        }
    };
    timeout(PATIENCE, wait).await.ok()
}

/// Nothing is written any more: all that is owed gets to the log, and in the end every node
/// answers every row as it is.
async fn settle(load: &Load) {
    let owes = || load.nodes.iter().any(|node| node.owed() > 0);
    let paid = async {
        while owes() {
            sleep(LOOK).await;
        }
    };
    if timeout(PATIENCE, paid).await.is_err() {
        load.wrong("invalidations are still owed long after the fault".to_owned());
    }
    for node in &load.nodes {
        for row in 0..Rows::count() {
            let up_to_date = async {
                while load.read(node, row).await.1 != Ok(load.rows.read(row)) {
                    sleep(LOOK).await;
                }
            };
            if timeout(PATIENCE, up_to_date).await.is_err() {
                let last = load.read(node, row).await.1;
                let newest = load.rows.read(row);
                load.wrong(format!(
                    "long after the last write node {} answers row {row} with {last:?}, not \
                     version {newest}",
                    node.number
                ));
                return;
            }
        }
    }
}

/// Looks at the process and its breakers while the fault lasts.
#[derive(Debug)]
struct Watch {
    openings: Arc<AtomicU64>,
    before: u64,
    most: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Watch {
    fn start(load: &Load) -> Self {
        let before = resident();
        let openings = Arc::new(AtomicU64::new(0));
        let most = Arc::new(AtomicU64::new(before));
        let mut tasks = vec![tokio::spawn({
            let most = Arc::clone(&most);
            async move {
                loop {
                    most.fetch_max(resident(), Ordering::Relaxed);
                    sleep(Duration::from_millis(100)).await;
                }
            }
        })];
        for node in &load.nodes {
            let Some(redis) = node.caches.redis() else {
                continue;
            };
            let (mut events, openings) = (redis.events(), Arc::clone(&openings));
            tasks.push(tokio::spawn(async move {
                let mut was_closed = true;
                while events.changed().await.is_ok() {
                    let read = events.borrow_and_update().read;
                    let is_closed = read == pitlane_core::BreakerState::Closed;
                    let opened = was_closed && !is_closed;
                    openings.fetch_add(u64::from(opened), Ordering::Relaxed);
                    was_closed = is_closed;
                }
            }));
        }
        Self {
            openings,
            before,
            most,
            tasks,
        }
    }

    /// How often a breaker that was closed has opened.
    fn openings(&self) -> u64 {
        self.openings.load(Ordering::Relaxed)
    }

    /// How many bytes the process had at most more than at the start.
    fn stop(self) -> u64 {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.most.load(Ordering::Relaxed) - self.before
    }
}

/// The memory of this process, in bytes: nodes, clients and the load together.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.expect("a resident size") * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the load without Redis until `is_enough`, and returns how many answers were wrong.
    async fn wrongs(is_forgetful: bool, is_enough: impl Fn(&Load) -> bool) -> u64 {
        let plan = Plan::short();
        let manner = Manner {
            is_forgetful,
            ..Manner::alone(&plan)
        };
        let running = start(&plan, &manner).await;
        let load = Arc::clone(&running.load);
        let enough = async {
            while !is_enough(&load) {
                sleep(LOOK).await;
            }
        };
        let came = timeout(PATIENCE, enough).await;
        assert!(came.is_ok(), "not enough within {PATIENCE:?}");
        running.stop().await.now().wrongs()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_node_that_acknowledges_without_invalidating_is_caught() {
        let caught = |load: &Load| load.now().wrongs() > 0;
        assert!(wrongs(true, caught).await > 0);
        let writes = |load: &Load| load.now().count(crate::tally::Kind::Write) >= 50;
        assert_eq!(wrongs(false, writes).await, 0);
    }
}
