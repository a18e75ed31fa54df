use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use pitlane_core::{Outcome, Reason, Timestamp};

use super::{
    Seen,
    top::{Top, Watched},
    view::{BUCKETS, bucket_of},
};
use crate::{
    cache::Entry,
    clock::{Clock, Moment},
};

/// How many decisions a cache remembers.
pub(super) const REMEMBERED: usize = 256;

/// What a closer look at some requests of one cache has shown, in fixed memory.
#[derive(Debug)]
pub(super) struct Samples {
    clock: Clock,
    on: AtomicBool,
    latencies: [Box<[AtomicU64]>; MEASURED.len()],
    seen: Mutex<Lately>,
}

/// The outcomes that are measured, in the order of their numbers: all but bypass.
pub(super) const MEASURED: [Outcome; 5] = [
    Outcome::Hit,
    Outcome::Stale,
    Outcome::Collapsed,
    Outcome::Revalidated,
    Outcome::Miss,
];

#[derive(Debug, Default)]
pub(super) struct Lately {
    pub(super) by_hits: Top,
    pub(super) by_cost: Top,
    pub(super) decisions: VecDeque<Decided>,
}

/// How one request was answered.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) at: Timestamp,
    pub(super) route: Box<str>,
    pub(super) outcome: Outcome,
    pub(super) reason: Reason,
    pub(super) took: Option<Duration>,
}

impl Samples {
    pub(super) fn new(clock: &Clock) -> Self {
        let empty = || (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self {
            clock: clock.clone(),
            on: AtomicBool::new(false),
            latencies: [(); MEASURED.len()].map(|()| empty()),
            seen: Mutex::default(),
        }
    }

    pub(super) fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Looks at a request that stands for `weight` of them.
    #[cold]
    pub(super) fn take(
        &self,
        route: &str,
        (outcome, reason): (Outcome, Reason),
        seen: &Seen<'_>,
        weight: u32,
    ) {
        let (at, now) = self.clock.look();
        let weight = u64::from(weight);
        let looked = seen.began.map(|began| now.since(began));
        if let Some(took) = looked {
            self.measure(outcome, took, weight);
        }
        let took = looked.or(seen.took);
        // Nobody waits for anybody: a sample that comes at a bad time is left out.
        let Some(mut lately) = self.try_lately() else {
            return;
        };
        if let Some(entry) = seen.entry {
            let nanos = nanos(entry.meta.cost).saturating_mul(weight);
            lately.by_hits.add(&entry.key, weight, weight, nanos);
        }
        lately.decide(Decided {
            at,
            route: route.into(),
            outcome,
            reason,
            took,
        });
    }

    /// Measures a request that is off the hit path.
    pub(super) fn measure_since(&self, outcome: Outcome, began: Moment) -> Option<Duration> {
        if !self.is_on() {
            return None;
        }
        let took = self.clock.look().1.since(began);
        self.measure(outcome, took, 1);
        Some(took)
    }

    fn measure(&self, outcome: Outcome, took: Duration, weight: u64) {
        let counts = self.latencies.get(outcome as usize);
        if let Some(count) = counts.and_then(|counts| counts.get(bucket_of(took))) {
            count.fetch_add(weight, Ordering::Relaxed);
        }
    }

    /// Adds what a computation took to its key.
    pub(super) fn computed(&self, entry: &Entry) {
        if self.is_on() {
            let nanos = nanos(entry.meta.cost);
            let mut lately = self.lately();
            lately.by_cost.add(&entry.key, nanos, 1, nanos);
        }
    }

    /// Adds a hit on a value that no request is counted for.
    pub(super) fn used(&self, entry: &Entry, weight: u32) {
        if let Some(mut lately) = self.try_lately() {
            let weight = u64::from(weight);
            let nanos = nanos(entry.meta.cost).saturating_mul(weight);
            lately.by_hits.add(&entry.key, weight, weight, nanos);
        }
    }

    pub(super) fn latencies(&self, outcome: Outcome) -> Vec<u64> {
        let counts = self.latencies.get(outcome as usize);
        let counts = counts.map(|counts| counts.iter());
        let counts = counts.into_iter().flatten();
        counts.map(|count| count.load(Ordering::Relaxed)).collect()
    }

    pub(super) fn top(&self, most: usize) -> (Vec<Watched>, Vec<Watched>) {
        let lately = self.lately();
        (lately.by_hits.heaviest(most), lately.by_cost.heaviest(most))
    }

    /// The newest first.
    pub(super) fn decisions(&self) -> Vec<Decided> {
        self.lately().decisions.iter().rev().cloned().collect()
    }

    fn lately(&self) -> MutexGuard<'_, Lately> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lately(&self) -> Option<MutexGuard<'_, Lately>> {
        match self.seen.try_lock() {
            Ok(lately) => Some(lately),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Lately {
    fn decide(&mut self, decided: Decided) {
        if self.decisions.len() == REMEMBERED {
            self.decisions.pop_front();
        }
        self.decisions.push_back(decided);
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
