//! The flights and the log against plain references, one random schedule after another.
#![cfg(not(loom))]
#![expect(clippy::indexing_slicing, reason = "a test may fail")]

mod codec;
mod protocol;
mod schedule;
