//! What the recorder of the process is told: names, labels and numbers.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

#[cfg(feature = "explain")]
mod asking;
mod book;
mod contract;
mod drive;
mod gauges;
mod hostile;
mod operations;
mod outcomes;
mod passing;
mod recorders;
mod values;
