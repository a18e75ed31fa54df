//! A circuit-broken Redis client, and Pitlane's remote tier and invalidation log over it.
//!
//! [`CircuitBrokenRedis`] stands alone: it is a Redis client that never makes its caller wait
//! longer than a budget, sends nothing while Redis fails, and comes back by itself.
//! Each [`Database`] is a [`RemoteStore`](pitlane_core::RemoteStore), and runs any other command
//! of [`fred`] through the same circuit.

mod bounds;
mod builder;
mod circuit;
mod client;
mod config;
mod connection;
mod database;
mod dedicated;
mod failure;
mod lease;
mod log;
mod prober;
mod server;
mod timing;

/// The client library, in the version that [`Database::run`] hands out.
pub use fred;

pub use builder::RedisBuilder;
pub use circuit::{CircuitState, Side};
pub use client::CircuitBrokenRedis;
pub use config::{ConfigError, ConfigErrorKind};
pub use database::Database;
pub use dedicated::Dedicated;
pub use failure::{Failure, FailureKind};
pub use log::{RedisLog, RedisLogBuilder};
#[cfg(feature = "metrics")]
#[doc(hidden)]
pub use timing::reference as metrics_reference;
