//! What numbers look like to whoever reads them: here, in JSON, and on another node.

mod cache;
mod fleet;
mod histogram;
mod node;
mod redis;
mod window;

pub use cache::{
    CacheStats, CacheUse, Latency, LookupCount, ReasonCount, RouteStats, Saved, Tally, TopKey,
};
pub use fleet::{FleetStats, UnreadableNode};
pub use histogram::Histogram;
pub use node::{Decision, InvalidationCount, LogStats, NodeStats, PublishStats, Totals};
pub use redis::{BreakerStats, DatabaseStats, RedisServerStats, RedisStats};
pub use window::{OutcomeCounts, Sample, Series, Window, Windows};

pub(super) use cache::merged;
pub(super) use histogram::{BUCKETS, bucket_of};
