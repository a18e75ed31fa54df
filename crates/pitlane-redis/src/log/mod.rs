//! The invalidation log over Redis.
//!
//! The log is a stream, a hash and a tail key, in one slot. What the answers mean is decided by
//! [`pitlane_core::Log`]; here they are only asked for.

mod calls;
mod eviction;
mod follower;
mod janitor;
mod keeper;
mod link;
mod script;
mod tails;
mod wire;

pub use link::{RedisLog, RedisLogBuilder};
