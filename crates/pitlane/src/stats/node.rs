use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use pitlane_core::{Outcome, Timestamp};

use super::{
    history::{History, Reading},
    samples::MEASURED,
    view::{OutcomeCounts, PublishStats},
};
use crate::cache::{Cache, Caches};

/// What a registry of caches knows of itself as a node.
#[derive(Debug)]
pub(crate) struct Node {
    /// Of this start of this process; the standard library's hash keys are its own source of
    /// randomness.
    pub(super) id: String,
    pub(super) started: Timestamp,
    /// Whether somebody samples.
    pub(super) sampled: AtomicBool,
    pub(super) told: Mutex<Told>,
    histories: Mutex<Histories>,
    pub(super) published: Published,
    /// Where the others are told.
    #[cfg(feature = "redis")]
    pub(super) place: Option<super::Place>,
}

/// What the sampler and its options said.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) name: Option<String>,
    #[cfg(feature = "redis")]
    pub(super) server: Option<super::RedisServerStats>,
    #[cfg(feature = "redis")]
    pub(super) unavailable: Option<String>,
}

/// Of all caches together, and of each.
#[derive(Debug)]
pub(super) struct Histories {
    pub(super) all: History,
    pub(super) each: Vec<History>,
}

/// How snapshots fared.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub(super) on: AtomicBool,
    pub(super) taken: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) last: AtomicU64,
    pub(super) bytes: AtomicU64,
}

impl Node {
    pub(crate) fn new(started: Timestamp) -> Self {
        let random = RandomState::new().build_hasher().finish();
        Self {
            id: format!("{random:016x}"),
            started,
            sampled: AtomicBool::new(false),
            told: Mutex::default(),
            histories: Mutex::new(Histories {
                all: History::new(),
                each: Vec::new(),
            }),
            published: Published::default(),
            #[cfg(feature = "redis")]
            place: None,
        }
    }

    /// A node that can tell others.
    #[cfg(feature = "redis")]
    pub(crate) fn at(mut self, place: super::Place) -> Self {
        self.place = Some(place);
        self
    }

    pub(super) fn is_sampled(&self) -> bool {
        self.sampled.load(Ordering::Acquire)
    }

    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn histories(&self) -> MutexGuard<'_, Histories> {
        self.histories
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how the counters stand. Once a second.
    pub(super) fn sample(&self, caches: &Caches) {
        let now = caches.shared.clock.now();
        let mut histories = self.histories();
        // A sampler that is ended in the middle of this must not turn anything on again.
        if !self.is_sampled() {
            return;
        }
        let mut all = Reading::default();
        for (number, cache) in caches.iter().enumerate() {
            cache.stats().refill();
            let reading = read(cache);
            all.add(&reading);
            if histories.each.len() <= number {
                histories.each.push(History::new());
            }
            if let Some(history) = histories.each.get_mut(number) {
                history.note(now, &reading);
            }
        }
        histories.all.note(now, &all);
    }

    /// Nobody samples any more.
    pub(super) fn stop(&self, caches: &Caches) {
        // One sample more may be on its way on another thread: it comes before this or sees it.
        let _histories = self.histories();
        self.sampled.store(false, Ordering::Release);
        for cache in caches.iter() {
            cache.stats().stop();
        }
    }
}

impl Published {
    pub(super) fn read(&self) -> Option<PublishStats> {
        let last = self.last.load(Ordering::Relaxed);
        self.on.load(Ordering::Relaxed).then(|| PublishStats {
            published: self.taken.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            last_ms: (last > 0).then_some(last),
            last_bytes: self.bytes.load(Ordering::Relaxed),
        })
    }
}

/// The counters of a cache as they stand.
fn read(cache: &Cache) -> Reading {
    let mut latencies = Vec::new();
    for outcome in MEASURED {
        let counts = cache.stats().latencies(outcome);
        latencies.resize(counts.len(), 0_u64);
        for (sum, more) in latencies.iter_mut().zip(counts) {
            *sum = sum.saturating_add(more);
        }
    }
    Reading {
        outcomes: outcomes(cache),
        latencies,
    }
}

pub(super) fn outcomes(cache: &Cache) -> OutcomeCounts {
    let counted = cache.stats().outcomes();
    let mut outcomes = OutcomeCounts::default();
    for (outcome, count) in Outcome::ALL.into_iter().zip(counted) {
        outcomes.add(outcome, count);
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_that_comes_after_the_end_turns_nothing_on() {
        let caches = Caches::builder().cache("pages").build().unwrap();
        let node = &caches.shared.node;
        let is_on = || caches.iter().any(|cache| cache.stats().samples.is_on());
        node.sampled.store(true, Ordering::Release);
        node.sample(&caches);
        assert!(is_on());
        node.stop(&caches);
        node.sample(&caches);
        assert!(!is_on());
    }
}
