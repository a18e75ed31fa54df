//! Against real redis-server processes.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod answers;
mod basics;
mod bounds;
mod faults;
mod freeze;
mod life;
mod secrets;
mod support;
