//! Values that one of all servers computes.

use std::{any::Any, fmt, sync::Arc};

use pitlane_core::{Key, Reason};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::sleep;

use super::{Codec, Data, DataError, Postcard, compute::Spare};
use crate::{
    cache::{Budget, Cache, Claimed, Fill, Wanted},
    lock::{Held, LONGEST_PAUSE, Late, Lock, LockError, LockErrorKind, Locking},
};

/// Values that of all servers one computes, while the others wait for it. Made by [`Data::lock`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use pitlane::{Key, lock::Locking};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let caches = pitlane::Caches::builder().cache("query").build()?;
/// # async fn rank() -> Result<Vec<u64>, std::io::Error> { Ok(vec![7, 3]) }
/// let standings = caches
///     .get("query")?
///     .data()
///     .ttl(Duration::from_secs(300))
///     .lock(Locking::or_compute().lease(Duration::from_secs(30)));
/// let best = standings.get_or_compute(&Key::new("standings"), rank).await?;
/// assert_eq!(best, [7, 3]);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct LockedData<T, C = Postcard>(Data<T, C>);

impl Cache {
    /// The value under `key`, or what `compute` makes of it on one of all servers: [`Data::lock`]
    /// without options.
    ///
    /// # Errors
    ///
    /// As [`LockedData::get_or_compute`].
    pub async fn with_lock<T, E, F, Fut>(
        &self,
        key: &Key,
        locking: Locking,
        compute: F,
    ) -> Result<T, DataError<E>>
    where
        T: Serialize + DeserializeOwned + Send + 'static,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.data().lock(locking).get_or_compute(key, compute).await
    }
}

impl<T, C> Data<T, C> {
    /// Leaves each computation to one of all servers that share a Redis. The last of the options.
    ///
    /// It saves work, and promises nothing: a server that takes longer than the lease is not waited
    /// for.
    pub fn lock(mut self, locking: Locking) -> LockedData<T, C> {
        self.locking = Some(locking);
        LockedData(self)
    }
}

impl<T, C> LockedData<T, C>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    C: Codec,
{
    /// The value under `key`, or what `compute` makes of it: [`Data::get_or_compute`], but that the
    /// others are those of all servers.
    ///
    /// Whoever waits looks for the value again and again, in memory and in Redis, and judges what it
    /// finds as it would any hit. What is found to be stale, within its window, is handed out; then
    /// one server computes in the background, and the others don't. Nobody waits longer than
    /// [`Locking::wait`] and the [`hard_timeout`](Data::hard_timeout) of the computation together.
    ///
    /// # Errors
    ///
    /// As there; and with [`Locking::or_error`] [`DataErrorKind::Locked`](super::DataErrorKind) when
    /// others compute for longer than the caller waits, or as soon as Redis can't be asked.
    pub async fn get_or_compute<E, F, Fut>(&self, key: &Key, compute: F) -> Result<T, DataError<E>>
    where
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.0.get_or_compute(key, compute).await
    }
}

/// How waiting for one's turn ended.
enum Turn<T> {
    Compute(Fill, Held),
    Found(T),
    /// It ended without either.
    Late(Fill, LockError),
}

impl<T, C> Data<T, C>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    C: Codec,
{
    /// Computes when it is this server's turn, or takes what another one computed meanwhile.
    pub(super) async fn in_turn<E, F, Fut>(
        &self,
        locking: Locking,
        fill: Fill,
        compute: F,
    ) -> Result<T, DataError<E>>
    where
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        match self.turn(&locking, fill).await {
            Turn::Found(value) => Ok(value),
            Turn::Compute(fill, held) => self.supervise(fill, compute, Some(Box::new(held))).await,
            Turn::Late(fill, error) => {
                tracing::debug!(%error, "no turn to compute a value");
                if locking.late == Late::Compute {
                    return self.supervise(fill, compute, None).await;
                }
                let error = DataError::locked(error);
                let shared: Arc<dyn Any + Send + Sync> = Arc::new(error.clone());
                fill.fail(shared);
                Err(error)
            }
        }
    }

    /// Computes what is stale if no other server does. Nobody waits for it.
    pub(super) async fn renew_in_turn<E, F, Fut>(
        &self,
        locking: Locking,
        fill: Fill,
        compute: F,
    ) -> Result<(), DataError<E>>
    where
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let lock = Lock::of_value(&self.cache, fill.wanted(), &locking);
        let keep = match lock.try_acquire().await {
            Ok(Some(held)) => Some(held),
            // As long as this goes on nobody else begins: or each hit on what is stale would ask.
            Ok(None) => {
                sleep(LONGEST_PAUSE).await;
                return Ok(());
            }
            Err(_) if locking.late == Late::Compute => None,
            Err(error) => return Err(DataError::locked(error)),
        };
        // Another one may have been faster.
        let budget = self.cache.budget();
        match self.look_again(fill, budget).await {
            Ok(fill) => {
                let keep = keep.map(|held| Box::new(held) as _);
                self.supervise(fill, compute, keep).await.map(drop)
            }
            Err(_) => Ok(()),
        }
    }

    /// What is left for one who waited for those of its own server, in vain.
    pub(super) async fn late<E, F, Fut>(
        &self,
        (wanted, why): (Wanted, Reason),
        budget: Option<Budget>,
        compute: F,
        spare: Option<Spare<T>>,
    ) -> Result<T, DataError<E>>
    where
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let is_to_compute = |locking: &Locking| locking.late == Late::Compute;
        if !self.locking.as_ref().is_some_and(is_to_compute) {
            let late = || DataError::locked(LockError::new(LockErrorKind::TimedOut));
            return self.instead(spare).ok_or_else(late);
        }
        let fill = self.cache.begin(wanted, None, budget, why);
        self.own(self.alone().start(fill, compute), spare).await
    }

    async fn turn(&self, locking: &Locking, mut fill: Fill) -> Turn<T> {
        let lock = Lock::of_value(&self.cache, fill.wanted(), locking);
        // The request's own: after trouble with the lock, or before, it has nothing left to lose.
        let budget = fill.scope().budget();
        if is_spent(budget.as_ref()) {
            return Turn::Late(fill, LockError::new(LockErrorKind::Unavailable));
        }
        let ended = 'wait: {
            let mut line = match lock.line_up().await {
                Ok(line) => line,
                Err(error) => break 'wait error,
            };
            loop {
                let held = match line.attempt().await {
                    Ok(held) => held,
                    Err(error) => break 'wait error,
                };
                // Waiting is what was asked for; it is trouble that each look may lose a budget to.
                let round = budget
                    .is_some()
                    .then(|| Budget::new(self.cache.shared().budget));
                fill = match self.look_again(fill, round.clone()).await {
                    Ok(fill) => fill,
                    Err(value) => return Turn::Found(value),
                };
                let is_lost = is_spent(round.as_ref());
                match held {
                    // What the look has lost, the computation can't lose once more.
                    Some(held) => {
                        if is_lost {
                            exhaust(budget.as_ref(), &fill);
                        }
                        return Turn::Compute(fill, held);
                    }
                    None if is_lost => break 'wait LockError::new(LockErrorKind::Unavailable),
                    None => {}
                }
                if let Err(error) = line.pause().await {
                    break 'wait error;
                }
            }
        };
        if ended.kind() == LockErrorKind::Unavailable {
            exhaust(budget.as_ref(), &fill);
        }
        Turn::Late(fill, ended)
    }

    /// A computation that begins now, or the value that was found instead.
    async fn look_again(&self, fill: Fill, budget: Option<Budget>) -> Result<Fill, T> {
        let cache = &self.cache;
        let (wanted, lead, why) = fill.leave();
        let claimed = cache.lead(wanted.clone(), lead, budget.clone(), why);
        let found = match claimed.await {
            Claimed::Fill(fill) => return Ok(fill),
            Claimed::Hit(found) => found,
        };
        let Ok(value) = C::decode(&found.bytes) else {
            return Ok(cache.begin(wanted, None, budget, why));
        };
        let _ = found.take();
        Err(value)
    }
}

/// Nothing is left to lose, neither for the request nor for what it computes.
fn exhaust(budget: Option<&Budget>, fill: &Fill) {
    for budget in budget.into_iter().chain(&fill.scope().budget()) {
        budget.start().exhaust();
    }
}

fn is_spent(budget: Option<&Budget>) -> bool {
    budget.is_some_and(|budget| budget.left().is_none())
}

impl<T, C> Clone for LockedData<T, C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T, C> fmt::Debug for LockedData<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedData")
            .field("data", &self.0)
            .field("locking", &self.0.locking)
            .finish()
    }
}
