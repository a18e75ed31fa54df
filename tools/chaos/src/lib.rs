//! Faults of Redis under load: two nodes that share a real redis-server, 64 clients over real
//! sockets, and a check of every answer.
//!
//! `cargo xtask chaos` prints one row for each fault, with the bar that each figure has to meet.

#![expect(
    clippy::indexing_slicing,
    reason = "a tool whose tables have as many places as there are rows, nodes and kinds"
)]

mod disturb;
mod fault;
mod load;
mod node;
mod outcome;
mod plan;
mod pulse;
mod rows;
mod scenario;
mod tally;

pub use fault::Fault;
pub use outcome::{Outcome, table};
pub use plan::Plan;
pub use scenario::run;
