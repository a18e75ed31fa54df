use super::BreakerState;

/// From the lowest bit: two of state, fourteen of failures in a row, the rest is the era. An era
/// ends with every change of state.
#[derive(Clone, Copy)]
pub(super) struct Gate(pub(super) u64);

impl Gate {
    const MOST_FAILURES: u64 = (1 << 14) - 1;

    pub(super) const fn new(era: u64, state: BreakerState) -> Self {
        let state = match state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        Self(era << 16 | state)
    }

    pub(super) const fn state(self) -> BreakerState {
        match self.0 & 3 {
            0 => BreakerState::Closed,
            1 => BreakerState::HalfOpen,
            _ => BreakerState::Open,
        }
    }

    pub(super) const fn era(self) -> u64 {
        self.0 >> 16
    }

    pub(super) const fn failures(self) -> u32 {
        ((self.0 >> 2) & Self::MOST_FAILURES) as u32
    }

    pub(super) const fn with_failure(self) -> Self {
        let full = (self.0 >> 2) & Self::MOST_FAILURES == Self::MOST_FAILURES;
        Self(if full { self.0 } else { self.0 + 4 })
    }
}
