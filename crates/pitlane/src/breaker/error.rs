use std::{error, fmt};

use super::CircuitOpen;

type BoxError = Box<dyn error::Error + Send + Sync>;

/// What a [`CircuitBreaker`](super::CircuitBreaker) fails with: the service's own error, or that
/// it was not asked.
pub struct BreakerError<E>(Repr<E>);

enum Repr<E> {
    Open(CircuitOpen),
    Inner(E),
}

/// What kind of failure a [`BreakerError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakerErrorKind {
    /// The circuit was open: the service was not asked.
    Open,
    /// The service failed.
    Inner,
}

impl<E> BreakerError<E> {
    pub(super) const fn open_circuit(open: CircuitOpen) -> Self {
        Self(Repr::Open(open))
    }

    pub(super) const fn of(error: E) -> Self {
        Self(Repr::Inner(error))
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> BreakerErrorKind {
        match self.0 {
            Repr::Open(_) => BreakerErrorKind::Open,
            Repr::Inner(_) => BreakerErrorKind::Inner,
        }
    }

    /// The refusal, when the service was not asked.
    #[must_use]
    pub const fn open(&self) -> Option<&CircuitOpen> {
        match &self.0 {
            Repr::Open(open) => Some(open),
            Repr::Inner(_) => None,
        }
    }

    /// The service's own error, when it was asked.
    #[must_use]
    pub const fn inner(&self) -> Option<&E> {
        match &self.0 {
            Repr::Open(_) => None,
            Repr::Inner(error) => Some(error),
        }
    }

    /// The service's own error by value.
    #[must_use]
    pub fn into_inner(self) -> Option<E> {
        match self.0 {
            Repr::Open(_) => None,
            Repr::Inner(error) => Some(error),
        }
    }

    /// Either of the two as the error that most of tower's layers speak: the service's own
    /// error, or [`CircuitOpen`].
    ///
    /// A boxed error is none itself (`Box<dyn Error>` does not implement `Error`), and so neither
    /// is a `BreakerError` around one; this is the way out: `.map_err(BreakerError::into_boxed)`.
    #[must_use]
    pub fn into_boxed(self) -> BoxError
    where
        E: Into<BoxError>,
    {
        match self.0 {
            Repr::Open(open) => open.into(),
            Repr::Inner(error) => error.into(),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for BreakerError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Open(open) => f.debug_tuple("Open").field(open).finish(),
            Repr::Inner(error) => f.debug_tuple("Inner").field(error).finish(),
        }
    }
}

impl<E> fmt::Display for BreakerError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Open(open) => open.fmt(f),
            Repr::Inner(_) => f.write_str("the service behind the circuit failed"),
        }
    }
}

impl<E: error::Error + 'static> error::Error for BreakerError<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.inner().map(|error| error as _)
    }
}
