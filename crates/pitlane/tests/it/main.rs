//! The caches and the layers, from outside.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod axum_stack;
mod basics;
mod collapse;
mod conditionals;
mod drive;
mod interleavings;
mod owed;
mod patience;
mod shares;
mod stale;
mod variants;
