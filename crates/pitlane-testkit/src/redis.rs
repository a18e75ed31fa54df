//! Real `redis-server` processes and a small blocking client for them.

mod cli;
mod process;
mod server;
mod watchdog;

pub use cli::{RedisCli, RedisReply};
pub use server::{RedisServer, RedisServerBuilder};
