//! A cache beside a cache: it sees all that the other holds, and leaves no trace in it.
//!
//! Who asks why a request is answered as it is gets a cache like that. The one way to an answer is
//! then gone as ever, and what it stores, counts, refuses or promises to others stays here and is
//! dropped with it.

use std::sync::Arc;

use http::response;
use pitlane_core::Reason;
use pitlane_policy::Freshness;

use super::{Cache, entry::Entry};
#[cfg(feature = "explain")]
use super::{Inner, memory::Memory, remote::Remote};
#[cfg(feature = "explain")]
use crate::{explain::Tale, stats::Stats};

/// What is decided on the way to an answer, for whoever asks why.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "explain"),
    expect(dead_code, reason = "nobody asks then")
)]
pub(crate) enum Said<'a> {
    /// What is in Redis can't be used.
    Unusable(Reason),
    /// The inner service has answered: for how long its answer is fresh, or why it can't be stored.
    Judged(&'a response::Parts, Result<Freshness, Reason>),
    /// Its body is complete, and was stored or refused.
    Complete(&'a Arc<Entry>, Option<Reason>),
    /// Its body did not become an entry.
    GivenUp(Reason),
}

impl Cache {
    /// Tells whoever asks why. Nobody does, nearly always.
    #[cfg_attr(
        not(feature = "explain"),
        expect(unused_variables, clippy::unused_self, reason = "nobody asks then")
    )]
    pub(crate) fn tell(&self, said: Said<'_>) {
        #[cfg(feature = "explain")]
        if let Some(tale) = &self.shared().tale {
            tale.hear(said, self);
        }
    }

    /// Whether it is a shadow of another.
    #[cfg_attr(
        not(feature = "explain"),
        expect(clippy::unused_self, reason = "there is none then")
    )]
    pub(crate) fn is_shadow(&self) -> bool {
        #[cfg(feature = "explain")]
        return self.shared().tale.is_some();
        #[cfg(not(feature = "explain"))]
        false
    }

    /// A shadow of this cache, which tells what is decided in it.
    #[cfg(feature = "explain")]
    pub(crate) fn shadow(&self, tale: &Arc<Tale>) -> Self {
        let inner = &self.inner;
        let shadow = Inner {
            name: inner.name.clone(),
            number: inner.number,
            settings: inner.settings.clone(),
            memory: Arc::new(Memory::over(&inner.memory, usize::from(inner.number) + 1)),
            remote: inner.remote.as_ref().map(Remote::shadow),
            shared: Arc::new(inner.shared.shadow(Arc::clone(tale))),
            stats: Stats::new(&inner.shared.clock),
            #[cfg(feature = "audit")]
            auditor: Arc::default(),
        };
        Self {
            inner: Arc::new(shadow),
        }
    }
}
