use std::{fmt, sync::Arc, time::Duration};

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock};

mod gate;
mod permit;
mod window;

#[cfg(all(test, not(loom)))]
mod tests;

pub use permit::Permit;

use gate::Gate;
use window::{Window, millis};

/// A circuit breaker: it stops calls to what has just been failing, and lets one caller at a
/// time find out whether that is over.
///
/// A pure state machine (Nygard, "Release It!", 2007): time and randomness are arguments, and it
/// knows no runtime. `now` is the time since some moment that is the same for all calls, from a
/// clock that never goes back.
///
/// While it is closed, asking is one atomic load, and reporting a success counts on the calling
/// thread's own cache line; while it is open, being refused is two loads. Only failures, probes and
/// changes of state take a lock.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use pitlane_core::{Breaker, BreakerRules, BreakerState, CallOutcome};
///
/// let breaker = Breaker::closed(BreakerRules::default());
/// let now = Duration::from_secs(1);
/// for _ in 0..3 {
///     let permit = breaker.try_acquire(now).unwrap();
///     permit.record(CallOutcome::Failure, now, 0);
/// }
/// assert_eq!(breaker.state(), BreakerState::Open);
/// assert!(breaker.try_acquire(now).is_err());
/// ```
pub struct Breaker {
    rules: BreakerRules,
    /// State, failures in a row and era in one word: all that a call has to read.
    gate: AtomicU64,
    /// From when on it makes sense to ask for a probe, in milliseconds: changed under the lock, and
    /// read without it, so that those who are refused don't queue for it. It decides nothing else.
    probe_from: AtomicU64,
    successes: Window,
    failures: Window,
    turn: Mutex<Turn>,
}

/// When a [`Breaker`] opens and closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerRules {
    /// Opens on so many failures without a success between them. At most 16,000 count.
    pub failures_in_a_row: u32,
    /// Opens when so many calls of a hundred fail within `window`, from `least_calls` on.
    pub failing_percent: u32,
    /// See `failing_percent`.
    pub least_calls: u32,
    /// How far back calls are counted. It slides in steps of a tenth.
    pub window: Duration,
    /// How long it stays open the first time; twice as long after each failed probe. A fifth
    /// more or less, at random, so that many nodes don't probe at once.
    pub open_for: Duration,
    /// The longest that it stays open between two probes, before the random fifth.
    pub open_at_most: Duration,
    /// How many probes in a row have to succeed to close it.
    pub successes_to_close: u32,
}

impl Default for BreakerRules {
    /// Three failures in a row, or half of at least 20 calls in 10 s; open for 500 ms, then 1 s;
    /// two successes to close.
    fn default() -> Self {
        Self {
            failures_in_a_row: 3,
            failing_percent: 50,
            least_calls: 20,
            window: Duration::from_secs(10),
            open_for: Duration::from_millis(500),
            open_at_most: Duration::from_secs(1),
            successes_to_close: 2,
        }
    }
}

/// Whether calls are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BreakerState {
    /// They are.
    Closed,
    /// One at a time is, to find out whether the others may follow.
    HalfOpen,
    /// None is.
    Open,
}

impl BreakerState {
    /// The state as a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// It was answered.
    Success,
    /// It failed in a way that the next call may not.
    Failure,
    /// It failed in a way that the next call will too: the breaker opens at once.
    Fatal,
}

/// A call was not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// What the breaker was.
    pub state: BreakerState,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the circuit is {}", self.state.as_str())
    }
}

impl std::error::Error for Refused {}

/// What a [`Breaker`] knows, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakerSnapshot {
    /// Whether calls are let through.
    pub state: BreakerState,
    /// Failures since the last success.
    pub failures_in_a_row: u32,
    /// Failures within the window.
    pub failures: u64,
    /// Calls within the window.
    pub calls: u64,
    /// While open: from when on a probe is let through.
    pub probe_at: Option<Duration>,
    /// How often it has opened.
    pub openings: u64,
}

/// What only changes under the lock.
#[derive(Debug)]
struct Turn {
    probe_at: Duration,
    /// Openings since it was last closed.
    failed_probes: u32,
    good_probes: u32,
    probing: bool,
    openings: u64,
}

impl Breaker {
    /// A breaker that lets calls through until they fail.
    #[must_use]
    pub fn closed(rules: BreakerRules) -> Self {
        Self::new(rules, Gate::new(0, BreakerState::Closed), Duration::ZERO)
    }

    /// A breaker that lets calls through once a probe has succeeded; the first probe may go out
    /// at `now`.
    #[must_use]
    pub fn open(rules: BreakerRules, now: Duration) -> Self {
        Self::new(rules, Gate::new(0, BreakerState::Open), now)
    }

    fn new(rules: BreakerRules, gate: Gate, probe_at: Duration) -> Self {
        Self {
            gate: AtomicU64::new(gate.0),
            probe_from: AtomicU64::new(millis(probe_at)),
            successes: Window::new(rules.window),
            failures: Window::new(rules.window),
            turn: Mutex::new(Turn {
                probe_at,
                failed_probes: 0,
                good_probes: 0,
                probing: false,
                openings: 0,
            }),
            rules,
        }
    }

    /// Lets a call through while the breaker is closed, and never as a probe: for callers whose
    /// probes are made by somebody else.
    ///
    /// # Errors
    ///
    /// The breaker is not closed.
    pub fn pass(&self) -> Result<Permit<&Self>, Refused> {
        Permit::passing(self)
    }

    /// Lets a call through while the breaker is closed, or as the one probe when it is time.
    ///
    /// # Errors
    ///
    /// The breaker is open, or somebody else probes.
    pub fn try_acquire(&self, now: Duration) -> Result<Permit<&Self>, Refused> {
        self.pass()
            .or_else(|refused| self.try_probe(now).ok_or(refused))
    }

    /// [`try_acquire`](Self::try_acquire) with a permit that lives as long as it likes.
    ///
    /// # Errors
    ///
    /// The breaker is open, or somebody else probes.
    pub fn try_acquire_owned(
        self: &Arc<Self>,
        now: Duration,
    ) -> Result<Permit<Arc<Self>>, Refused> {
        Permit::acquire(self, || Arc::clone(self), || now)
    }

    /// The permission to probe, if the breaker is not closed, it is time, and nobody else has it.
    pub fn try_probe(&self, now: Duration) -> Option<Permit<&Self>> {
        let begun = self.begin_probe(now)?;
        Some(Permit::probing(self, begun))
    }

    /// Whether a call may be let through now. No promise: somebody else may be quicker.
    #[must_use]
    pub fn may_acquire(&self, now: impl FnOnce() -> Duration) -> bool {
        self.state() == BreakerState::Closed || self.may_probe(now())
    }

    /// How long it is until the next probe, if one is waited for: none while the breaker is closed,
    /// or while somebody probes.
    #[must_use]
    pub fn until_probe(&self, now: Duration) -> Option<Duration> {
        let from = self.probe_from.load(Ordering::Acquire);
        let waits = self.state() == BreakerState::Open && from != NOBODY_ELSE;
        waits.then(|| Duration::from_millis(from).saturating_sub(now))
    }

    fn may_probe(&self, now: Duration) -> bool {
        millis(now) >= self.probe_from.load(Ordering::Acquire)
    }

    /// Ends the time in which an open breaker lets no probe through: something outside says that
    /// the next one may succeed.
    pub fn expedite(&self, now: Duration) {
        let mut turn = self.turn();
        turn.probe_at = turn.probe_at.min(now);
        self.invite(&turn);
    }

    /// Opens it at once; says whether it was not open before. `random` spreads the next probe.
    pub fn trip(&self, now: Duration, random: u32) -> bool {
        let mut turn = self.turn();
        let gate = self.gate();
        if gate.state() == BreakerState::Open {
            return false;
        }
        self.set_open(&mut turn, gate, now, random);
        true
    }

    /// Whether calls are let through. An open breaker becomes half-open when a probe begins, not
    /// by time alone.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.gate().state()
    }

    /// From when on a probe is let through; none while it is closed.
    #[must_use]
    pub fn probe_at(&self) -> Option<Duration> {
        let turn = self.turn();
        (self.state() != BreakerState::Closed).then_some(turn.probe_at)
    }

    /// All that it knows.
    #[must_use]
    pub fn snapshot(&self, now: Duration) -> BreakerSnapshot {
        let turn = self.turn();
        let gate = self.gate();
        let failures = self.failures.sum(now);
        BreakerSnapshot {
            state: gate.state(),
            failures_in_a_row: gate.failures(),
            failures,
            calls: failures + self.successes.sum(now),
            probe_at: (gate.state() == BreakerState::Open).then_some(turn.probe_at),
            openings: turn.openings,
        }
    }

    /// Acquire, so that whoever sees a state sees what was done before it was entered.
    fn gate(&self) -> Gate {
        Gate(self.gate.load(Ordering::Acquire))
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        lock(&self.turn)
    }

    fn begin_probe(&self, now: Duration) -> Option<Probe> {
        if !self.may_probe(now) {
            return None;
        }
        let mut turn = self.turn();
        let gate = self.gate();
        let may = match gate.state() {
            BreakerState::Closed => false,
            BreakerState::HalfOpen => !turn.probing,
            BreakerState::Open => now >= turn.probe_at,
        };
        if !may {
            return None;
        }
        let first = gate.state() == BreakerState::Open;
        let gate = if first {
            turn.good_probes = 0;
            self.enter(gate, BreakerState::HalfOpen)
        } else {
            gate
        };
        turn.probing = true;
        self.invite(&turn);
        let era = gate.era();
        Some(Probe { era, first })
    }

    /// Only under the lock: says from when on the next probe may be asked for.
    fn invite(&self, turn: &Turn) {
        let from = if turn.probing {
            NOBODY_ELSE
        } else {
            millis(turn.probe_at)
        };
        self.probe_from.store(from, Ordering::Release);
    }

    /// Only under the lock. Failures in a row end with the era. Exchanged rather than stored, so
    /// that a success that ends the row beside it is a step before this one or fails after it.
    fn enter(&self, gate: Gate, state: BreakerState) -> Gate {
        let next = Gate::new(gate.era() + 1, state);
        self.gate.swap(next.0, Ordering::AcqRel);
        next
    }

    fn set_open(&self, turn: &mut Turn, gate: Gate, now: Duration, random: u32) {
        let doubled = 1_u32.checked_shl(turn.failed_probes).unwrap_or(u32::MAX);
        let open_for = self.rules.open_for.saturating_mul(doubled);
        let open_for = jittered(open_for.min(self.rules.open_at_most), random);
        turn.probe_at = now.saturating_add(open_for);
        turn.failed_probes = turn.failed_probes.saturating_add(1);
        turn.probing = false;
        turn.openings += 1;
        self.invite(turn);
        self.enter(gate, BreakerState::Open);
    }

    fn succeeded(&self, era: u64, now: Duration) {
        let gate = self.gate();
        if gate.era() != era {
            return;
        }
        self.successes.add(now);
        if gate.failures() > 0 {
            self.forget_row(era);
        }
    }

    /// Races with a failure that is being counted: whoever is second wins, as without threads.
    fn forget_row(&self, era: u64) {
        let clean = Gate::new(era, BreakerState::Closed);
        let mut seen = self.gate();
        while seen.era() == era && seen.failures() > 0 {
            match self.exchange(seen, clean) {
                Ok(()) => return,
                Err(other) => seen = other,
            }
        }
    }

    /// Whether this failure opened it.
    fn failed(&self, era: u64, fatal: bool, now: Duration, random: u32) -> bool {
        let mut turn = self.turn();
        let mut gate = self.gate();
        if gate.era() != era {
            return false;
        }
        self.failures.add(now);
        // Successes take no lock, so the row may end under our eyes; the era can't.
        while let Err(other) = self.exchange(gate, gate.with_failure()) {
            gate = other;
        }
        let gate = gate.with_failure();
        let opens = fatal || self.is_too_much(gate, now);
        if opens {
            self.set_open(&mut turn, gate, now, random);
        }
        opens
    }

    fn is_too_much(&self, gate: Gate, now: Duration) -> bool {
        if gate.failures() >= self.rules.failures_in_a_row {
            return true;
        }
        let failures = self.failures.sum(now);
        let calls = failures + self.successes.sum(now);
        let most = u64::from(self.rules.failing_percent);
        calls >= u64::from(self.rules.least_calls) && failures * 100 >= calls * most
    }

    fn exchange(&self, seen: Gate, next: Gate) -> Result<(), Gate> {
        self.gate
            .compare_exchange(seen.0, next.0, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
            .map_err(Gate)
    }

    /// Whether the state changed.
    fn probed(&self, era: u64, outcome: CallOutcome, now: Duration, random: u32) -> bool {
        let mut turn = self.turn();
        let gate = self.gate();
        if gate.era() != era {
            return false;
        }
        turn.probing = false;
        if outcome != CallOutcome::Success {
            self.set_open(&mut turn, gate, now, random);
            return true;
        }
        self.invite(&turn);
        turn.good_probes += 1;
        if turn.good_probes < self.rules.successes_to_close {
            return false;
        }
        turn.failed_probes = 0;
        self.successes.clear();
        self.failures.clear();
        self.enter(gate, BreakerState::Closed);
        true
    }

    fn abandoned(&self, era: u64) {
        let mut turn = self.turn();
        if self.gate().era() == era {
            turn.probing = false;
            self.invite(&turn);
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("state", &self.state())
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// A fifth more or less, in steps of a thousandth.
fn jittered(duration: Duration, random: u32) -> Duration {
    let thousandths = 800 + u64::from(random) % 401;
    Duration::from_millis(millis(duration).saturating_mul(thousandths) / 1000)
}

/// Later than any moment: somebody probes, and nobody else may.
const NOBODY_ELSE: u64 = u64::MAX;

/// A probe that has begun, and whether the breaker became half-open by it.
struct Probe {
    era: u64,
    first: bool,
}
