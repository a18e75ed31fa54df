//! The invalidation log over a real redis-server: each rule of the design, and what becomes of
//! the log when something of it is lost.

mod node;
mod rules;
