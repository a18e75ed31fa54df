use std::{
    collections::hash_map::RandomState,
    future::Future,
    hash::{BuildHasher, Hasher},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use pitlane_core::{Basis, Flights, Incarnation, Leader, Log};

use super::entry::Entry;
use crate::clock::Clock;

/// How many invalidated tags a node remembers before it forgets the oldest (which costs misses).
const REMEMBERED_TAGS: usize = 1 << 18;
const FLIGHT_SHARDS: usize = 64;
/// How many refreshes may run at once; over it stale answers go on being stale.
const MAX_BACKGROUND: usize = 256;

/// What all caches of one registry share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) log: Log,
    pub(crate) flights: Flights<Flown, Basis>,
    pub(crate) clock: Clock,
    background: Arc<AtomicUsize>,
}

/// What a flight lands with.
#[derive(Clone, Debug)]
pub(crate) enum Flown {
    Entry(Arc<Entry>),
    /// The computation failed: who may serve something stale does.
    Failed,
}

pub(crate) type Lead = Leader<Flown, Basis>;

impl Shared {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            log: Log::new(fresh_incarnation(), REMEMBERED_TAGS),
            flights: Flights::new(FLIGHT_SHARDS),
            clock,
            background: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// Whether a flight that began at `basis` may still be waited for by somebody who wants
    /// something with these `tags`.
    pub(crate) fn is_current(&self, basis: &Basis, tags: &[pitlane_core::TagId]) -> bool {
        use pitlane_core::Judgement::Unusable;
        !matches!(self.log.judge(basis, tags).0, Unusable(_))
    }

    /// Spawns bounded background work; `false` when there is no runtime or too much of it runs.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> bool {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return false;
        };
        let Some(permit) = Permit::take(&self.background) else {
            return false;
        };
        runtime.spawn(async move {
            work.await;
            drop(permit);
        });
        true
    }
}

struct Permit(Arc<AtomicUsize>);

impl Permit {
    fn take(running: &Arc<AtomicUsize>) -> Option<Self> {
        let permit = Self(Arc::clone(running));
        // The permit gives back on drop whether or not it was within the bound.
        (running.fetch_add(1, Ordering::AcqRel) < MAX_BACKGROUND).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The standard library's hash keys are the process's own source of randomness.
fn fresh_incarnation() -> Incarnation {
    Incarnation::from_random(RandomState::new().build_hasher().finish())
}
