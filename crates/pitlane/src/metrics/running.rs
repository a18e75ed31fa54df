use std::sync::atomic::{AtomicU8, Ordering};

use pitlane_core::Reason;

use super::stopwatch::Stopwatch;
use crate::cache::Cache;

/// How the computation of something that may be stored ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FillOutcome {
    /// It was stored.
    Stored,
    /// There was an answer, but none to store.
    Uncacheable,
    /// It failed, at its beginning or on the way.
    Failed,
    /// Nobody waited for its end.
    Abandoned,
}

impl FillOutcome {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 4] = [
        Self::Stored,
        Self::Uncacheable,
        Self::Failed,
        Self::Abandoned,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Uncacheable => "uncacheable",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }

    const fn of(reason: Reason) -> Self {
        match reason {
            Reason::Stored => Self::Stored,
            Reason::Abandoned => Self::Abandoned,
            Reason::Failed
            | Reason::BodyError
            | Reason::LengthMismatch
            | Reason::SlowBody
            | Reason::ValidationMismatch => Self::Failed,
            _ => Self::Uncacheable,
        }
    }
}

/// A computation under way, measured until it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    cache: Cache,
    began: Stopwatch,
    outcome: AtomicU8,
}

impl Running {
    pub(crate) fn begin(cache: &Cache) -> Self {
        Self {
            cache: cache.clone(),
            began: Stopwatch::start(),
            outcome: AtomicU8::new(FillOutcome::Abandoned as u8),
        }
    }

    pub(crate) fn end(&self, reason: Reason) {
        let outcome = FillOutcome::of(reason);
        self.outcome.store(outcome as u8, Ordering::Relaxed);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.cache.is_shadow() {
            return;
        }
        let outcome = FillOutcome::ALL.get(usize::from(*self.outcome.get_mut()));
        let outcome = outcome.copied().unwrap_or(FillOutcome::Abandoned);
        let took = self.began.elapsed();
        let extras = &self.cache.stats().extras;
        extras.filled(self.cache.name(), outcome, took);
    }
}
