use std::{error, fmt, sync::Arc};

#[cfg(feature = "locks")]
use crate::lock::LockError;

/// Why there is no value. Everybody who waited for one computation gets its one error.
pub struct DataError<E> {
    failure: Failure<E>,
}

enum Failure<E> {
    Computation(Arc<E>),
    TimedOut,
    Panicked,
    Miscounted {
        asked: usize,
        got: usize,
    },
    Configuration(Arc<crate::Error>),
    #[cfg(feature = "locks")]
    Locked(Arc<LockError>),
}

/// What kind of failure a [`DataError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataErrorKind {
    /// The computation returned an error.
    Computation,
    /// The computation took longer than its hard timeout.
    TimedOut,
    /// The computation panicked, or was aborted with its runtime.
    Panicked,
    /// A computation of several values returned another number of them.
    Miscounted,
    /// There is no such cache.
    Configuration,
    /// Others computed it for as long as the caller would wait, or Redis could not be asked whether
    /// they do.
    #[cfg(feature = "locks")]
    Locked,
}

impl<E> DataError<E> {
    pub(super) fn computation(error: E) -> Self {
        Self::of(Failure::Computation(Arc::new(error)))
    }

    pub(super) const fn timed_out() -> Self {
        Self::of(Failure::TimedOut)
    }

    pub(super) const fn panicked() -> Self {
        Self::of(Failure::Panicked)
    }

    pub(super) const fn miscounted(asked: usize, got: usize) -> Self {
        Self::of(Failure::Miscounted { asked, got })
    }

    /// What `#[cached]` returns where no cache has its name.
    #[doc(hidden)]
    #[must_use]
    pub fn configuration(error: crate::Error) -> Self {
        Self::of(Failure::Configuration(Arc::new(error)))
    }

    #[cfg(feature = "locks")]
    pub(super) fn locked(error: LockError) -> Self {
        Self::of(Failure::Locked(Arc::new(error)))
    }

    const fn of(failure: Failure<E>) -> Self {
        Self { failure }
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> DataErrorKind {
        match self.failure {
            Failure::Computation(_) => DataErrorKind::Computation,
            Failure::TimedOut => DataErrorKind::TimedOut,
            Failure::Panicked => DataErrorKind::Panicked,
            Failure::Miscounted { .. } => DataErrorKind::Miscounted,
            Failure::Configuration(_) => DataErrorKind::Configuration,
            #[cfg(feature = "locks")]
            Failure::Locked(_) => DataErrorKind::Locked,
        }
    }

    /// The computation's own error, which others may hold as well.
    #[must_use]
    pub const fn computation_error(&self) -> Option<&Arc<E>> {
        match &self.failure {
            Failure::Computation(error) => Some(error),
            _ => None,
        }
    }
}

impl<E> Clone for DataError<E> {
    fn clone(&self) -> Self {
        Self::of(match &self.failure {
            Failure::Computation(error) => Failure::Computation(Arc::clone(error)),
            Failure::TimedOut => Failure::TimedOut,
            Failure::Panicked => Failure::Panicked,
            Failure::Miscounted { asked, got } => Failure::Miscounted {
                asked: *asked,
                got: *got,
            },
            Failure::Configuration(error) => Failure::Configuration(Arc::clone(error)),
            #[cfg(feature = "locks")]
            Failure::Locked(error) => Failure::Locked(Arc::clone(error)),
        })
    }
}

impl<E> fmt::Display for DataError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            Failure::Computation(_) => f.write_str("the computation of a cached value failed"),
            Failure::TimedOut => f.write_str("the computation of a cached value took too long"),
            Failure::Panicked => f.write_str("the computation of a cached value panicked"),
            Failure::Miscounted { asked, got } => write!(
                f,
                "a computation was asked for {asked} values and returned {got}"
            ),
            Failure::Configuration(error) => error.fmt(f),
            #[cfg(feature = "locks")]
            Failure::Locked(_) => f.write_str("no turn to compute a cached value was to be had"),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for DataError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataError")
            .field("kind", &self.kind())
            .field("error", &self.computation_error())
            .finish()
    }
}

impl<E: error::Error + 'static> error::Error for DataError<E> {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.failure {
            Failure::Computation(error) => Some(&**error),
            #[cfg(feature = "locks")]
            Failure::Locked(error) => Some(&**error),
            _ => None,
        }
    }
}
