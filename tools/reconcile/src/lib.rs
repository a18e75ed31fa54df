//! Two nodes over one Redis, and clients that count for themselves: in the end both must have
//! counted the same, request by request.
//!
//! The nodes are processes of their own. Clients are answered from memory and from Redis, stale and
//! fresh, by the handler, by somebody else's computation; their handlers fail, panic and answer
//! 503; they leave in the middle of an answer and before it; and Redis is killed on the way. What the
//! nodes have counted is read as any reader of the fleet does.

#![expect(clippy::indexing_slicing, reason = "a tool; one that panics says so")]

mod answer;
mod fleet;
mod handler;
mod load;
mod node;
mod plan;
mod run;
mod tally;

pub use node::{SERVE, serve};
pub use plan::Plan;
pub use run::{Report, run};
pub use tally::Tally;
