//! The proxy over real sockets, between scripted origins and clients that count.

mod caching;
mod failures;
mod forwarding;
mod freshness;
mod headers;
#[cfg(target_os = "linux")]
mod memory;
mod program;
mod resend;
mod streaming;
mod support;
mod upgrade;
