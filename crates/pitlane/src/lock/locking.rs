use std::time::Duration;

use super::{LEASE, LONGER, LONGEST_WAIT};

/// How servers leave the computation of a value to one of them, for
/// [`Data::lock`](crate::data::Data::lock).
///
/// Whoever begins one chooses what is to happen when there is no value and no lock: because another
/// server computes for longer than this one waits, or because Redis can't be asked.
///
/// ```
/// use std::time::Duration;
/// use pitlane::lock::Locking;
///
/// let locking = Locking::or_compute().lease(Duration::from_secs(30)).wait(Duration::from_secs(5));
/// # let _ = locking;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Locking {
    pub(crate) lease: Duration,
    wait: Option<Duration>,
    pub(crate) late: Late,
}

/// What is done by those who waited in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    Compute,
    Error,
}

impl Locking {
    /// Who waited in vain computes as well.
    pub const fn or_compute() -> Self {
        Self::with(Late::Compute)
    }

    /// Who waited in vain gets an error, or what is stale where that may stand in.
    pub const fn or_error() -> Self {
        Self::with(Late::Error)
    }

    const fn with(late: Late) -> Self {
        Self {
            lease: LEASE,
            wait: None,
            late,
        }
    }

    /// How long a server has the computation to itself at most; 30 seconds unless said. Longer than
    /// it takes, or another server computes as well.
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long a caller waits for the value while others compute it; a second longer than the
    /// lease unless said, so that it outlives a server that died.
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    pub(crate) fn patience(&self) -> Duration {
        let wait = self.wait.unwrap_or(self.lease.saturating_add(LONGER));
        wait.min(LONGEST_WAIT)
    }
}
