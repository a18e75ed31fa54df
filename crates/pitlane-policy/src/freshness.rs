use std::time::Duration;

/// How long a stored response may be used: all that a lookup needs to know about time.
///
/// Ages count from the response's birth at the origin (RFC 9111 §4.2.3), so they begin at
/// [`initial_age`](Self::initial_age) when the response is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    lifetime: Duration,
    initial_age: Duration,
    stale_while_revalidate: Duration,
    stale_if_error: Duration,
    forbids_stale: bool,
}

/// What may be done with a stored response at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It may be used as it is.
    Fresh {
        /// The value of the `Age` field.
        age: Duration,
        /// For how much longer it stays fresh; more than zero.
        ttl: Duration,
    },
    /// It may be used now while one request refreshes it (RFC 5861 §3).
    StaleWhileRevalidate {
        /// The value of the `Age` field.
        age: Duration,
        /// For how long it has been stale.
        stale_for: Duration,
        /// Whether it may also be used should the refresh fail.
        usable_on_error: bool,
    },
    /// It may be used only if the origin fails (RFC 5861 §4).
    StaleIfError {
        /// The value of the `Age` field.
        age: Duration,
        /// For how long it has been stale.
        stale_for: Duration,
    },
    /// It may be used only after validation.
    Stale {
        /// The value of the `Age` field.
        age: Duration,
        /// For how long it has been stale.
        stale_for: Duration,
    },
}

impl Freshness {
    /// Fresh for `lifetime` from now on, with no stale windows.
    #[must_use]
    pub const fn new(lifetime: Duration) -> Self {
        Self {
            lifetime,
            initial_age: Duration::ZERO,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            forbids_stale: false,
        }
    }

    /// The age it already has when it is stored.
    #[must_use]
    pub const fn with_initial_age(self, initial_age: Duration) -> Self {
        Self {
            initial_age,
            ..self
        }
    }

    /// For how long after its lifetime it may be used while it is refreshed.
    #[must_use]
    pub const fn with_stale_while_revalidate(self, window: Duration) -> Self {
        Self {
            stale_while_revalidate: window,
            ..self
        }
    }

    /// For how long after its lifetime it may be used when the origin fails.
    #[must_use]
    pub const fn with_stale_if_error(self, window: Duration) -> Self {
        Self {
            stale_if_error: window,
            ..self
        }
    }

    /// Forbids every use when stale, and closes both stale windows.
    #[must_use]
    pub const fn without_stale(self) -> Self {
        Self {
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            forbids_stale: true,
            ..self
        }
    }

    /// For how long it is fresh, counted from age zero.
    #[must_use]
    pub const fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// The age it had when it was stored.
    #[must_use]
    pub const fn initial_age(&self) -> Duration {
        self.initial_age
    }

    /// The window in which it may be used while it is refreshed.
    #[must_use]
    pub const fn stale_while_revalidate(&self) -> Duration {
        self.stale_while_revalidate
    }

    /// The window in which it may be used when the origin fails.
    #[must_use]
    pub const fn stale_if_error(&self) -> Duration {
        self.stale_if_error
    }

    /// Whether even a client's `max-stale` can't make it usable when stale.
    #[must_use]
    pub const fn forbids_stale(&self) -> bool {
        self.forbids_stale
    }

    /// Its age, `resident` after it was stored.
    #[must_use]
    pub const fn age(&self, resident: Duration) -> Duration {
        self.initial_age.saturating_add(resident)
    }

    /// For how long after it was stored it can be used at all without validation, stale windows
    /// included.
    #[must_use]
    pub fn retention(&self) -> Duration {
        let window = self.stale_while_revalidate.max(self.stale_if_error);
        self.lifetime
            .saturating_add(window)
            .saturating_sub(self.initial_age)
    }

    /// What may be done with it, `resident` after it was stored.
    ///
    /// It is fresh while its lifetime exceeds its age, so it is stale when both are equal
    /// (RFC 9111 §4.2); the stale windows end the same way.
    #[must_use]
    pub fn judge(&self, resident: Duration) -> Verdict {
        let age = self.age(resident);
        if self.lifetime > age {
            return Verdict::Fresh {
                age,
                ttl: self.lifetime - age,
            };
        }
        let stale_for = age - self.lifetime;
        let usable_on_error = stale_for < self.stale_if_error;
        if stale_for < self.stale_while_revalidate {
            Verdict::StaleWhileRevalidate {
                age,
                stale_for,
                usable_on_error,
            }
        } else if usable_on_error {
            Verdict::StaleIfError { age, stale_for }
        } else {
            Verdict::Stale { age, stale_for }
        }
    }
}
