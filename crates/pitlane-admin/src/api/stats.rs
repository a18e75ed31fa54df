//! `GET api/stats`: what this node counts, as one JSON document.
//!
//! Names are promises to scripts: they are added to, and not changed. Outcomes and reasons are
//! spelled as in Cache-Status and in metrics.

use std::time::Duration;

use pitlane::stats::{FleetStats, NodeStats};
use pitlane::{Cache, Caches, UplinkStatus};
use pitlane_redis::{CircuitBrokenRedis, Side};
use serde::Serialize;

/// How long the other nodes' numbers are waited for.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The whole document.
#[derive(Debug, Serialize)]
pub(crate) struct Stats {
    caches: Vec<CacheStats>,
    /// `null` without Redis, as is `log`.
    redis: Option<RedisStats>,
    log: Option<LogStats>,
    /// Everything that this node knows of itself, as `pitlane::stats` names it.
    node: NodeStats,
    /// All nodes that have told of themselves lately; `null` when they could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    fleet: Option<Option<FleetStats>>,
}

impl Stats {
    /// What this node knows.
    pub(crate) fn of(caches: &Caches) -> Self {
        Self {
            caches: caches.iter().map(CacheStats::of).collect(),
            redis: caches.redis().map(RedisStats::of),
            log: caches.log_status().map(LogStats::of),
            node: caches.node_stats(),
            fleet: None,
        }
    }

    /// And what the others said.
    pub(crate) async fn of_all(caches: &Caches) -> Self {
        let asking = tokio::time::timeout(PATIENCE, caches.fleet_stats());
        let fleet = asking.await.ok().and_then(Result::ok);
        Self {
            fleet: Some(fleet),
            ..Self::of(caches)
        }
    }
}

#[derive(Debug, Serialize)]
struct CacheStats {
    name: String,
    /// Requests since the start, by how and why they were answered so.
    counts: Vec<CountStats>,
    /// Computations of answers since the start, by how they ended.
    fills: Vec<FillStats>,
    memory: MemoryStats,
    /// Looks into Redis since the start, by how they ended; empty without Redis.
    remote_lookups: Vec<LookupStats>,
}

#[derive(Debug, Serialize)]
struct CountStats {
    route: String,
    outcome: &'static str,
    reason: &'static str,
    count: u64,
}

#[derive(Debug, Serialize)]
struct FillStats {
    reason: &'static str,
    count: u64,
}

#[derive(Debug, Serialize)]
struct LookupStats {
    outcome: &'static str,
    count: u64,
}

/// What the cache's memory tier holds now. Caches without a limit of their own share one.
#[derive(Debug, Serialize)]
struct MemoryStats {
    entries: usize,
    bytes: u64,
    limit: u64,
}

#[derive(Debug, Serialize)]
struct RedisStats {
    breaker: BreakerStats,
}

/// `closed`, `half-open` or `open`.
#[derive(Debug, Serialize)]
struct BreakerStats {
    read: &'static str,
    write: &'static str,
}

#[derive(Debug, Serialize)]
struct LogStats {
    /// How far the node has read; `null` before it has joined.
    position: Option<String>,
    /// How long ago it last knew that it had read everything.
    lag_seconds: f64,
    /// Invalidations that other nodes have not been told of.
    owed: usize,
    /// How often it joined again because something was missing.
    gaps: u64,
    /// How often it found another life of the log.
    incarnations: u64,
}

impl CacheStats {
    fn of(cache: &Cache) -> Self {
        let memory = cache.memory();
        let fills = cache.fills().into_iter();
        let lookups = cache.remote_lookups().into_iter();
        Self {
            name: cache.name().to_owned(),
            counts: cache.counts().into_iter().map(CountStats::from).collect(),
            fills: fills
                .map(|(reason, count)| FillStats {
                    reason: reason.as_str(),
                    count,
                })
                .collect(),
            memory: MemoryStats {
                entries: memory.entries,
                bytes: memory.bytes,
                limit: memory.limit,
            },
            remote_lookups: lookups
                .map(|(outcome, count)| LookupStats {
                    outcome: outcome.as_str(),
                    count,
                })
                .collect(),
        }
    }
}

impl From<pitlane::Count> for CountStats {
    fn from(count: pitlane::Count) -> Self {
        Self {
            route: count.route,
            outcome: count.outcome.as_str(),
            reason: count.reason.as_str(),
            count: count.count,
        }
    }
}

impl RedisStats {
    fn of(redis: &CircuitBrokenRedis) -> Self {
        let state = |side| redis.state(side).as_str();
        Self {
            breaker: BreakerStats {
                read: state(Side::Read),
                write: state(Side::Write),
            },
        }
    }
}

impl LogStats {
    fn of(status: UplinkStatus) -> Self {
        Self {
            position: status.position.map(|position| position.to_string()),
            lag_seconds: status.lag.as_secs_f64(),
            owed: status.owed,
            gaps: status.gaps,
            incarnations: status.incarnations,
        }
    }
}
