use pitlane_core::TagKind;

use crate::cache::Shared;

/// Counts what is invalidated, when it is dropped: what somebody stopped waiting for is owed, and
/// so is what the log did not take.
#[must_use = "dropped at once it counts what is invalidated as owed"]
pub(crate) struct Invalidating<'a> {
    #[cfg(feature = "metrics")]
    counting: crate::metrics::Counting<'a>,
    #[cfg(not(feature = "metrics"))]
    nobody: std::marker::PhantomData<&'a Shared>,
}

impl<'a> Invalidating<'a> {
    #[cfg_attr(
        not(feature = "metrics"),
        expect(
            unused_variables,
            clippy::needless_pass_by_value,
            reason = "nobody counts then"
        )
    )]
    pub(crate) fn begin(shared: &'a Shared, kinds: impl IntoIterator<Item = TagKind>) -> Self {
        Self {
            #[cfg(feature = "metrics")]
            counting: shared.metrics.invalidations.begin(kinds),
            #[cfg(not(feature = "metrics"))]
            nobody: std::marker::PhantomData,
        }
    }

    /// The log has it.
    #[cfg_attr(
        not(feature = "metrics"),
        expect(
            clippy::unused_self,
            clippy::needless_pass_by_ref_mut,
            reason = "nobody counts then"
        )
    )]
    pub(crate) fn applied(&mut self) {
        #[cfg(feature = "metrics")]
        self.counting.applied();
    }
}
