use pitlane_core::Reason;
use tracing::Span;

use crate::{cache::Cache, trace};

/// A computation of something that may be stored: how it ends, and how long it takes.
///
/// However it is dropped, it is counted once: as abandoned, unless somebody said what became of it.
#[derive(Debug)]
#[must_use = "a computation that is dropped at once is counted as abandoned"]
pub(crate) struct Filling {
    #[cfg(feature = "metrics")]
    running: crate::metrics::Running,
    span: Span,
}

impl Filling {
    pub(crate) fn begin(cache: &Cache) -> Self {
        Self {
            #[cfg(feature = "metrics")]
            running: crate::metrics::Running::begin(cache),
            span: if trace::is_wanted() {
                trace::fill(cache.name())
            } else {
                Span::none()
            },
        }
    }

    /// The span that the computation runs in.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Says what became of it. The last word counts.
    pub(crate) fn end(&self, reason: Reason) {
        trace::end(&self.span, reason);
        #[cfg(feature = "metrics")]
        self.running.end(reason);
    }
}
