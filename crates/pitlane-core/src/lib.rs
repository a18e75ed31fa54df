//! The pure heart of Pitlane: no runtime, no HTTP, no clock.
//!
//! Everything here is either a value ([`Key`], [`Tag`], [`Position`], [`Reason`]) or a small
//! concurrent state machine ([`Log`], [`Flights`]) whose transitions are decided under one lock,
//! so that models can explore all of them. Time is always an argument.

mod entry;
mod flight;
mod hash;
mod key;
mod log;
mod position;
mod reason;
mod scope;
mod stamp;
mod store;
mod sync;
mod table;
mod tag;
mod time;

pub use entry::{Meta, TagSet};
pub use flight::{Flights, Followed, Follower, Joined, Leader};
pub use hash::{Digest, Hasher128};
pub use key::{Key, KeyError, KeyErrorKind};
pub use log::Log;
pub use position::{Basis, Incarnation, LogId, Position};
pub use reason::{Outcome, Reason};
pub use scope::{Dependencies, Gathered};
pub use stamp::Stamp;
pub use store::{Condition, RemoteFuture, RemoteStore, StoreError, StoreErrorKind};
pub use table::{Judgement, Table};
pub use tag::{Mark, Tag, TagId, TagKind};
pub use time::Timestamp;
