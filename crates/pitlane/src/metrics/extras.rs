use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use metrics::SharedString;
use pitlane_core::Reason;

use super::{handles::Histograms, running::FillOutcome, spec::FILL_SECONDS};
use crate::stats::Trouble;

const REASONS: usize = Reason::ALL.len();
const FILLS: usize = FillOutcome::ALL.len();
const TROUBLES: usize = Trouble::ALL.len();

/// What one cache counts for metrics alone, all of it off the hit path.
#[derive(Debug)]
pub(crate) struct Extras {
    lookups: [AtomicU64; REASONS],
    revalidations: [AtomicU64; REASONS],
    fills: [AtomicU64; FILLS],
    troubles: [AtomicU64; TROUBLES],
    fill_seconds: Histograms<u8>,
}

impl Extras {
    pub(crate) fn new() -> Self {
        Self {
            lookups: [const { AtomicU64::new(0) }; REASONS],
            revalidations: [const { AtomicU64::new(0) }; REASONS],
            fills: [const { AtomicU64::new(0) }; FILLS],
            troubles: [const { AtomicU64::new(0) }; TROUBLES],
            fill_seconds: Histograms::new(FILL_SECONDS),
        }
    }

    pub(crate) fn count_lookup(&self, reason: Reason) {
        add(&self.lookups, reason as usize);
    }

    pub(crate) fn count_revalidation(&self, reason: Reason) {
        add(&self.revalidations, reason as usize);
    }

    pub(crate) fn count_trouble(&self, trouble: Trouble) {
        add(&self.troubles, trouble as usize);
    }

    pub(crate) fn filled(&self, cache: &str, outcome: FillOutcome, took: Duration) {
        add(&self.fills, outcome as usize);
        self.fill_seconds.record(outcome as u8, took, |metric| {
            let outcome = SharedString::const_str(outcome.as_str());
            metric.series([cache.to_owned().into(), outcome])
        });
    }

    /// Looks into memory that the counts of requests don't tell of.
    pub(crate) fn lookups(&self) -> impl Iterator<Item = (Reason, u64)> {
        used(Reason::ALL.iter().copied(), &self.lookups)
    }

    pub(crate) fn revalidations(&self) -> impl Iterator<Item = (Reason, u64)> {
        used(Reason::ALL.iter().copied(), &self.revalidations)
    }

    pub(crate) fn fills(&self) -> impl Iterator<Item = (FillOutcome, u64)> {
        all(FillOutcome::ALL.into_iter(), &self.fills)
    }

    pub(crate) fn troubles(&self) -> impl Iterator<Item = (Trouble, u64)> {
        all(Trouble::ALL.into_iter(), &self.troubles)
    }
}

fn add(counts: &[AtomicU64], number: usize) {
    if let Some(count) = counts.get(number) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn all<T>(names: impl Iterator<Item = T>, counts: &[AtomicU64]) -> impl Iterator<Item = (T, u64)> {
    names.zip(counts.iter().map(|count| count.load(Ordering::Relaxed)))
}

fn used<T>(names: impl Iterator<Item = T>, counts: &[AtomicU64]) -> impl Iterator<Item = (T, u64)> {
    all(names, counts).filter(|(_, count)| *count > 0)
}
