use http::Extensions;
use pitlane_core::{Outcome, Reason};

use super::{Seen, Stats};
#[cfg(feature = "stats")]
use crate::clock::Moment;
#[cfg(feature = "metrics")]
use crate::metrics::Told;
use crate::{cache::Entry, clock::Clock};

/// Where requests are counted that have no label.
pub(crate) const UNMATCHED: &str = "unmatched";

/// On whose behalf a request is counted: its route, and whoever outside of the layer wants to
/// know how it was answered.
#[derive(Debug, Default)]
pub(crate) struct Asker {
    label: Option<Box<str>>,
    #[cfg(feature = "metrics")]
    told: Option<Told>,
    #[cfg(feature = "stats")]
    began: Option<Moment>,
}

impl Asker {
    /// Takes the word of it out of the request: what the inner service does with it, perhaps after
    /// it was answered, is nobody's outcome.
    #[cfg_attr(
        not(all(feature = "metrics", feature = "stats")),
        expect(unused_variables, reason = "nobody wants to know then")
    )]
    pub(crate) fn new(label: Option<Box<str>>, extensions: &mut Extensions, clock: &Clock) -> Self {
        Self {
            label,
            #[cfg(feature = "metrics")]
            told: extensions.remove::<Told>(),
            #[cfg(feature = "stats")]
            began: Some(clock.look().1),
        }
    }

    pub(crate) fn count(&self, stats: &Stats, outcome: Outcome, reason: Reason) {
        self.count_seen(stats, outcome, reason, Seen::default());
    }

    /// Counts the request as one that was given what is stored.
    pub(crate) fn count_given(
        &self,
        stats: &Stats,
        outcome: Outcome,
        reason: Reason,
        entry: &Entry,
    ) {
        self.count_seen(stats, outcome, reason, Seen::of(entry));
    }

    fn count_seen(&self, stats: &Stats, outcome: Outcome, reason: Reason, seen: Seen<'_>) {
        #[cfg(feature = "metrics")]
        if let Some(told) = &self.told {
            told.tell(outcome);
        }
        #[cfg(feature = "stats")]
        let seen = seen.taking(self.began.and_then(|began| stats.measure(outcome, began)));
        let label = self.label.as_deref();
        stats.count_seen(label.unwrap_or(UNMATCHED), outcome, reason, seen);
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
