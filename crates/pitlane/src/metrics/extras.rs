use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use pitlane_core::Reason;

use super::running::FillOutcome;
use crate::cache::Cache;

const REASONS: usize = Reason::ALL.len();
const FILLS: usize = FillOutcome::ALL.len();

/// What one cache counts for metrics alone, all of it off the hit path.
#[derive(Debug)]
pub(crate) struct Extras {
    lookups: [AtomicU64; REASONS],
    revalidations: [AtomicU64; REASONS],
    fills: [AtomicU64; FILLS],
}

impl Default for Extras {
    fn default() -> Self {
        Self {
            lookups: [const { AtomicU64::new(0) }; REASONS],
            revalidations: [const { AtomicU64::new(0) }; REASONS],
            fills: [const { AtomicU64::new(0) }; FILLS],
        }
    }
}

impl Extras {
    pub(crate) fn count_lookup(&self, reason: Reason) {
        add(&self.lookups, reason as usize);
    }

    pub(crate) fn count_revalidation(&self, reason: Reason) {
        add(&self.revalidations, reason as usize);
    }

    pub(crate) fn filled(&self, _cache: &Cache, outcome: FillOutcome, _took: Duration) {
        add(&self.fills, outcome as usize);
    }
}

fn add(counts: &[AtomicU64], number: usize) {
    if let Some(count) = counts.get(number) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}
