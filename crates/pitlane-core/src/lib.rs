//! The pure heart of Pitlane: no runtime, no HTTP, no clock.
//!
//! Everything here is either a value ([`Key`], [`Tag`], [`Position`], [`Reason`]) or a small
//! concurrent state machine ([`Log`], [`Flights`]) whose transitions are decided under one lock,
//! so that models can explore all of them. Time is always an argument.

mod breaker;
pub mod codec;
mod compress;
mod entry;
mod flight;
mod hash;
mod key;
mod log;
mod owed;
mod position;
mod reason;
mod record;
mod scope;
mod stamp;
mod store;
mod sync;
mod table;
mod tag;
mod time;
mod uplink;
mod watermark;

pub use breaker::{
    Breaker, BreakerRules, BreakerSnapshot, BreakerState, CallOutcome, Permit, Refused,
};
pub use entry::{Meta, TagSet};
pub use flight::{Flights, Followed, Follower, Joined, Leader};
pub use hash::{Digest, Hasher128};
pub use key::{Key, KeyError, KeyErrorKind};
pub use log::{Caught, Log};
pub use owed::Debt;
pub use position::{Basis, Incarnation, LogId, Position, PositionError};
pub use reason::{Outcome, Reason};
pub use record::{Item, Record, RecordError};
pub use scope::{Dependencies, Gathered};
pub use stamp::Stamp;
pub use store::{Condition, RemoteFuture, RemoteStore, StoreError, StoreErrorKind};
pub use table::{Judgement, Remembered, RemoteJudgement, Step, Table};
pub use tag::{Mark, Tag, TagHasher, TagId, TagKind};
pub use time::Timestamp;
pub use uplink::{Uplink, UplinkStatus};
pub use watermark::{Logged, Watermark};
