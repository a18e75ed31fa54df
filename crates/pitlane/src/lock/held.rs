use std::{fmt, sync::Arc, time::Duration};

use tokio::task::AbortHandle;

use super::{
    LockError, LockErrorKind,
    lease::{Lease, keep_renewed},
};

/// The lock, as long as it is not dropped and its lease goes on.
///
/// Dropping it gives the lock back in the background, and waits for nothing. Where Redis can't be
/// reached that is tried again for at most 30 seconds; otherwise the lock ends with its lease.
#[must_use = "a lock that is dropped at once is given back at once"]
pub struct Held {
    lease: Arc<Lease>,
    fence: Fence,
    renewal: Option<AbortHandle>,
}

impl Held {
    pub(super) fn new(lease: Lease, number: u64, is_renewed: bool) -> Self {
        let lease = Arc::new(lease);
        let runtime = lease.runtime().filter(|_| is_renewed);
        let renewal = runtime.map(|runtime| runtime.spawn(keep_renewed(Arc::clone(&lease))));
        Self {
            fence: Fence(number),
            renewal: renewal.map(|task| task.abort_handle()),
            lease,
        }
    }

    /// The number of this lease, for those who write down what they do.
    #[must_use]
    pub const fn fence(&self) -> Fence {
        self.fence
    }

    /// How long the lease goes on, by this process's clock; zero when it is over. A process that
    /// stood still finds out only when it goes on.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.lease.left()
    }

    /// Begins the lease's length anew.
    ///
    /// # Errors
    ///
    /// [`LockErrorKind::Lost`] when it was over; [`LockErrorKind::Unavailable`] when Redis did not
    /// answer: then it may or may not have been renewed.
    pub async fn renew(&self) -> Result<(), LockError> {
        still_there(self.lease.renew().await)
    }

    /// Gives the lock back, and waits until that is done.
    ///
    /// # Errors
    ///
    /// As [`renew`](Self::renew). Where Redis did not answer, the lock is given back in the
    /// background.
    pub async fn release(self) -> Result<(), LockError> {
        still_there(self.lease.give_back().await)
    }
}

fn still_there(result: Result<bool, pitlane_core::StoreError>) -> Result<(), LockError> {
    match result {
        Ok(true) => Ok(()),
        Ok(false) => Err(LockError::new(LockErrorKind::Lost)),
        Err(error) => Err(LockError::unavailable(error)),
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(renewal) = &self.renewal {
            renewal.abort();
        }
        self.lease.let_go();
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("fence", &self.fence)
            .field("left", &self.left())
            .finish_non_exhaustive()
    }
}

/// A fencing token: each lease of one lock has a higher one than all leases before it.
///
/// Whatever is written under a lock is safe where the one who keeps it refuses a lower number than
/// the last it has seen: a holder that was slower than its lease comes too late there, and
/// nowhere else.
///
/// It is counted in Redis, for all locks of a cache together, and is never below the time of the
/// Redis server in microseconds. So it goes on above earlier ones after Redis has lost its data, or
/// has failed over to a replica that lacked the last of it, unless that server's clock is behind
/// the time of the last lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(u64);

impl Fence {
    /// As a column of a database holds it; above zero.
    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0.cast_signed()
    }

    /// As a number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
