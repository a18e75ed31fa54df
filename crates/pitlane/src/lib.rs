//! Tower layers that cache HTTP responses, and the data behind them.
//!
//! ```
//! use std::time::Duration;
//! use pitlane::{AnonymousCacheLayer, Caches};
//!
//! # fn main() -> Result<(), pitlane::Error> {
//! let caches = Caches::builder().memory(64 << 20).build()?;
//! let layer = AnonymousCacheLayer::new(&caches.get("default")?).ttl(Duration::from_secs(900));
//! # let _ = layer;
//! # Ok(())
//! # }
//! ```
//!
//! The layers are generic over bodies, keep the inner service's error type, and never fail a
//! request: what goes wrong in the cache is a miss. (A handler that answers 304 for something else
//! than it was asked about is answered with a 502, once.) They need a tokio runtime with its timer.
//! [`CacheHint`] lets a handler name tags; [`Caches::invalidate`] ends everything that carries one.

#[cfg(feature = "audit")]
pub mod audit;
pub mod breaker;
mod cache;
pub mod changes;
mod clock;
#[cfg(feature = "data")]
pub mod data;
mod error;
#[cfg(feature = "explain")]
pub mod explain;
pub mod fragment;
mod grpc;
mod invalidate;
mod join;
#[cfg(feature = "locks")]
pub mod lock;
#[cfg(feature = "manage")]
pub mod manage;
#[cfg(feature = "metrics")]
mod metrics;
mod replay;
mod response;
#[cfg(not(feature = "stats"))]
mod stats;
#[cfg(feature = "stats")]
pub mod stats;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
mod units;

pub use breaker::CircuitBreakerLayer;
pub use cache::{
    Cache, Caches, CachesBuilder, Claim, Coherence, Era, Fill, Invalidated, Invalidation, Kind,
    MemoryUse, Owed, Records, RemoteLookup, Scope, Sighting, Tier, Value, Wrote, depend_on,
};
pub use clock::Clock;
pub use error::{Error, ErrorKind};
pub use grpc::{GrpcBody, GrpcCache, GrpcCacheLayer, GrpcFuture};
pub use invalidate::{Invalidate, InvalidateFuture, InvalidateLayer};
#[cfg(feature = "metrics")]
pub use metrics::{Measured, MeasuredBody, MeasuredFuture, MetricsLayer};
pub use pitlane_core::{
    Key, KeyError, KeyErrorKind, Outcome, Position, PositionError, Reason, Tag, TagKind, Timestamp,
    UplinkStatus,
};
#[cfg(feature = "macros")]
pub use pitlane_macros::cached;
pub use pitlane_policy::{Freshness, Profile};
pub use replay::ReplayBody;
pub use response::{
    Anonymous, AnonymousCacheLayer, Api, ApiCacheLayer, BodyKey, BodyKeyLayer, CacheHint,
    CacheLayer, Encoding, General, ResponseBody, ResponseCache, ResponseCacheLayer, ResponseFuture,
};
pub use stats::Count;
pub use units::{parse_duration, parse_size};
