//! Locks that all servers share: for work that one of them is to do.
//!
//! A lock here saves work. It does not make anything correct by itself: its holder may be slower
//! than its lease, and then another one begins. What must never happen twice is guarded where it is
//! written down, by the number that each holder gets ([`Fence`]).

mod error;
mod held;
mod lease;
mod line;
mod locking;
mod place;
mod room;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use pitlane_core::Key;

pub use error::{LockError, LockErrorKind};
pub use held::{Fence, Held};
pub(crate) use line::LONGEST_PAUSE;
pub(crate) use locking::Late;
pub use locking::Locking;
pub(crate) use place::Place;
pub(crate) use room::Rooms;

use crate::cache::{Cache, Wanted};

/// How long a holder has a lock, unless something else is said.
const LEASE: Duration = Duration::from_secs(30);

/// No lease is longer: a holder that died would be waited for.
const LONGEST_LEASE: Duration = Duration::from_secs(24 * 3600);

/// Nobody waits longer; what is meant is "as long as it takes".
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Whoever waits outlives a holder that died, by this much.
const LONGER: Duration = Duration::from_secs(1);

/// A lock that one caller at a time has, of all servers that share a Redis. Made by
/// [`Cache::lock`].
///
/// It is a lease: the holder has it for a while, and whatever becomes of the holder, others get it
/// after that. It is not reentrant. Callers of one server stand in line, in the order in which they came; the
/// first of them asks Redis, so that a server asks as often for a thousand callers as for one.
/// Between servers there is no order. Without Redis the lock is this process's own.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use pitlane::Key;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let caches = pitlane::Caches::builder().cache("query").build()?;
/// # async fn import(_: u64) {}
/// let lock = caches.get("query")?.lock(&Key::new("import").child(7)).lease(Duration::from_secs(60));
/// let held = lock.acquire().await?;
/// import(7).await;
/// held.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Lock {
    place: Place,
    lease: Duration,
    wait: Option<Duration>,
    renewed: bool,
}

impl Cache {
    /// A lock of this name, which has nothing to do with what the cache holds under it.
    pub fn lock(&self, key: &Key) -> Lock {
        Lock::at(Place::named(self, key))
    }
}

impl Lock {
    const fn at(place: Place) -> Self {
        Self {
            place,
            lease: LEASE,
            wait: None,
            renewed: false,
        }
    }

    /// The lock of whoever computes a value.
    pub(crate) fn of_value(cache: &Cache, wanted: &Wanted, locking: &Locking) -> Self {
        Self {
            wait: Some(locking.patience()),
            ..Self::at(Place::of_value(cache, &wanted.place)).lease(locking.lease)
        }
    }

    /// How long a holder has it at most, in whole milliseconds from 1 ms to 24 hours; 30 seconds
    /// unless said. Longer than the work takes, or somebody else begins it as well.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.clamp(Duration::from_millis(1), LONGEST_LEASE);
        self
    }

    /// How long [`acquire`](Self::acquire) waits while somebody else has it; a second longer than
    /// the lease unless said, so that whoever waits outlives a holder that died.
    pub const fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// Renews the lease in the background, three times in its length, for as long as the guard
    /// lives. Then a holder that hangs has the lock for ever, and one whose process dies for one
    /// lease.
    pub const fn renewed(mut self) -> Self {
        self.renewed = true;
        self
    }

    /// Waits for the lock.
    ///
    /// Dropping this future gives up the place in line, and the lock if it was just granted.
    /// Needs a tokio runtime with its timer.
    ///
    /// # Errors
    ///
    /// [`LockErrorKind::TimedOut`] when others had it for all of the [`wait`](Self::wait);
    /// [`LockErrorKind::Unavailable`] as soon as Redis doesn't answer within its budget.
    pub async fn acquire(&self) -> Result<Held, LockError> {
        let mut line = self.line_up().await?;
        loop {
            if let Some(held) = line.attempt().await? {
                return Ok(held);
            }
            line.pause().await?;
        }
    }

    /// The lock, if nobody has it or waits for it on this server.
    ///
    /// # Errors
    ///
    /// [`LockErrorKind::Unavailable`] when Redis doesn't answer within its budget.
    pub async fn try_acquire(&self) -> Result<Option<Held>, LockError> {
        match self.step_up() {
            Some(mut line) => line.attempt().await,
            None => Ok(None),
        }
    }

    /// Runs `work` while it has the lock, and tells it the number of its lease. Afterwards the lock
    /// is given back in the background.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire); then `work` has not begun.
    pub async fn run<F, Fut>(&self, work: F) -> Result<Fut::Output, LockError>
    where
        F: FnOnce(Fence) -> Fut,
        Fut: Future,
    {
        let held = self.acquire().await?;
        let done = work(held.fence()).await;
        drop(held);
        Ok(done)
    }

    fn patience(&self) -> Duration {
        let wait = self.wait.unwrap_or(self.lease.saturating_add(LONGER));
        wait.min(LONGEST_WAIT)
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("cache", &self.place.cache.name())
            .field("lease", &self.lease)
            .field("wait", &self.patience())
            .field("renewed", &self.renewed)
            .finish_non_exhaustive()
    }
}
