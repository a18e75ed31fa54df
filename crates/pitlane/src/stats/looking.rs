use std::time::Duration;

use pitlane_core::Outcome;

use super::{Stats, lock, samples::Decided, top::Watched};
use crate::{cache::Entry, clock::Moment};

/// A closer look at some of what is counted.
impl Stats {
    /// Measures a request that is off the hit path.
    pub(super) fn measure(&self, outcome: Outcome, began: Moment) -> Option<Duration> {
        self.samples.measure_since(outcome, began)
    }

    /// Adds what the computation of an entry took to its key.
    pub(crate) fn note_cost(&self, entry: &Entry) {
        self.samples.computed(entry);
    }

    /// Looks at a hit that no request is counted for.
    pub(crate) fn note_use(&self, entry: &Entry) {
        if !self.samples.is_on() {
            return;
        }
        let drawn = self.shard().sampling.draw(entry.meta.cost);
        if let Some(weight) = drawn {
            self.samples.used(entry, weight);
        }
    }

    /// From now on, or again after a second, the next requests are looked at.
    pub(super) fn refill(&self) {
        for shard in &self.shards {
            lock(shard).sampling.refill();
        }
        self.samples.switch(true);
    }

    pub(super) fn stop(&self) {
        self.samples.switch(false);
        for shard in &self.shards {
            lock(shard).sampling.stop();
        }
    }

    /// What computations took that nobody had to wait for.
    pub(super) fn saved(&self) -> Duration {
        let shards = self.shards.iter();
        shards.map(|shard| lock(shard).sampling.saved()).sum()
    }

    pub(super) fn latencies(&self, outcome: Outcome) -> Vec<u64> {
        self.samples.latencies(outcome)
    }

    pub(super) fn top(&self, most: usize) -> (Vec<Watched>, Vec<Watched>) {
        self.samples.top(most)
    }

    pub(super) fn decisions(&self) -> Vec<Decided> {
        self.samples.decisions()
    }
}
