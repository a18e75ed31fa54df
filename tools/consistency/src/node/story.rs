//! What a node did lately.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use pitlane::Position;

use crate::judge::{Seen, Source};
use crate::moment::Moment;
use crate::space::Space;

/// How much a node remembers.
const MEMORY: usize = 100_000;

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) from: Moment,
    pub(crate) until: Moment,
    pub(crate) rows: Range<usize>,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Read {
        space: Space,
        seen: Seen,
    },
    /// The database was asked at `asked` for what is stored now.
    Stored {
        space: Space,
        version: u64,
        asked: Moment,
    },
    Committed {
        version: u64,
    },
    /// `position` is what came of it; `None` for something that is only queued.
    Invalidated {
        how: &'static str,
        version: u64,
        position: Option<Position>,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Story(Mutex<VecDeque<Event>>);

impl Story {
    pub(crate) fn add(&self, event: Event) {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() == MEMORY {
            events.pop_front();
        }
        events.push_back(event);
    }

    /// What concerns a row, oldest first.
    pub(crate) fn of(&self, row: usize) -> Vec<Event> {
        let events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let concerns = |event: &&Event| event.rows.contains(&row);
        events.iter().filter(concerns).cloned().collect()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} .. {} {}", self.from, self.until, self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { space, seen } => {
                let source = match seen.source {
                    Source::Memory => "memory",
                    Source::Remote => "Redis",
                    Source::Computed => "the database",
                };
                let stale = if seen.stale { ", stale" } else { "" };
                let (name, version) = (space.name(), seen.version);
                write!(f, "read {name}: version {version} from {source}{stale}")
            }
            Self::Stored {
                space,
                version,
                asked,
            } => {
                let name = space.name();
                write!(
                    f,
                    "stored in {name}: version {version}, asked for at {asked}"
                )
            }
            Self::Committed { version } => write!(f, "committed version {version}"),
            Self::Invalidated {
                how,
                version,
                position,
            } => {
                write!(
                    f,
                    "invalidated by {how} what is older than version {version}: "
                )?;
                match position {
                    Some(position) => write!(f, "applied at {position}"),
                    None => f.write_str("queued"),
                }
            }
        }
    }
}
