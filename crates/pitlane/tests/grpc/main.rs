//! The cache for unary gRPC calls over real sockets: a server whose answers are written by hand, and
//! a client that sees every byte of them.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod answers;
mod attacks;
mod basics;
mod client;
mod direct;
mod fixture;
mod naive;
mod races;
#[cfg(feature = "redis")]
mod remote;
mod requests;
mod sharing;
