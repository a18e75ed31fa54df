use std::{fmt, process::Stdio, sync::Arc, time::Duration};

use pitlane::stats::FleetStats;
use pitlane_testkit::RedisServer;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    task::JoinSet,
};

use crate::{
    Plan, Tally,
    fleet::{counted, read},
    load::Load,
    node::{SERVE, caches},
};

/// What was counted on both sides.
#[derive(Debug)]
pub struct Report {
    /// By the clients.
    pub asked: Tally,
    /// By the nodes, as all of them together say.
    pub counted: Tally,
    /// By each node.
    pub nodes: Vec<(String, Tally)>,
    /// By reason, of all nodes: their sum.
    pub by_reason: u64,
    /// By route, of all nodes: their sum.
    pub by_route: u64,
}

impl Report {
    /// Whether all have counted the same.
    #[must_use]
    pub fn agrees(&self) -> bool {
        let total = self.asked.total();
        self.asked == self.counted
            && self.by_reason == total
            && self.by_route == total
            && self.nodes.len() == 2
    }

    fn new(asked: Tally, fleet: &FleetStats) -> Self {
        let reasons = fleet.caches.iter().flat_map(|cache| &cache.reasons);
        let routes = fleet.caches.iter().flat_map(|cache| &cache.routes);
        let name = |node: &pitlane::stats::NodeStats| node.name.clone().unwrap_or_default();
        let tally = |node: &pitlane::stats::NodeStats| {
            Tally::from(&node.totals.windows.since_start.outcomes)
        };
        Self {
            asked,
            counted: counted(fleet),
            nodes: fleet
                .nodes
                .iter()
                .map(|node| (name(node), tally(node)))
                .collect(),
            by_reason: reasons.map(|one| one.count).sum(),
            by_route: routes.map(|one| one.outcomes.total()).sum(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "clients  {}", self.asked)?;
        writeln!(f, "fleet    {}", self.counted)?;
        for (name, tally) in &self.nodes {
            writeln!(f, "  {name:<6} {tally}")?;
        }
        writeln!(
            f,
            "by reason {}, by route {}",
            self.by_reason, self.by_route
        )?;
        f.write_str(if self.agrees() {
            "they agree"
        } else {
            "THEY DON'T AGREE"
        })
    }
}

/// Starts Redis and two nodes, asks them, kills Redis in the middle, and compares.
///
/// # Panics
///
/// When a node or Redis does not start, or a request has no answer that should have one.
pub async fn run(plan: &Plan) -> Report {
    let redis = RedisServer::start();
    let mut nodes = Vec::new();
    for name in ["a", "b"] {
        nodes.push(Node::start(plan, &redis, name).await);
    }
    let load = Arc::new(Load::default());
    let mut clients = JoinSet::new();
    for client in 0..plan.clients {
        for (place, node) in nodes.iter().enumerate() {
            let seed = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul((2 * client + place + 1) as u64);
            let address = node.address.clone();
            clients.spawn(Arc::clone(&load).ask(address, plan.requests, seed));
        }
    }
    let killing = kill_in_the_middle(&redis, &load, plan.requests);
    let asking = async {
        while let Some(client) = clients.join_next().await {
            client.expect("a client that comes to its end");
        }
    };
    tokio::join!(asking, killing);
    let asked = load.counted.read();
    let reader = caches(&redis.url());
    let fleet = read(&reader, asked.total()).await;
    Report::new(asked, &fleet)
}

/// Half of the requests come before, a quarter while it is away at most.
async fn kill_in_the_middle(redis: &RedisServer, load: &Load, requests: u64) {
    let pause = || tokio::time::sleep(Duration::from_millis(1));
    while load.begun() < requests / 2 {
        pause().await;
    }
    redis.kill();
    let mut waited = 0;
    while load.begun() < requests * 3 / 4 && waited < 2_000 {
        pause().await;
        waited += 1;
    }
    redis.restart();
}

/// A process, killed when it is dropped.
struct Node {
    address: String,
    _process: Child,
}

impl Node {
    async fn start(plan: &Plan, redis: &RedisServer, name: &str) -> Self {
        let mut process = Command::new(&plan.program)
            .args([SERVE, &redis.url(), name])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("a process");
        let out = process.stdout.take().expect("its output");
        let mut lines = BufReader::new(out).lines();
        let line = lines.next_line().await.expect("a line");
        Self {
            address: line.expect("an address"),
            _process: process,
        }
    }
}
