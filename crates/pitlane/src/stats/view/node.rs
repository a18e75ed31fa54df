use serde::{Deserialize, Serialize};

use super::{CacheStats, CacheUse, RedisStats, Saved, Series, Windows};

/// The numbers of one node, which is one registry of caches in one process.
///
/// Times are milliseconds since the Unix epoch by the node's own clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NodeStats {
    /// 16 hexadecimal digits, new with each start.
    pub node: String,
    /// What the operator calls it.
    pub name: Option<String>,
    /// The version of Pitlane that it runs.
    pub version: String,
    /// When the registry was built.
    pub started_ms: u64,
    /// When the numbers were taken.
    pub taken_ms: u64,
    /// How long it has been running.
    pub uptime_seconds: f64,
    /// Whether [`keep_stats`](crate::Caches::keep_stats) samples: without it there are no windows,
    /// latencies, top keys, series and decisions.
    pub sampled: bool,
    /// All caches together.
    pub totals: Totals,
    /// Each cache, in order of their names.
    pub caches: Vec<CacheStats>,
    /// The invalidation log.
    pub log: LogStats,
    /// Redis and the circuits to it; `None` without Redis.
    pub redis: Option<RedisStats>,
    /// How the node gets on with telling the others; `None` unless it does.
    pub published: Option<PublishStats>,
    /// What this node has invalidated.
    pub invalidations: Vec<InvalidationCount>,
    /// Answers and values that are being computed on behalf of all who ask.
    pub in_flight: u64,
    /// Refreshes and writes to Redis that run in the background.
    pub background: u64,
    /// How requests were answered lately, the newest first; a sample where there are many. Not in
    /// what nodes tell each other.
    #[serde(default)]
    pub decisions: Vec<Decision>,
    /// Whether something was left out because the numbers were too many for a snapshot.
    #[serde(default)]
    pub truncated: bool,
}

/// All caches of a node, or of all nodes, together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Totals {
    /// Requests and hit ratios.
    pub windows: Windows,
    /// What the caches were good for.
    pub saved: Saved,
    /// What they hold in memory, each tier once.
    pub memory: CacheUse,
    /// Samples for charts.
    #[serde(default)]
    pub series: Series,
}

/// The invalidation log as a node sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogStats {
    /// Whether other nodes follow the same log: false without Redis.
    pub shared: bool,
    /// Whether it makes sense to ask the shared log now.
    pub ready: bool,
    /// How far the node has read, as [`Position`](crate::Position) prints it; `None` before it has
    /// joined.
    pub position: Option<String>,
    /// Which life of the log that is, as 16 hexadecimal digits.
    pub incarnation: Option<String>,
    /// How long ago the node last knew that it had read everything; 0 without Redis.
    pub lag_seconds: f64,
    /// Invalidations that hold here and are still owed to the others.
    pub queue: u64,
    /// How often the node had to join again because something was missing.
    pub gaps: u64,
    /// How often it found another life of the log.
    pub incarnations: u64,
}

/// How a node gets on with telling the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PublishStats {
    /// Snapshots that Redis took.
    pub published: u64,
    /// Snapshots that it did not take.
    pub failed: u64,
    /// When it last took one.
    pub last_ms: Option<u64>,
    /// How large that was.
    pub last_bytes: u64,
}

/// What this node has invalidated of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InvalidationCount {
    /// `tag`, `subtree`, `cache`, `uri` or `group`.
    pub kind: String,
    /// `applied`, or `queued` where it is owed to the other nodes.
    pub outcome: String,
    /// How many names.
    pub count: u64,
}

/// How one request was answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Decision {
    /// When.
    pub at_ms: u64,
    /// By which cache's layer.
    pub cache: String,
    /// The route's label.
    pub route: String,
    /// How.
    pub outcome: String,
    /// Why.
    pub reason: String,
    /// How long it took, as [`Latency`](super::Latency) says; `None` where that is not measured.
    pub seconds: Option<f64>,
}
