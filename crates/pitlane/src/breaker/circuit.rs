use std::{
    collections::hash_map::RandomState, fmt, hash::BuildHasher, ops::Deref, sync::Arc,
    time::Duration,
};

use pitlane_core::{
    Breaker, BreakerRules, BreakerSnapshot, BreakerState, CallOutcome, Permit, Timestamp,
};

use crate::clock::Clock;

/// The state that all clones of a [`CircuitBreakerLayer`](crate::CircuitBreakerLayer) and of its
/// services share: a handle, for dashboards and tests.
#[derive(Clone)]
pub struct Circuit(Arc<Inner>);

struct Inner {
    name: &'static str,
    breaker: Breaker,
    clock: Clock,
    /// Moments are told from here: the breaker counts in slots of time, from zero.
    start: Timestamp,
    random: RandomState,
}

impl Circuit {
    pub(super) fn new(name: &'static str, rules: BreakerRules, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            name,
            breaker: Breaker::closed(rules),
            start: clock.now(),
            clock,
            random: RandomState::new(),
        }))
    }

    /// What it was named by [`name`](crate::CircuitBreakerLayer::name).
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Whether calls are let through. An open circuit becomes half-open by the first call after
    /// its time, not by time alone.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.0.breaker.state()
    }

    /// All that it knows. Moments are told from when it was made.
    #[must_use]
    pub fn snapshot(&self) -> BreakerSnapshot {
        self.0.breaker.snapshot(self.now())
    }

    /// Opens it at once, as if calls had failed. An open one stays as it is.
    pub fn trip(&self) {
        if self.0.breaker.trip(self.now(), self.random()) {
            tell(self.0.name, BreakerState::Open);
        }
    }

    /// What the next call would be refused with. Nothing is taken.
    pub(super) fn refusal(&self) -> Option<CircuitOpen> {
        if self.state() == BreakerState::Closed {
            return None;
        }
        let now = self.now();
        (!self.0.breaker.may_acquire(|| now)).then(|| self.refuse(now))
    }

    /// The permission for one call.
    pub(super) fn enter(&self) -> Result<Call, CircuitOpen> {
        let held = || Held(self.clone());
        let permit = Permit::acquire(&self.0.breaker, held, || self.now());
        let permit = permit.map_err(|_| self.refuse(self.now()))?;
        if permit.is_first_probe() {
            tell(self.0.name, BreakerState::HalfOpen);
        }
        Ok(Call(Some(permit)))
    }

    fn refuse(&self, now: Duration) -> CircuitOpen {
        CircuitOpen {
            name: self.0.name,
            // It may have closed since the call was refused.
            state: self.state().max(BreakerState::HalfOpen),
            retry_after: self.0.breaker.until_probe(now),
        }
    }

    fn now(&self) -> Duration {
        self.0.clock.now().since(self.0.start)
    }

    /// Spreads the probes of many processes. A hasher's fresh keys are as good as random, and it
    /// is asked only when something failed.
    fn random(&self) -> u32 {
        let bits = self.0.random.hash_one(self.0.clock.now().as_millis());
        u32::try_from(bits >> 32).unwrap_or_default()
    }
}

/// Once a change.
fn tell(circuit: &'static str, state: BreakerState) {
    match state {
        BreakerState::Open => tracing::warn!(circuit, "circuit opened"),
        BreakerState::HalfOpen => tracing::debug!(circuit, "circuit is half-open"),
        BreakerState::Closed => tracing::info!(circuit, "circuit closed"),
    }
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit")
            .field("name", &self.0.name)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// What a permit holds on to.
struct Held(Circuit);

impl Deref for Held {
    type Target = Breaker;

    fn deref(&self) -> &Breaker {
        &self.0.0.breaker
    }
}

/// One call that was let through. Dropped before its end it counts as none.
#[must_use]
pub(super) struct Call(Option<Permit<Held>>);

impl Call {
    pub(super) fn end(&mut self, failed: bool) {
        let Some(permit) = self.0.take() else {
            return;
        };
        let Held(circuit) = permit.breaker();
        let (name, now) = (circuit.0.name, circuit.now());
        if !failed {
            if permit.record(CallOutcome::Success, now, 0) {
                tell(name, BreakerState::Closed);
            }
            return;
        }
        let random = circuit.random();
        if permit.record(CallOutcome::Failure, now, random) {
            tell(name, BreakerState::Open);
        }
    }

    /// Runs the service's own code; a panic there is a failure of this call.
    pub(super) fn during<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let unwinding = Unwinding(self);
        let result = work();
        std::mem::forget(unwinding);
        result
    }
}

struct Unwinding<'a>(&'a mut Call);

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        self.0.end(true);
    }
}

/// A call that was not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitOpen {
    name: &'static str,
    state: BreakerState,
    retry_after: Option<Duration>,
}

impl CircuitOpen {
    /// The circuit's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What the circuit was: open, or half-open with another call on its way.
    #[must_use]
    pub const fn state(&self) -> BreakerState {
        self.state
    }

    /// How long it is until the next call is let through; none while another one is on its way
    /// to find out.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The same in whole seconds, for the header `Retry-After`: rounded up, and at least one.
    #[must_use]
    pub fn retry_after_seconds(&self) -> u64 {
        let wait = self.retry_after.unwrap_or_default();
        let more = u64::from(wait.subsec_nanos() > 0);
        (wait.as_secs() + more).max(1)
    }
}

impl fmt::Display for CircuitOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the circuit {:?} is {}", self.name, self.state.as_str())
    }
}

impl std::error::Error for CircuitOpen {}
