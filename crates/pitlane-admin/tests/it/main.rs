//! The admin API and pages over real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod abuse;
mod api;
mod hostile;
mod pages;
mod stage;
