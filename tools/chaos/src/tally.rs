//! What became of the requests of one phase.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::pulse::micros;

/// One request as its client saw it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    pub(crate) took: Duration,
    /// How much of that this process was late by itself.
    pub(crate) late: Duration,
    /// Whether the breaker of its node was open when it began, and when it ended.
    pub(crate) was_open: bool,
    pub(crate) wrong: Option<String>,
}

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Remote,
    Miss,
    Write,
    /// Not at all within the time after which it counts as hung.
    Hung,
}

/// Counts of one phase. A request counts in the phase in which it ends.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    kinds: [AtomicU64; 5],
    wrong: AtomicU64,
    slow_before: AtomicU64,
    slow_after: AtomicU64,
    slow_raw: AtomicU64,
    longest: AtomicU64,
    example: Mutex<Option<String>>,
    /// The slowest request that was slow, of those begun before the breaker opened and after.
    slowest: [Mutex<Option<Slowest>>; 2],
}

/// A slow request, for whoever wants to know why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slowest {
    kind: Kind,
    took: Duration,
    late: Duration,
}

impl Tally {
    /// `limit` is what a request may take before it counts as slow.
    pub(crate) fn add(&self, seen: Seen, limit: Duration) {
        self.kinds[seen.kind as usize].fetch_add(1, Ordering::Relaxed);
        self.longest.fetch_max(micros(seen.took), Ordering::Relaxed);
        let one = |counter: &AtomicU64, is: bool| {
            counter.fetch_add(u64::from(is), Ordering::Relaxed);
        };
        let slow = seen.took.saturating_sub(seen.late) > limit;
        one(&self.slow_raw, seen.took > limit);
        one(&self.slow_before, slow && !seen.was_open);
        one(&self.slow_after, slow && seen.was_open);
        if slow {
            self.remember(&seen);
        }
        if let Some(wrong) = seen.wrong {
            self.wrong(wrong);
        }
    }

    fn remember(&self, seen: &Seen) {
        let slowest = &self.slowest[usize::from(seen.was_open)];
        let mut slowest = slowest.lock().unwrap_or_else(PoisonError::into_inner);
        if slowest.is_none_or(|known| known.took < seen.took) {
            *slowest = Some(Slowest {
                kind: seen.kind,
                took: seen.took,
                late: seen.late,
            });
        }
    }

    pub(crate) fn wrong(&self, example: String) {
        self.wrong.fetch_add(1, Ordering::Relaxed);
        let mut first = self.example.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(example);
    }

    pub(crate) fn count(&self, kind: Kind) -> u64 {
        self.kinds[kind as usize].load(Ordering::Relaxed)
    }

    /// All requests.
    pub(crate) fn total(&self) -> u64 {
        let counts = self.kinds.iter();
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn reads(&self) -> u64 {
        self.hits() + self.count(Kind::Miss)
    }

    pub(crate) fn hits(&self) -> u64 {
        self.count(Kind::Memory) + self.count(Kind::Remote)
    }

    pub(crate) fn wrongs(&self) -> u64 {
        self.wrong.load(Ordering::Relaxed)
    }

    /// Slow ones that began before the breaker opened, and after.
    pub(crate) fn slow(&self) -> (u64, u64) {
        let before = self.slow_before.load(Ordering::Relaxed);
        (before, self.slow_after.load(Ordering::Relaxed))
    }

    /// Slow ones, whether or not the machine was to blame.
    pub(crate) fn slow_raw(&self) -> u64 {
        self.slow_raw.load(Ordering::Relaxed)
    }

    pub(crate) fn longest(&self) -> Duration {
        Duration::from_micros(self.longest.load(Ordering::Relaxed))
    }

    /// The slowest of the slow ones in words: begun before the breaker opened, and after.
    pub(crate) fn slowest(&self) -> [String; 2] {
        [0, 1].map(|which: usize| {
            let slowest = self.slowest[which].lock();
            let slowest = *slowest.unwrap_or_else(PoisonError::into_inner);
            slowest.map_or_else(String::new, |one| {
                let (kind, took, late) = (one.kind, one.took, one.late);
                format!("the slowest: {kind:?} after {took:.1?}, of which {late:.1?} late")
            })
        })
    }

    /// The first wrong answer.
    pub(crate) fn example(&self) -> Option<String> {
        let example = self.example.lock().unwrap_or_else(PoisonError::into_inner);
        example.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(took: u64, late: u64, was_open: bool, expected: (u64, u64), raw: u64) {
        let tally = Tally::default();
        let seen = Seen {
            kind: Kind::Miss,
            took: Duration::from_millis(took),
            late: Duration::from_millis(late),
            was_open,
            wrong: None,
        };
        tally.add(seen, Duration::from_millis(25));
        assert_eq!(tally.slow(), expected);
        assert_eq!(tally.slow_raw(), raw);
        assert_eq!((tally.total(), tally.reads(), tally.hits()), (1, 1, 0));
    }

    #[test]
    fn slow_is_what_the_process_was_not_late_by_itself() {
        check(25, 0, false, (0, 0), 0);
        check(26, 0, false, (1, 0), 1);
        check(26, 0, true, (0, 1), 1);
        check(60, 40, true, (0, 0), 1);
    }
}
