//! The service over real sockets, called by tonic's own client.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod caching;
mod personal;
mod program;
mod sharing;
mod support;
