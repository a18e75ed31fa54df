//! The load: a fixed number of clients, each with one request at a time and a fixed pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use pitlane_testkit::{Client, Protocol};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::node::Node;
use crate::plan::Plan;
use crate::pulse::Pulse;
use crate::rows::{self, HOT, Rows};
use crate::tally::{Kind, Seen, Tally};

/// How many clients there are, and so how many requests are in flight at most.
pub(crate) const WORKERS: usize = 64;

/// A request without an answer for so long counts as hung.
const HUNG: Duration = Duration::from_secs(5);

/// Of a hundred requests so many write, and so many of the others read hot rows.
const WRITES: u64 = 4;
const HOT_READS: u64 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Warm,
    Fault,
    After,
}

/// What the clients share.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) rows: Arc<Rows>,
    pub(crate) nodes: Vec<Node>,
    tallies: [Tally; 3],
    phase: AtomicUsize,
    is_read_only: AtomicBool,
    is_over: AtomicBool,
    pulse: Pulse,
    /// Longer than this is slow.
    limit: Duration,
    pace: Duration,
    client: Client,
}

/// The clients at work.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) load: Arc<Load>,
    workers: Vec<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(nodes: Vec<Node>, rows: Arc<Rows>, plan: &Plan) -> Self {
        let load = Arc::new(Load {
            rows,
            nodes,
            tallies: Default::default(),
            phase: AtomicUsize::new(Phase::Warm as usize),
            is_read_only: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            pulse: Pulse::start(),
            limit: plan.budget / 2,
            pace: plan.pace,
            client: Client::new(Protocol::Http1),
        });
        let worker = |number| tokio::spawn(work(Arc::clone(&load), number));
        let workers = (0..WORKERS).map(worker).collect();
        Self { load, workers }
    }

    /// Lets every client finish its request.
    pub(crate) async fn stop(self) -> Arc<Load> {
        self.load.is_over.store(true, Ordering::Relaxed);
        for worker in self.workers {
            if let Err(panic) = worker.await {
                self.load.wrong(format!("a client ended: {panic}"));
            }
        }
        self.load
    }
}

impl Load {
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as usize, Ordering::SeqCst);
    }

    pub(crate) fn tally(&self, phase: Phase) -> &Tally {
        &self.tallies[phase as usize]
    }

    pub(crate) fn stop_writing(&self) {
        self.is_read_only.store(true, Ordering::SeqCst);
    }

    pub(crate) fn wrong(&self, what: String) {
        self.now().wrong(what);
    }

    /// The counts of the present phase.
    pub(crate) fn now(&self) -> &Tally {
        &self.tallies[self.phase.load(Ordering::SeqCst)]
    }

    /// Reads one row on one node, checks the answer, and returns its version.
    pub(crate) async fn read(&self, node: &Node, row: usize) -> (Kind, Result<u64, String>) {
        let floor = self.rows.floor(node.number, row);
        let (status, body) = match self.ask(node, Method::GET, row).await {
            Ok(answer) => answer,
            Err(why) => return (Kind::Miss, Err(why)),
        };
        let (kind, is_certain) = kind_of(&status, node.is_strict);
        let floor = if is_certain {
            floor.own.max(floor.applied)
        } else {
            floor.own
        };
        let checked = self.rows.check(row, floor, &body);
        let told = |why| format!("node {}: {why} ({status})", node.number);
        (kind, checked.map_err(told))
    }

    /// Cache-Status and body of one answer.
    async fn ask(
        &self,
        node: &Node,
        method: Method,
        row: usize,
    ) -> Result<(String, Bytes), String> {
        let request = Request::builder()
            .method(method)
            .uri(node.server.url(&rows::path(row)))
            .header("host", "chaos.example")
            .body(Full::default())
            .expect("a request");
        let response = self.client.begin(request).await;
        let response = response.map_err(|error| format!("no answer: {error}"))?;
        if !response.status().is_success() {
            return Err(format!("answered {}", response.status()));
        }
        let status = response.headers().get("cache-status");
        let status = status.map_or("", |status| status.to_str().unwrap_or_default());
        let status = status.to_owned();
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| format!("no whole answer: {error}"))?;
        Ok((status, body.to_bytes()))
    }

    async fn one(&self, node: &Node, dice: &mut Dice) {
        let (row, writes) = dice.choose(self.is_read_only.load(Ordering::Relaxed));
        let was_open = node.is_open();
        let late = self.pulse.late();
        let began = Instant::now();
        let answered = timeout(HUNG, async {
            if writes {
                let answer = self.ask(node, Method::POST, row).await;
                (Kind::Write, answer.err())
            } else {
                let (kind, checked) = self.read(node, row).await;
                (kind, checked.err())
            }
        });
        let (kind, wrong) = answered.await.unwrap_or((Kind::Hung, None));
        let seen = Seen {
            kind,
            took: began.elapsed(),
            late: self.pulse.late().saturating_sub(late),
            // If it was closed meanwhile the request may have gone to Redis after all.
            was_open: was_open && node.is_open(),
            wrong,
        };
        self.now().add(seen, self.limit);
    }
}

/// How an answer came about, and whether it is bound by what any node has acknowledged. A hit in
/// the memory of a node that isn't strict may lag behind others, and so may what was shared by a
/// request that began earlier.
fn kind_of(status: &str, is_strict: bool) -> (Kind, bool) {
    if !status.starts_with("pitlane; hit") {
        let is_shared = status.contains("; collapsed");
        return (Kind::Miss, is_strict || !is_shared);
    }
    if status.ends_with("detail=remote") {
        return (Kind::Remote, true);
    }
    (Kind::Memory, is_strict)
}

async fn work(load: Arc<Load>, number: usize) {
    let node = &load.nodes[number % load.nodes.len()];
    let mut dice = Dice::new(number);
    // Spread over one interval: they don't all come at once.
    let offset = load.pace * u32::try_from(number).unwrap_or(0) / WORKERS as u32;
    let mut pace = interval_at(Instant::now() + offset, load.pace);
    // Whoever was held up doesn't make up for it: that is what throughput shows.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !load.is_over.load(Ordering::Relaxed) {
        pace.tick().await;
        load.one(node, &mut dice).await;
    }
}

/// Numbers that are the same in every run, after Marsaglia's xorshift.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn new(number: usize) -> Self {
        Self(0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9))
    }

    /// A number below `end`.
    const fn roll(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    /// A row, and whether to write it.
    fn choose(&mut self, is_read_only: bool) -> (usize, bool) {
        let hot = self.roll(100) < HOT_READS;
        let writes = self.roll(100) < WRITES && !is_read_only;
        let (from, to) = if hot { (0, HOT) } else { (HOT, Rows::count()) };
        let row = from + self.roll((to - from) as u64) as usize;
        (row, writes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_asked_somebody_is_bound_by_what_others_acknowledged() {
        let table = [
            ("pitlane; hit; ttl=9; detail=remote", Kind::Remote, true),
            ("pitlane; hit; ttl=9; detail=fresh", Kind::Memory, false),
            ("pitlane; fwd=uri-miss; stored; detail=x", Kind::Miss, true),
            ("pitlane; fwd=miss; collapsed; ttl=9", Kind::Miss, false),
            ("", Kind::Miss, true),
        ];
        for (status, kind, is_certain) in table {
            assert_eq!(kind_of(status, false), (kind, is_certain), "{status}");
            assert_eq!(kind_of(status, true), (kind, true), "{status}");
        }
    }

    #[test]
    fn the_dice_choose_all_rows_and_some_writes() {
        let mut dice = Dice::new(3);
        let chosen: Vec<_> = (0..20_000).map(|_| dice.choose(false)).collect();
        let hot = chosen.iter().filter(|(row, _)| *row < HOT).count();
        assert!((11_000..13_000).contains(&hot), "{hot}");
        let writes = chosen.iter().filter(|(_, writes)| *writes).count();
        assert!((600..1_000).contains(&writes), "{writes}");
        for row in 0..Rows::count() {
            assert!(chosen.iter().any(|(one, _)| *one == row), "{row}");
        }
        assert!(!dice.choose(true).1);
    }
}
