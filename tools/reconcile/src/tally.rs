use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use pitlane::{Outcome, stats::OutcomeCounts};

/// How many requests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally([u64; Outcome::ALL.len()]);

impl Tally {
    /// Requests of one outcome.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize]
    }

    /// All requests.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl From<&OutcomeCounts> for Tally {
    fn from(counts: &OutcomeCounts) -> Self {
        Self(Outcome::ALL.map(|outcome| counts.of(outcome)))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for outcome in Outcome::ALL {
            write!(f, "{} {:>9}  ", outcome.as_str(), self.of(outcome))?;
        }
        write!(f, "all {:>9}", self.total())
    }
}

/// What all clients count together.
#[derive(Debug, Default)]
pub(crate) struct Counting([AtomicU64; Outcome::ALL.len()]);

impl Counting {
    pub(crate) fn count(&self, outcome: Outcome) {
        self.0[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Tally {
        Tally(std::array::from_fn(|index| {
            self.0[index].load(Ordering::Relaxed)
        }))
    }
}
