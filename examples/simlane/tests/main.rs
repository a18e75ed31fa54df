//! The whole site over real sockets: each test starts a server of its own on
//! a free port, with a fresh database.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod aborted;
mod accounts;
mod api;
mod caching;
mod client;
mod consistency;
mod crawl;
mod fragments;
mod metrics;
mod pages;
mod program;
mod queries;
mod server;
mod sessions;
mod sharing;
