//! What Pitlane's own tests share: real servers on loopback, clients for them, scripted origins,
//! real Redis and PostgreSQL servers and a proxy that spoils what passes it.

mod client;
mod origin;
mod postgres;
mod proxy;
mod redis;
mod server;
mod steps;

pub use client::{Answer, Client, Protocol, get, status_of};
pub use origin::{Gate, Origin, Reply, ReplyBody};
pub use postgres::PostgresServer;
pub use proxy::{Fault, FaultProxy};
pub use redis::{RedisCli, RedisReply, RedisServer, RedisServerBuilder};
pub use server::Server;
pub use steps::Steps;
