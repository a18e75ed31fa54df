use http::Extensions;
use pitlane_core::{Outcome, Reason};

use super::Stats;
#[cfg(feature = "metrics")]
use crate::metrics::Told;

/// Where requests are counted that have no label.
pub(crate) const UNMATCHED: &str = "unmatched";

/// On whose behalf a request is counted: its route, and whoever outside of the layer wants to
/// know how it was answered.
#[derive(Debug, Default)]
pub(crate) struct Asker {
    label: Option<Box<str>>,
    #[cfg(feature = "metrics")]
    told: Option<Told>,
}

impl Asker {
    /// Takes the word of it out of the request: what the inner service does with it, perhaps after
    /// it was answered, is nobody's outcome.
    #[cfg_attr(
        not(feature = "metrics"),
        expect(unused_variables, reason = "nobody wants to know then")
    )]
    pub(crate) fn new(label: Option<Box<str>>, extensions: &mut Extensions) -> Self {
        Self {
            label,
            #[cfg(feature = "metrics")]
            told: extensions.remove::<Told>(),
        }
    }

    pub(crate) fn count(&self, stats: &Stats, outcome: Outcome, reason: Reason) {
        #[cfg(feature = "metrics")]
        if let Some(told) = &self.told {
            told.tell(outcome);
        }
        let label = self.label.as_deref();
        stats.count(label.unwrap_or(UNMATCHED), outcome, reason);
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
