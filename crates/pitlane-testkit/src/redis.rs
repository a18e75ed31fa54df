//! Real `redis-server` processes and a small blocking client for them.

mod cli;
mod process;
mod server;
pub(crate) mod watchdog;

pub use cli::{RedisCli, RedisReply};
pub(crate) use server::{Port, new_folder, poll};
pub use server::{RedisServer, RedisServerBuilder};
