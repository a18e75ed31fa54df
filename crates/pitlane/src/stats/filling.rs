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
    /// In a box, because there is rarely one.
    span: Option<Box<Span>>,
}

impl Filling {
    pub(crate) fn begin(cache: &Cache) -> Self {
        Self {
            #[cfg(feature = "metrics")]
            running: crate::metrics::Running::begin(cache),
            span: trace::is_wanted().then(|| Box::new(trace::fill(cache.name()))),
        }
    }

    /// The span that the computation runs in.
    pub(crate) fn span(&self) -> Span {
        self.span.as_deref().cloned().unwrap_or_else(Span::none)
    }

    /// Says what became of it. The last word counts.
    pub(crate) fn end(&self, reason: Reason) {
        if let Some(span) = &self.span {
            trace::end(span, reason);
        }
        #[cfg(feature = "metrics")]
        self.running.end(reason);
    }
}
