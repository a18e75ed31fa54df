use pitlane_core::Reason;

use crate::cache::Cache;

/// A computation of something that may be stored: how it ends, and how long it takes.
///
/// However it is dropped, it is counted once: as abandoned, unless somebody said what became of it.
#[derive(Debug)]
#[must_use = "a computation that is dropped at once is counted as abandoned"]
pub(crate) struct Filling {
    #[cfg(feature = "metrics")]
    running: crate::metrics::Running,
}

impl Filling {
    #[cfg_attr(
        not(feature = "metrics"),
        expect(unused_variables, reason = "nobody measures then")
    )]
    pub(crate) fn begin(cache: &Cache) -> Self {
        Self {
            #[cfg(feature = "metrics")]
            running: crate::metrics::Running::begin(cache),
        }
    }

    /// Says what became of it. The last word counts.
    #[cfg_attr(
        not(feature = "metrics"),
        expect(unused_variables, clippy::unused_self, reason = "nobody measures then")
    )]
    pub(crate) fn end(&self, reason: Reason) {
        #[cfg(feature = "metrics")]
        self.running.end(reason);
    }
}
