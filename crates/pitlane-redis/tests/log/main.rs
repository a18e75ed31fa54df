//! The invalidation log over a real redis-server: each rule of the design, and what becomes of
//! the log when something of it is lost.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail, and has the system's clock"
)]

mod damage;
mod follow;
mod forged;
mod hash;
mod keys;
mod lives;
mod node;
mod owed;
mod refused;
mod switch;
mod warnings;
