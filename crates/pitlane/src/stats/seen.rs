use std::marker::PhantomData;
#[cfg(feature = "stats")]
use std::time::Duration;

use crate::{cache::Entry, clock::Moment};

/// What is known of a request beside how it was answered, where somebody keeps statistics: what
/// it was given, and when the cache turned to it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen<'a> {
    #[cfg(feature = "stats")]
    pub(super) entry: Option<&'a Entry>,
    #[cfg(feature = "stats")]
    pub(super) began: Option<Moment>,
    /// How long it took, where that was measured already.
    #[cfg(feature = "stats")]
    pub(super) took: Option<Duration>,
    nobody: PhantomData<&'a Entry>,
}

impl<'a> Seen<'a> {
    /// A request that was given `entry`.
    #[inline]
    #[cfg_attr(
        not(feature = "stats"),
        expect(unused_variables, reason = "nobody keeps statistics then")
    )]
    pub(crate) const fn of(entry: &'a Entry) -> Self {
        Self {
            #[cfg(feature = "stats")]
            entry: Some(entry),
            #[cfg(feature = "stats")]
            began: None,
            #[cfg(feature = "stats")]
            took: None,
            nobody: PhantomData,
        }
    }

    /// By a look that began then.
    #[inline]
    #[cfg_attr(
        not(feature = "stats"),
        expect(unused_variables, unused_mut, reason = "nobody measures then")
    )]
    pub(crate) const fn since(mut self, began: Moment) -> Self {
        #[cfg(feature = "stats")]
        {
            self.began = Some(began);
        }
        self
    }

    /// It took so long.
    #[cfg(feature = "stats")]
    pub(super) const fn taking(mut self, took: Option<Duration>) -> Self {
        self.took = took;
        self
    }

    /// How long the computation took that this request did not need.
    #[cfg(feature = "stats")]
    #[inline]
    pub(super) fn saved(&self) -> Duration {
        self.entry.map_or(Duration::ZERO, |entry| entry.meta.cost)
    }
}
