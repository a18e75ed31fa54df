//! Sessions of [tower-sessions] in Redis, which outlive its outages in the memory of nodes.
//!
//! [`PitlaneStore`] is a [`SessionStore`](tower_sessions_core::SessionStore) over a
//! [`Cache`](pitlane::Cache) of the kind `store`.
//!
//! # What it promises
//!
//! - **A session is created once.** An id that is taken, or was, is never taken over: the new
//!   session gets another one.
//! - **A deletion is final.** It leaves a mark in Redis, for as long as a session can live. Saving a
//!   session that was deleted, has expired or was cleared is an error, and does not bring it back.
//!   tower-sessions' layer answers such a request with a 500; the next one begins a new session.
//! - **Damaged bytes are no session.** They are counted and traced.
//! - **Ids are secrets.** They are not in logs, errors and `Debug`; Redis gets their hash.
//!
//! # While Redis is away
//!
//! A node keeps the sessions that it has seen in a bounded memory ([`PitlaneStore::memory`]).
//! While Redis is away it goes on with those: they are loaded, saved, created and deleted there. A
//! session that the node doesn't know is an error rather than none, which would end it in the
//! browser; so is a write for which there is no room. The first request that meets the outage
//! waits for one Redis budget, the others don't wait.
//!
//! When Redis is back, each node first says what was deleted, and then writes back what it saved.
//! Where it is another process it compares all that it has. The newer save counts: it is later than
//! every save that its saver knew of, and among savers who didn't know of each other the later one
//! by their clocks. Where Redis has lost its data, nodes write back what they know, a second later
//! than deletions. For three seconds after an outage, and after a node's start, a session that is
//! not in Redis is an error, as another node may be about to write it back. So nobody is logged out
//! whose session a node has in memory.
//!
//! # What it does not promise
//!
//! - A node that ends while Redis is away takes with it what it alone knew: saves, new sessions,
//!   and deletions. [`PitlaneStore::drain`] waits for Redis.
//! - While Redis is away nodes don't hear of each other: a session that was deleted on one of them
//!   is there on the others that know it, until Redis is back.
//! - When Redis loses its data, or goes back in time, a deletion counts as long as a node that made
//!   it or saw it remembers it, and is back in Redis within a second of the others.
//! - Of two saves of one session at the same time the later one wins, as a whole.
//!
//! [tower-sessions]: https://docs.rs/tower-sessions

mod judge;
mod link;
mod node;
mod place;
mod sheet;
mod shelf;
mod store;
mod sync;
#[cfg(test)]
mod tests;
mod trouble;
mod version;

pub use store::{PitlaneStore, StoreStatus};

/// The guide's page, whose code is tested here.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/sessions.md")]
struct Guide;
