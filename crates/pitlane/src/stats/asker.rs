use std::sync::atomic::{AtomicBool, Ordering};

use http::Extensions;
use pitlane_core::{Outcome, Reason};

use super::Seen;
use crate::cache::{Cache, Entry};
#[cfg(feature = "stats")]
use crate::clock::Moment;
#[cfg(feature = "metrics")]
use crate::metrics::Told;

/// Where requests are counted that have no label.
pub(crate) const UNMATCHED: &str = "unmatched";

/// On whose behalf a request is counted: its route, and whoever outside of the layer wants to
/// know how it was answered.
///
/// However its request ends, it is counted once: one that is dropped before it was answered,
/// because its client has left, is a miss that was abandoned.
#[derive(Debug)]
pub(crate) struct Asker {
    cache: Cache,
    label: Option<Box<str>>,
    #[cfg(feature = "metrics")]
    told: Option<Told>,
    #[cfg(feature = "stats")]
    began: Moment,
    /// Whether it is still to be counted.
    waits: AtomicBool,
}

impl Asker {
    /// Takes the word of it out of the request: what the inner service does with it, perhaps after
    /// it was answered, is nobody's outcome.
    #[cfg_attr(
        not(feature = "metrics"),
        expect(unused_variables, reason = "nobody wants to know then")
    )]
    pub(crate) fn new(label: Option<Box<str>>, extensions: &mut Extensions, cache: &Cache) -> Self {
        Self {
            cache: cache.clone(),
            label,
            #[cfg(feature = "metrics")]
            told: extensions.remove::<Told>(),
            #[cfg(feature = "stats")]
            began: cache.shared().clock.look().1,
            waits: AtomicBool::new(true),
        }
    }

    /// Nobody waits for an answer, or somebody was given one.
    pub(crate) fn dismiss(&self) {
        self.waits.store(false, Ordering::Relaxed);
    }

    pub(crate) fn count(&self, outcome: Outcome, reason: Reason) {
        self.count_seen(outcome, reason, Seen::default());
    }

    /// Counts the request as one that was given what is stored.
    pub(crate) fn count_given(&self, outcome: Outcome, reason: Reason, entry: &Entry) {
        self.count_seen(outcome, reason, Seen::of(entry));
    }

    fn count_seen(&self, outcome: Outcome, reason: Reason, seen: Seen<'_>) {
        self.dismiss();
        #[cfg(feature = "metrics")]
        if let Some(told) = &self.told {
            told.tell(outcome);
        }
        let stats = self.cache.stats();
        #[cfg(feature = "stats")]
        let seen = seen.taking(stats.measure(outcome, self.began));
        let label = self.label.as_deref();
        stats.count_seen(label.unwrap_or(UNMATCHED), outcome, reason, seen);
    }
}

impl Asker {
    /// Takes the place of this one, which has nobody to count for then.
    pub(crate) fn take(&mut self) -> Self {
        Self {
            cache: self.cache.clone(),
            label: self.label.take(),
            #[cfg(feature = "metrics")]
            told: self.told.take(),
            #[cfg(feature = "stats")]
            began: self.began,
            waits: AtomicBool::new(std::mem::take(self.waits.get_mut())),
        }
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        if *self.waits.get_mut() {
            self.count(Outcome::Miss, Reason::Abandoned);
        }
    }
}

/// Tells whoever outside of the layer wants to know how a request was answered.
#[inline]
#[cfg_attr(
    not(feature = "metrics"),
    expect(unused_variables, reason = "nobody wants to know then")
)]
pub(crate) fn tell(extensions: &Extensions, outcome: Outcome) {
    #[cfg(feature = "metrics")]
    if let Some(told) = extensions.get::<Told>() {
        told.tell(outcome);
    }
}
