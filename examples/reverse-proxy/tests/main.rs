//! The proxy over real sockets, between scripted origins and clients that count.
#![expect(clippy::indexing_slicing, reason = "in a test a panic is the report")]

mod admin;
mod caching;
mod failures;
mod forwarding;
mod freshness;
mod headers;
#[cfg(target_os = "linux")]
mod memory;
mod metrics;
mod program;
mod resend;
mod secrets;
mod sharing;
mod streaming;
mod support;
mod trouble;
mod upgrade;
