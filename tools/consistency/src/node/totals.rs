//! How often a node did what.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// Reads of any outcome.
    Reads,
    MemoryHits,
    RemoteHits,
    /// Among both: those that were called stale.
    StaleHits,
    /// Hits of strict caches, among those of memory and Redis.
    StrictHits,
    /// Hits in memory while the node's log was within the bound.
    BoundedHits,
    Commits,
    Applied,
    Queued,
    /// Invalidations whose end nobody waited for.
    Unwatched,
    Violations,
}

const COUNTS: usize = Count::Violations as usize + 1;

#[derive(Debug, Default)]
pub(crate) struct Counters([AtomicU64; COUNTS]);

impl Counters {
    pub(crate) fn add(&self, count: Count) {
        if let Some(counter) = self.0.get(count as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals(
            self.0
                .each_ref()
                .map(|counter| counter.load(Ordering::Relaxed)),
        )
    }
}

/// The counters at one time, as they go from node to driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals([u64; COUNTS]);

impl Totals {
    pub(crate) fn of(&self, count: Count) -> u64 {
        self.0.get(count as usize).copied().unwrap_or_default()
    }

    pub(crate) fn plus(mut self, other: &Self) -> Self {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
        self
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|number| write!(f, "{number} "))
    }
}

impl FromStr for Totals {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let numbers: Result<Vec<u64>, _> = line.split_whitespace().map(str::parse).collect();
        let numbers = numbers.ok().and_then(|numbers| numbers.try_into().ok());
        numbers
            .map(Self)
            .ok_or_else(|| format!("no totals: {line}"))
    }
}
