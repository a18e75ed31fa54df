use std::{fmt, ops::Deref, time::Duration};

use super::{Breaker, BreakerState, CallOutcome, Probe, Refused, gate::Gate};

/// The permission for one call. Dropping it unrecorded counts as no call; a probe that is
/// dropped leaves its place to the next.
#[must_use = "what became of the call has to be recorded"]
pub struct Permit<B: Deref<Target = Breaker>> {
    breaker: B,
    era: u64,
    probing: bool,
    first: bool,
}

impl<B: Deref<Target = Breaker>> Permit<B> {
    /// [`Breaker::try_acquire`] with any pointer to `breaker`. It is made, and the time asked for,
    /// only when they are needed.
    ///
    /// # Errors
    ///
    /// The breaker is open, or somebody else probes.
    pub fn acquire(
        breaker: &Breaker,
        pointer: impl FnOnce() -> B,
        now: impl FnOnce() -> Duration,
    ) -> Result<Self, Refused> {
        let gate = breaker.gate();
        let state = gate.state();
        if state == BreakerState::Closed {
            return Ok(Self::through(pointer(), gate));
        }
        let begun = breaker.begin_probe(now()).ok_or(Refused { state })?;
        Ok(Self::probing(pointer(), begun))
    }

    const fn through(breaker: B, gate: Gate) -> Self {
        Self {
            breaker,
            era: gate.era(),
            probing: false,
            first: false,
        }
    }

    pub(super) const fn probing(breaker: B, Probe { era, first }: Probe) -> Self {
        Self {
            breaker,
            era,
            probing: true,
            first,
        }
    }

    pub(super) fn passing(breaker: B) -> Result<Self, Refused> {
        let gate = breaker.gate();
        match gate.state() {
            BreakerState::Closed => Ok(Self::through(breaker, gate)),
            state => Err(Refused { state }),
        }
    }

    /// What it was taken from.
    #[must_use]
    pub const fn breaker(&self) -> &B {
        &self.breaker
    }

    /// Whether the breaker became half-open by this very call.
    #[must_use]
    pub const fn is_first_probe(&self) -> bool {
        self.first
    }

    /// Whether this call decides if others may follow.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.probing
    }

    /// Says what became of the call; says whether that changed the breaker's state. A call that
    /// was let through before the last change says nothing about what is now, and isn't counted.
    ///
    /// `random` spreads the next probe if this opens the breaker.
    pub fn record(mut self, outcome: CallOutcome, now: Duration, random: u32) -> bool {
        if std::mem::take(&mut self.probing) {
            return self.breaker.probed(self.era, outcome, now, random);
        }
        match outcome {
            CallOutcome::Success => {
                self.breaker.succeeded(self.era, now);
                false
            }
            CallOutcome::Failure => self.breaker.failed(self.era, false, now, random),
            CallOutcome::Fatal => self.breaker.failed(self.era, true, now, random),
        }
    }
}

impl<B: Deref<Target = Breaker>> Drop for Permit<B> {
    fn drop(&mut self) {
        if self.probing {
            self.breaker.abandoned(self.era);
        }
    }
}

impl<B: Deref<Target = Breaker>> fmt::Debug for Permit<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("era", &self.era)
            .field("probing", &self.probing)
            .finish_non_exhaustive()
    }
}
