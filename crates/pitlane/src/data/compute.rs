use std::{any::Any, pin::pin, sync::Arc, time::Duration};

use pitlane_core::{Basis, Followed, Follower, Joined, Key, Reason};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{task::JoinHandle, time::timeout};
use tracing::Instrument;

use super::{Codec, Data, DataError};
use crate::cache::{
    Budget, Claimed, Entry, Fill, Flown, Keep, Lead, MAX_ROUNDS, PATIENCE, Place, Scope, Tier,
    Usable, Wanted,
};
use crate::stats::Trouble;

/// How long a computation in the background may take, where nobody says.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(60);

/// Something stale that may be handed out instead of what can't be had at once.
pub(super) struct Spare<T> {
    entry: Arc<Entry>,
    value: T,
}

/// What memory holds.
enum Look<T> {
    Fresh(T),
    /// Handed out while a new value is computed.
    WhileRevalidate(T),
    /// Handed out when there is no new value to be had.
    IfError(Spare<T>),
    Nothing(Reason),
}

impl<T> Look<T> {
    const fn reason(&self) -> Reason {
        match self {
            Self::Fresh(_) => Reason::Fresh,
            Self::WhileRevalidate(_) => Reason::StaleWhileRevalidate,
            Self::IfError(_) => Reason::Expired,
            Self::Nothing(reason) => *reason,
        }
    }
}

impl<T, C> Data<T, C>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    C: Codec,
{
    /// The value under `key`, or what `compute` makes of it.
    ///
    /// Of all who ask at once, in this process, one computes; the others wait for the same value,
    /// or for the same error. The computation runs in a task of its own: it goes on when its caller is
    /// dropped. It runs in a [`Scope`]: the value carries the tags of everything that
    /// it takes from caches. A value that was invalidated while it was computed reaches the one who
    /// computed it, and nobody else; nor is one shared that is made of something stale. Trouble with
    /// Redis is a miss.
    ///
    /// Because a computation outlives its caller, clients that leave don't take their work along:
    /// bound it by a [`hard_timeout`](Self::hard_timeout) and by the size of the pool behind it.
    ///
    /// Nobody waits longer than the hard timeout. Where there is none, those who have waited for 10
    /// seconds compute for themselves, because two computations may wait for each other.
    ///
    /// Needs a tokio runtime with its timer.
    ///
    /// # Errors
    ///
    /// The computation's own error, which is never cached; that it took longer than its
    /// [`hard_timeout`](Self::hard_timeout), or panicked. Where something stale may stand in, it does.
    pub async fn get_or_compute<E, F, Fut>(&self, key: &Key, compute: F) -> Result<T, DataError<E>>
    where
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let cache = &self.cache;
        let key = self.whole_key(key);
        let place = self.place(&key);
        // A hit needs to know nothing else, and is over here.
        let looked = match cache.must_confirm() {
            true => None,
            false => match self.look_counted(&place) {
                Look::Fresh(value) => return Ok(value),
                look => Some(look),
            },
        };
        let wanted = Wanted::at(cache, place, &key);
        // Apart, because it is large, and seldom.
        Box::pin(self.find_or_compute(wanted, looked, compute)).await
    }

    /// What to do where memory had nothing fresh: `looked` is what it had.
    async fn find_or_compute<E, F, Fut>(
        &self,
        wanted: Wanted,
        mut looked: Option<Look<T>>,
        compute: F,
    ) -> Result<T, DataError<E>>
    where
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let cache = &self.cache;
        let budget = cache.budget();
        let mut spare = None;
        let mut why = Reason::UriMiss;
        for _ in 0..MAX_ROUNDS {
            if looked.is_none() && cache.confirm(budget.as_ref()).await {
                looked = Some(self.look_counted(&wanted.place));
            }
            if let Some(look) = looked.take() {
                match look {
                    Look::Fresh(value) => return Ok(value),
                    Look::WhileRevalidate(value) => {
                        self.refresh(wanted, compute);
                        return Ok(value);
                    }
                    Look::IfError(stale) => {
                        spare = Some(stale);
                        why = Reason::Expired;
                    }
                    Look::Nothing(reason) => why = reason,
                }
            }
            let follower = match self.join(&wanted) {
                Joined::Lead(lead) => {
                    return self.lead((wanted, lead, why), budget, compute, spare).await;
                }
                Joined::Follow(follower) => follower,
            };
            match self.follow(follower, spare.is_some()).await {
                Waited::Landed(Flown::Entry(entry)) => {
                    if let Some(value) = self.landed(&wanted, entry) {
                        return Ok(value);
                    }
                }
                Waited::Landed(Flown::Error(error)) => {
                    let Ok(error) = error.downcast::<DataError<E>>() else {
                        break;
                    };
                    return self.instead(spare).ok_or_else(|| DataError::clone(&error));
                }
                Waited::Lead(lead) => {
                    return self.lead((wanted, lead, why), budget, compute, spare).await;
                }
                Waited::Slow if spare.is_some() => {
                    if let Some(value) = self.instead(spare.take()) {
                        return Ok(value);
                    }
                    break;
                }
                Waited::TimedOut => {
                    return self.instead(spare).ok_or_else(DataError::timed_out);
                }
                #[cfg(feature = "locks")]
                Waited::Late => return self.late((wanted, why), budget, compute, spare).await,
                Waited::Landed(Flown::Failed) | Waited::Slow | Waited::Alone => break,
            }
        }
        let fill = cache.begin(wanted, None, budget, why);
        self.own(self.alone().start(fill, compute), spare).await
    }

    /// The same, for those whose computations nobody else can use: one after the other, each would
    /// wait for all before it.
    pub(super) fn alone(&self) -> Self {
        #[cfg_attr(
            not(feature = "locks"),
            expect(unused_mut, reason = "there is no lock")
        )]
        let mut alone = self.clone();
        #[cfg(feature = "locks")]
        {
            alone.locking = None;
        }
        alone
    }

    /// Looks once more, in Redis too, and then computes for everybody who waits.
    async fn lead<E, F, Fut>(
        &self,
        (wanted, lead, why): (Wanted, Lead, Reason),
        budget: Option<Budget>,
        compute: F,
        spare: Option<Spare<T>>,
    ) -> Result<T, DataError<E>>
    where
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let cache = &self.cache;
        let claimed = cache.lead(wanted.clone(), Some(lead), budget.clone(), why);
        let fill = match claimed.await {
            Claimed::Fill(fill) => fill,
            Claimed::Hit(found) => match C::decode(&found.bytes) {
                Ok(value) => {
                    let _ = found.take();
                    return Ok(value);
                }
                Err(_) => cache.begin(wanted, None, budget, why),
            },
        };
        self.own(self.start(fill, compute), spare).await
    }

    pub(super) fn join(&self, wanted: &Wanted) -> Joined<Flown, Basis> {
        let shared = self.cache.shared();
        let current = |basis: &Basis| shared.is_current(basis, &wanted.tags);
        let basis = self.cache.basis();
        shared.flights.join(wanted.place.digest, basis, current)
    }

    /// What memory has under `key`, where it is fresh and may be handed out at once.
    #[doc(hidden)]
    #[must_use]
    pub fn peek(&self, key: &Key) -> Option<T> {
        let cache = &self.cache;
        if cache.must_confirm() {
            return None;
        }
        let (entry, bytes) = cache.peek_value(&self.place(&self.whole_key(key)))?;
        let shared = cache.shared();
        let usable = entry.judge(&shared.log, shared.clock.now());
        if !matches!(usable, Usable::Fresh { .. }) {
            return None;
        }
        let value = C::decode(&bytes).ok()?;
        cache.stats().note_use(&entry);
        cache.stats().count_lookup(Reason::Fresh);
        Scope::current().depend(&entry.meta, true);
        Some(value)
    }

    fn look_counted(&self, place: &Place) -> Look<T> {
        let look = self.look(place);
        self.cache.stats().count_lookup(look.reason());
        look
    }

    fn look(&self, place: &Place) -> Look<T> {
        let Some((entry, bytes)) = self.cache.peek_value(place) else {
            return Look::Nothing(Reason::UriMiss);
        };
        let shared = self.cache.shared();
        let usable = entry.judge(&shared.log, shared.clock.now());
        if let Usable::No(reason)
        | Usable::Stale {
            on_error: false,
            reason,
            ..
        } = usable
        {
            return Look::Nothing(reason);
        }
        let Ok(value) = C::decode(&bytes) else {
            // It is of no use to anybody who knows its type by this version.
            self.cache.withdraw_value(place, &entry);
            return Look::Nothing(Reason::UriMiss);
        };
        self.cache.stats().note_use(&entry);
        match usable {
            Usable::Fresh { .. } => {
                Scope::current().depend(&entry.meta, true);
                Look::Fresh(value)
            }
            Usable::WhileRevalidate { .. } => {
                Scope::current().depend(&entry.meta, false);
                Look::WhileRevalidate(value)
            }
            _ => Look::IfError(Spare { entry, value }),
        }
    }

    /// What a flight landed with, judged at this moment.
    pub(super) fn landed(&self, wanted: &Wanted, entry: Arc<Entry>) -> Option<T> {
        if self.cache.must_confirm() {
            return None;
        }
        let found = self
            .cache
            .usable_value(&wanted.place, entry, Tier::Memory)?;
        let value = C::decode(&found.bytes).ok()?;
        let _ = found.take();
        Some(value)
    }

    /// What is stale, if it may still be handed out: while somebody waited, it may have been
    /// invalidated.
    pub(super) fn instead(&self, spare: Option<Spare<T>>) -> Option<T> {
        let Spare { entry, value } = spare?;
        let shared = self.cache.shared();
        match entry.judge(&shared.log, shared.clock.now()) {
            Usable::Fresh { .. }
            | Usable::WhileRevalidate { .. }
            | Usable::Stale { on_error: true, .. } => {
                Scope::current().depend(&entry.meta, false);
                Some(value)
            }
            _ => None,
        }
    }

    /// Computes anew in the background, unless somebody does already.
    fn refresh<E, F, Fut>(&self, wanted: Wanted, compute: F)
    where
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let Joined::Lead(lead) = self.join(&wanted) else {
            return;
        };
        let mut this = self.clone();
        this.hard_timeout = Some(this.hard_timeout.unwrap_or(REFRESH_TIMEOUT));
        // Apart from the request that is answered now: what that shows is settled already.
        let work = async move {
            let budget = this.cache.budget();
            let claimed = this.cache.lead(wanted, Some(lead), budget, Reason::Expired);
            if let Claimed::Fill(fill) = claimed.await {
                drop(this.renew(fill, compute).await);
            }
        };
        if !self.cache.shared().spawn(work.in_current_span()) {
            self.cache.note(Trouble::BackgroundFull);
        }
    }

    /// Waits for a computation of one's own, or for as long as something stale lets nobody wait.
    pub(super) async fn own<E>(
        &self,
        mut work: JoinHandle<Result<T, DataError<E>>>,
        spare: Option<Spare<T>>,
    ) -> Result<T, DataError<E>> {
        let soft = self.soft_timeout.filter(|_| spare.is_some());
        let result = match soft {
            Some(limit) => match timeout(limit, &mut work).await {
                Ok(result) => result,
                Err(_) => match self.instead(spare) {
                    Some(value) => return Ok(value),
                    None => return flatten(work.await),
                },
            },
            None => work.await,
        };
        match flatten(result) {
            Ok(value) => Ok(value),
            Err(error) => self.instead(spare).ok_or(error),
        }
    }

    /// The longest that anybody waits, and what it means. A hard timeout ends two computations that
    /// wait for each other; without one, patience does.
    fn last(&self) -> (Duration, Waited) {
        #[cfg(feature = "locks")]
        if let Some(locking) = &self.locking {
            let computing = self.hard_timeout.unwrap_or_default();
            return (locking.patience().saturating_add(computing), Waited::Late);
        }
        match self.hard_timeout {
            Some(hard) => (hard, Waited::TimedOut),
            None => (PATIENCE, Waited::Alone),
        }
    }

    async fn follow(&self, follower: Follower<Flown, Basis>, spare: bool) -> Waited {
        let soft = self.soft_timeout.filter(|_| spare);
        let (limit, late) = nearest(soft, self.last());
        match timeout(limit, follower).await {
            Ok(Followed::Lead(lead)) => Waited::Lead(lead),
            Ok(Followed::Landed(flown)) => Waited::Landed(flown),
            Ok(Followed::Released) => Waited::Alone,
            Err(_) => late,
        }
    }

    pub(super) fn start<E, F, Fut>(
        &self,
        fill: Fill,
        compute: F,
    ) -> JoinHandle<Result<T, DataError<E>>>
    where
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let this = self.clone();
        #[cfg(feature = "locks")]
        if let Some(locking) = self.locking.clone() {
            let work = async move { this.in_turn(locking, fill, compute).await };
            return tokio::spawn(Scope::current().run(work).in_current_span());
        }
        let work = async move { this.supervise(fill, compute, None).await };
        tokio::spawn(work.in_current_span())
    }

    /// Computes in the background what is stale.
    async fn renew<E, F, Fut>(&self, fill: Fill, compute: F) -> Result<(), DataError<E>>
    where
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        #[cfg(feature = "locks")]
        if let Some(locking) = self.locking.clone() {
            return self.renew_in_turn(locking, fill, compute).await;
        }
        self.supervise(fill, compute, None).await.map(drop)
    }

    /// Runs a computation, and tells everybody who waits how it ended.
    pub(super) async fn supervise<E, F, Fut>(
        &self,
        fill: Fill,
        compute: F,
        kept: Keep,
    ) -> Result<T, DataError<E>>
    where
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let error = match run_alone(fill.scope(), self.hard_timeout, compute).await {
            Ok(value) => {
                self.store(fill, &value, kept);
                return Ok(value);
            }
            Err(error) => error,
        };
        // A page without it ends with what ends it.
        fill.note(self.tags_of());
        let shared: Arc<dyn Any + Send + Sync> = Arc::new(error.clone());
        fill.fail(shared);
        Err(error)
    }
}

/// How waiting for somebody else's computation ended.
pub(super) enum Waited {
    Landed(Flown),
    Lead(Lead),
    /// Something stale is better than waiting on.
    Slow,
    TimedOut,
    /// It took longer than somebody waits who wants to leave it to others.
    #[cfg(feature = "locks")]
    Late,
    /// There is nothing to wait for any more.
    Alone,
}

/// The first of the limits, and what it means to reach it.
fn nearest(soft: Option<Duration>, last: (Duration, Waited)) -> (Duration, Waited) {
    match soft {
        Some(soft) if soft <= last.0 => (soft, Waited::Slow),
        _ => last,
    }
}

/// Runs a computation in a task of its own and in its scope, so that a panic ends nothing else, and
/// no longer than `limit`.
pub(super) async fn run_alone<T, E, F, Fut>(
    scope: Scope,
    limit: Option<Duration>,
    compute: F,
) -> Result<T, DataError<E>>
where
    T: Send + 'static,
    E: Send + Sync + 'static,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
{
    let work = scope.run(async move { compute().await }).in_current_span();
    let mut work = AbortOnDrop(tokio::spawn(work));
    let work = pin!(&mut work.0);
    let ended = match limit {
        Some(limit) => timeout(limit, work)
            .await
            .map_err(|_| DataError::timed_out())?,
        None => work.await,
    };
    match ended {
        Ok(result) => result.map_err(DataError::computation),
        Err(_) => Err(DataError::panicked()),
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn flatten<T, E>(
    ended: Result<Result<T, DataError<E>>, tokio::task::JoinError>,
) -> Result<T, DataError<E>> {
    ended.unwrap_or_else(|_| Err(DataError::panicked()))
}
