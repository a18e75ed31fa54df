use std::{
    collections::hash_map::RandomState,
    future::Future,
    hash::{BuildHasher, Hasher},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pitlane_core::{Basis, Flights, Incarnation, Leader, Log, Position, Uplink};
use tracing::Instrument;

use super::{budget::Budget, entry::Entry, remote::SLACK};
use crate::{clock::Clock, trace};

/// How many invalidated tags a node remembers before it forgets the oldest (which costs misses).
pub(crate) const REMEMBERED_TAGS: usize = 1 << 18;
const FLIGHT_SHARDS: usize = 64;
/// How many refreshes may run at once; over it stale answers go on being stale.
const MAX_BACKGROUND: usize = 256;

/// What all caches of one registry share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) log: Arc<Log>,
    /// The way to the log that all nodes share.
    pub(crate) uplink: Option<Arc<dyn Uplink>>,
    /// What one request may lose to Redis in all.
    pub(crate) budget: Duration,
    pub(crate) flights: Flights<Flown, Basis>,
    pub(crate) clock: Clock,
    background: Arc<AtomicUsize>,
    /// What this node invalidated last, where it keeps the log itself.
    #[cfg(feature = "manage")]
    pub(crate) recent: crate::manage::Ring,
    /// Whoever asks why, where nothing but that is done.
    #[cfg(feature = "explain")]
    pub(super) tale: Option<Arc<crate::explain::Tale>>,
    #[cfg(feature = "locks")]
    pub(crate) locks: crate::lock::Rooms,
    #[cfg(feature = "metrics")]
    pub(crate) metrics: crate::metrics::Registry,
    #[cfg(feature = "stats")]
    pub(crate) node: Arc<crate::stats::Node>,
}

/// What a flight lands with.
#[derive(Clone, Debug)]
pub(crate) enum Flown {
    Entry(Arc<Entry>),
    /// The computation failed: who may serve something stale does.
    Failed,
    /// The computation of a value failed, and this is how.
    #[cfg(feature = "data")]
    Error(Arc<dyn std::any::Any + Send + Sync>),
}

pub(crate) type Lead = Leader<Flown, Basis>;

impl Shared {
    /// What caches share that live in this process alone.
    pub(crate) fn alone(clock: Clock) -> Self {
        let log = Log::new(fresh_incarnation(), REMEMBERED_TAGS);
        Self::new(clock, Arc::new(log), None, Duration::ZERO)
    }

    pub(crate) fn new(
        clock: Clock,
        log: Arc<Log>,
        uplink: Option<Arc<dyn Uplink>>,
        budget: Duration,
    ) -> Self {
        Self {
            log,
            uplink,
            budget,
            flights: Flights::new(FLIGHT_SHARDS),
            #[cfg(feature = "stats")]
            node: Arc::new(crate::stats::Node::new(clock.now())),
            clock,
            background: Arc::new(AtomicUsize::new(0)),
            #[cfg(feature = "manage")]
            recent: crate::manage::Ring::default(),
            #[cfg(feature = "explain")]
            tale: None,
            #[cfg(feature = "locks")]
            locks: crate::lock::Rooms::default(),
            #[cfg(feature = "metrics")]
            metrics: crate::metrics::Registry::default(),
        }
    }

    /// The same log and the same clock, with flights of its own, and nothing in the background.
    #[cfg(feature = "explain")]
    pub(super) fn shadow(&self, tale: Arc<crate::explain::Tale>) -> Self {
        let (log, uplink) = (Arc::clone(&self.log), self.uplink.clone());
        Self {
            flights: Flights::new(1),
            background: Arc::new(AtomicUsize::new(MAX_BACKGROUND)),
            tale: Some(tale),
            ..Self::new(self.clock.clone(), log, uplink, self.budget)
        }
    }

    /// The same on a node that tells others its numbers.
    #[cfg(all(feature = "stats", feature = "redis"))]
    pub(crate) fn at(self, place: crate::stats::Place) -> Self {
        let node = crate::stats::Node::new(self.clock.now()).at(place);
        Self {
            node: Arc::new(node),
            ..self
        }
    }

    /// Whether this node has read the log up to `position`.
    pub(crate) fn has_reached(&self, position: Position) -> bool {
        let known = self.log.basis().position;
        known.incarnation == position.incarnation && known.id >= position.id
    }

    /// How far the clock that nodes agree on is ahead of this one's, in milliseconds.
    pub(crate) fn clock_offset(&self) -> i64 {
        self.uplink.as_deref().map_or(0, Uplink::clock_offset)
    }

    /// Brings the node's log up to everything that is in the shared one now; says whether that
    /// worked within what `budget` has left.
    pub(crate) async fn confirm(&self, budget: Option<&Budget>) -> bool {
        let (Some(uplink), Some(budget)) = (&self.uplink, budget) else {
            return true;
        };
        let Some(left) = budget.left().filter(|_| uplink.is_ready()) else {
            return false;
        };
        let spent = budget.start();
        let span = trace::redis(None, "confirm");
        let confirm = uplink.confirm().instrument(span.clone());
        let confirmed = matches!(
            tokio::time::timeout(left + SLACK, confirm).await,
            Ok(Ok(()))
        );
        span.record("outcome", if confirmed { "ok" } else { "failed" });
        if confirmed {
            spent.stop();
        } else {
            spent.exhaust();
        }
        confirmed
    }

    /// Whether a flight that began at `basis` may still be waited for by somebody who wants
    /// something with these `tags`.
    pub(crate) fn is_current(&self, basis: &Basis, tags: &[pitlane_core::TagId]) -> bool {
        use pitlane_core::Judgement::Unusable;
        !matches!(self.log.judge(basis, tags).0, Unusable(_))
    }

    /// How much background work runs now.
    pub(crate) fn background(&self) -> usize {
        self.background.load(Ordering::Acquire)
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
pub(crate) fn fresh_incarnation() -> Incarnation {
    Incarnation::from_random(RandomState::new().build_hasher().finish())
}
