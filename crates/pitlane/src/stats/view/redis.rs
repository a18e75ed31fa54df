use serde::{Deserialize, Serialize};

/// Redis as a node sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RedisStats {
    /// The circuits for reads and for writes.
    pub breakers: Vec<BreakerStats>,
    /// Calls that are on their way.
    pub in_flight: u64,
    /// Bytes of values that are on their way.
    pub write_bytes: u64,
    /// What the server says of itself, at most 10 seconds ago; `None` before it was asked, which
    /// [`keep_stats`](crate::Caches::keep_stats) does.
    pub server: Option<RedisServerStats>,
    /// Why the server said nothing, such as that the user may not ask.
    pub unavailable: Option<String>,
}

/// One circuit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BreakerStats {
    /// `read` or `write`.
    pub side: String,
    /// `closed`, `half-open` or `open`.
    pub state: String,
    /// Failures since the last success.
    pub failures_in_a_row: u64,
    /// Failures in the circuit's window.
    pub failures: u64,
    /// Calls in it.
    pub calls: u64,
    /// How often it has opened.
    pub openings: u64,
}

/// What the Redis server says of itself (`INFO`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RedisServerStats {
    /// When it was asked.
    pub asked_ms: u64,
    /// Its version.
    pub version: Option<String>,
    /// All memory that its allocator gave out.
    pub used_memory_bytes: Option<u64>,
    /// What it may use; 0 without a limit.
    pub max_memory_bytes: Option<u64>,
    /// What it does when that is full.
    pub eviction_policy: Option<String>,
    /// Keys that it pushed out since it started.
    pub evicted_keys: Option<u64>,
    /// Its databases that hold anything, whoever's it is.
    pub databases: Vec<DatabaseStats>,
}

/// One database of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatabaseStats {
    /// Its number.
    pub database: u8,
    /// Keys in it, whoever's they are.
    pub keys: u64,
    /// Those of them that expire.
    pub expiring: u64,
}
