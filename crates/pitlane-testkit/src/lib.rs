//! What Pitlane's own tests share: real servers on loopback, clients for them, scripted origins.

mod client;
mod origin;
mod server;
mod steps;

pub use client::{Answer, Client, Protocol, get, status_of};
pub use origin::{Gate, Origin, Reply, ReplyBody};
pub use server::Server;
pub use steps::Steps;
