//! What the recorder of the process is told: names, labels and numbers.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod book;
mod drive;
mod gauges;
mod hostile;
mod outcomes;
mod recorders;
mod values;
