use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use pitlane_core::{Breaker, BreakerRules, BreakerSnapshot, BreakerState, CallOutcome, Permit};
use tokio::{
    sync::{Notify, futures::Notified, watch},
    time::Instant,
};

use crate::failure::{Blame, FailureKind};

/// What a call does to the data. The two are broken apart: a server that is full or read-only
/// still answers reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// It changes nothing.
    Read,
    /// It may change something.
    Write,
}

impl Side {
    /// The side as a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// The states of both sides, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitState {
    /// Calls that change nothing.
    pub read: BreakerState,
    /// Calls that may change something.
    pub write: BreakerState,
}

impl CircuitState {
    /// Whether both sides are closed.
    #[must_use]
    pub fn is_closed(self) -> bool {
        self.read == BreakerState::Closed && self.write == BreakerState::Closed
    }
}

/// The two breakers of one server, their clock, and the news of them.
///
/// Whatever says that the server is not there at all opens both sides; they are closed apart, the
/// read side first.
#[derive(Debug)]
pub(crate) struct Circuit {
    read: Breaker,
    write: Breaker,
    start: Instant,
    random: RandomState,
    states: watch::Sender<CircuitState>,
    /// Whether somebody was told already that the server doesn't let us in.
    is_told: AtomicBool,
    /// Tells the calls of each side that are on their way when it opens.
    opened: [Notify; 2],
    /// What failed last, for people.
    last: Mutex<Option<FailureKind>>,
    /// Wakes the prober.
    pub(crate) work: Notify,
}

/// The permission for one call.
pub(crate) struct Pass<'a> {
    read: Permit<&'a Breaker>,
    /// Only what may write depends on the write side.
    write: Option<Permit<&'a Breaker>>,
}

impl Circuit {
    /// Open until Redis has been seen.
    pub(crate) fn new(rules: BreakerRules) -> Self {
        let start = Instant::now();
        let state = CircuitState {
            read: BreakerState::Open,
            write: BreakerState::Open,
        };
        Self {
            read: Breaker::open(rules.clone(), Duration::ZERO),
            write: Breaker::open(rules, Duration::ZERO),
            start,
            random: RandomState::new(),
            states: watch::Sender::new(state),
            is_told: AtomicBool::new(false),
            opened: [const { Notify::const_new() }; 2],
            last: Mutex::new(None),
            work: Notify::new(),
        }
    }

    /// Why a side is not closed, as far as that is known.
    pub(crate) fn trouble(&self) -> Option<FailureKind> {
        let closed = self.states.borrow().is_closed();
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|_| !closed)
    }

    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn at(&self, moment: Duration) -> Instant {
        self.start + moment
    }

    pub(crate) fn pass(&self, side: Side) -> Option<Pass<'_>> {
        let write = match side {
            Side::Read => None,
            Side::Write => Some(self.write.pass().ok()?),
        };
        let read = self.read.pass().ok()?;
        Some(Pass { read, write })
    }

    /// Waits until a side opens, from this call on.
    pub(crate) fn opening(&self, side: Side) -> Notified<'_> {
        let [read, write] = &self.opened;
        match side {
            Side::Read => read.notified(),
            Side::Write => write.notified(),
        }
    }

    /// Counts what became of a call.
    pub(crate) fn record(&self, pass: Pass<'_>, failure: Option<FailureKind>) {
        let now = self.now();
        let Some(kind) = failure else {
            pass.read.record(CallOutcome::Success, now, 0);
            if let Some(write) = pass.write {
                write.record(CallOutcome::Success, now, 0);
            }
            return;
        };
        let Blame { read, write, .. } = kind.blame();
        let random = self.random();
        let opened = pass.read.record(read, now, random);
        let write = pass.write.map(|permit| permit.record(write, now, random));
        if write == Some(true) {
            self.publish(Some(kind));
        }
        if opened {
            self.opened(kind);
        }
    }

    /// Opens both sides at once.
    pub(crate) fn trip(&self, kind: FailureKind) {
        self.read.trip(self.now(), self.random());
        self.opened(kind);
    }

    fn opened(&self, kind: FailureKind) {
        self.write.trip(self.now(), self.random());
        self.publish(Some(kind));
    }

    /// Lets the next probe of both sides go out now.
    pub(crate) fn expedite(&self) {
        self.read.expedite(self.now());
        self.write.expedite(self.now());
    }

    pub(crate) fn try_probe(&self, side: Side) -> Option<Permit<&Breaker>> {
        self.breaker(side).try_probe(self.now())
    }

    pub(crate) fn record_probe(&self, permit: Permit<&Breaker>, side: Side, found: Found) {
        let outcome = match (found, side) {
            (Ok(()), _) => CallOutcome::Success,
            (Err(kind), Side::Read) => kind.blame().read,
            (Err(kind), Side::Write) => kind.blame().write,
        };
        permit.record(outcome, self.now(), self.random());
        self.publish(found.err());
    }

    /// From when on each side may be probed; none where it is closed.
    pub(crate) fn probe_at(&self, side: Side) -> Option<Duration> {
        self.breaker(side).probe_at()
    }

    pub(crate) fn state(&self, side: Side) -> BreakerState {
        self.breaker(side).state()
    }

    pub(crate) fn snapshot(&self, side: Side) -> BreakerSnapshot {
        self.breaker(side).snapshot(self.now())
    }

    pub(crate) fn events(&self) -> watch::Receiver<CircuitState> {
        self.states.subscribe()
    }

    const fn breaker(&self, side: Side) -> &Breaker {
        match side {
            Side::Read => &self.read,
            Side::Write => &self.write,
        }
    }

    /// The states are read under the channel's lock, so whoever publishes last publishes the last
    /// state, in whatever order two changes arrive here.
    fn publish(&self, why: Option<FailureKind>) {
        if why.is_some() {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = why;
        }
        let mut change = None;
        self.states.send_if_modified(|states| {
            let after = CircuitState {
                read: self.read.state(),
                write: self.write.state(),
            };
            let before = std::mem::replace(states, after);
            change = (before != after).then_some((before, after));
            change.is_some()
        });
        if let Some((before, after)) = change {
            let [read, write] = &self.opened;
            for (side, before, after) in [
                (read, before.read, after.read),
                (write, before.write, after.write),
            ] {
                if before == BreakerState::Closed && after != BreakerState::Closed {
                    side.notify_waiters();
                }
            }
            report(Side::Read, before.read, after.read, why);
            report(Side::Write, before.write, after.write, why);
            if after.is_closed() {
                self.is_told.store(false, Ordering::Relaxed);
            }
        }
        if why.is_some_and(FailureKind::needs_a_person) {
            self.tell(why);
        }
        self.work.notify_one();
    }

    /// Loud, but once an outage: attempts go on for ever.
    fn tell(&self, why: Option<FailureKind>) {
        if !self.is_told.swap(true, Ordering::Relaxed) {
            let why = why.map_or("unknown", FailureKind::as_str);
            tracing::error!(
                why,
                "Redis doesn't let us in: its user or password are not ours"
            );
        }
    }

    /// Fresh keys make a hasher's first value as good as random, and it is asked for only when
    /// something failed.
    fn random(&self) -> u32 {
        let bits = self.random.hash_one(self.start.elapsed().as_nanos());
        u32::try_from(bits >> 32).unwrap_or_default()
    }
}

/// What a probe found.
pub(crate) type Found = Result<(), FailureKind>;

fn report(side: Side, before: BreakerState, after: BreakerState, why: Option<FailureKind>) {
    let side = side.as_str();
    match (before, after) {
        (BreakerState::Closed, BreakerState::Open) => {
            let why = why.map_or("unknown", FailureKind::as_str);
            tracing::warn!(side, why, "circuit to Redis opened");
        }
        (BreakerState::Open | BreakerState::HalfOpen, BreakerState::Closed) => {
            tracing::info!(side, "circuit to Redis closed");
        }
        _ => {}
    }
}
