//! Against real redis-server processes.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod basics;
mod support;
