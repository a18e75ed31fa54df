use std::{error, fmt};

use pitlane_core::StoreError;

/// Why there is no lock.
pub struct LockError {
    kind: LockErrorKind,
    source: Option<StoreError>,
}

/// What kind of failure a [`LockError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockErrorKind {
    /// Others had it for as long as the caller would wait.
    TimedOut,
    /// Redis did not answer within its budget, or said no. The lock may have been taken, and then
    /// it is given back in the background, or ends with its lease.
    Unavailable,
    /// The lease was over, and perhaps somebody else has the lock.
    Lost,
}

impl LockError {
    pub(crate) const fn new(kind: LockErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(crate) const fn unavailable(source: StoreError) -> Self {
        Self {
            kind: LockErrorKind::Unavailable,
            source: Some(source),
        }
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> LockErrorKind {
        self.kind
    }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            LockErrorKind::TimedOut => "the lock was not free in time",
            LockErrorKind::Unavailable => "the lock can't be had: Redis can't be asked",
            LockErrorKind::Lost => "the lock's lease was over",
        })
    }
}

impl fmt::Debug for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockError")
            .field("kind", &self.kind)
            .field("source", &self.source)
            .finish()
    }
}

impl error::Error for LockError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
