use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use pitlane_core::Outcome;

/// Nobody has answered yet, or nobody who says how.
const NOTHING: u8 = u8::MAX;

/// How a cache layer answered a request, told to whoever put this into the request's extensions.
///
/// It stays within the process: a header could come from anybody.
#[derive(Clone, Debug)]
pub(crate) struct Told(Arc<AtomicU8>);

impl Told {
    pub(crate) fn nothing() -> Self {
        Self(Arc::new(AtomicU8::new(NOTHING)))
    }

    /// The last word counts: a layer that passes a request leaves it to the layers inside.
    pub(crate) fn tell(&self, outcome: Outcome) {
        self.0.store(outcome as u8, Ordering::Relaxed);
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        Outcome::ALL
            .get(usize::from(self.0.load(Ordering::Relaxed)))
            .copied()
    }
}
