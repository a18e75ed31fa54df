use crate::position::{Incarnation, LogId, Position};
use crate::record::Record;

/// How far a node has read: the last record, and the random number that this record carries.
///
/// The number tells apart two records that were given the same ID, before and after a server
/// lost the end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Watermark {
    /// Where that record stands.
    pub position: Position,
    /// The record's random number.
    pub nonce: u64,
}

impl Watermark {
    /// A place in the log.
    #[must_use]
    pub const fn new(incarnation: Incarnation, id: LogId, nonce: u64) -> Self {
        Self {
            position: Position { incarnation, id },
            nonce,
        }
    }

    /// Which life of the log.
    #[must_use]
    pub const fn incarnation(&self) -> Incarnation {
        self.position.incarnation
    }

    /// Where in it.
    #[must_use]
    pub const fn id(&self) -> LogId {
        self.position.id
    }

    /// Whether a node that has read this far has read everything up to `tail`.
    #[must_use]
    pub fn covers(&self, tail: &Self) -> bool {
        self == tail || (self.incarnation() == tail.incarnation() && self.id() > tail.id())
    }
}

/// A record as it came back from the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Where it stands, and its own random number.
    pub at: Watermark,
    /// The random number of the record before it: a node that did not apply that one has a gap.
    pub previous: u64,
    /// What it invalidates.
    pub record: Record,
}
