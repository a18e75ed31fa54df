use std::{any::Any, collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use pitlane_core::{Followed, Joined, Key, Reason};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;
use tracing::Instrument;

use super::{Codec, Data, DataError, compute::run_alone};
use crate::{
    cache::{Budget, Claimed, Fill, Flown, Keep, MAX_ROUNDS, PATIENCE, Scope, Wanted},
    join::join_all,
};

/// One of several values that are asked for.
struct One<I> {
    /// Its place among those that were asked for.
    number: usize,
    id: I,
    wanted: Wanted,
}

impl<T, C> Data<T, C>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    C: Codec,
{
    /// The values under the keys of several ids, in their order; those that are missing are computed
    /// together, by one call with their ids, which returns one value for each, in their order.
    ///
    /// Somebody else who computes one of them is waited for, as long as there. Otherwise like
    /// [`get_or_compute`](Self::get_or_compute), but that nothing stale is handed out: neither
    /// while it is renewed nor in the place of an error.
    ///
    /// ```
    /// use pitlane::Key;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let caches = pitlane::Caches::builder().build()?;
    /// # async fn load_names(ids: Vec<u64>) -> Result<Vec<String>, std::io::Error> {
    /// #     Ok(ids.iter().map(u64::to_string).collect())
    /// # }
    /// let drivers = caches.get("default")?.data::<String>();
    /// let key = |id: &u64| Key::new("driver").child(id);
    /// let names = drivers.get_many([1, 2, 3], key, load_names).await?;
    /// assert_eq!(names, ["1", "2", "3"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The computation's own error; that it took too long, panicked, or returned another number of
    /// values than it was asked for.
    pub async fn get_many<I, E, F, Fut>(
        &self,
        ids: impl IntoIterator<Item = I>,
        key: impl Fn(&I) -> Key,
        compute: F,
    ) -> Result<Vec<T>, DataError<E>>
    where
        I: Clone + Send + 'static,
        E: Send + Sync + 'static,
        F: Fn(Vec<I>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<Vec<T>, E>> + Send + 'static,
    {
        let one = |(number, id): (usize, I)| One {
            number,
            wanted: self.wanted(&key(&id)),
            id,
        };
        let mut missing: Vec<_> = ids.into_iter().enumerate().map(one).collect();
        let count = missing.len();
        let mut found = BTreeMap::new();
        let budget = self.cache.budget();
        for _ in 0..MAX_ROUNDS {
            missing = self.take_fresh(missing, &mut found, budget.as_ref()).await;
            if missing.is_empty() {
                return Ok(found.into_values().collect());
            }
            let (found, budget) = (&mut found, budget.clone());
            missing = self.round(missing, found, budget, compute.clone()).await?;
        }
        let fills = missing.into_iter().map(|one| {
            let (wanted, budget) = (one.wanted.clone(), budget.clone());
            let fill = self.cache.begin(wanted, None, budget, Reason::UriMiss);
            (one, fill)
        });
        self.compute_many(fills.collect(), &mut found, compute)
            .await?;
        debug_assert_eq!(found.len(), count);
        Ok(found.into_values().collect())
    }

    /// Takes what memory has.
    async fn take_fresh<I>(
        &self,
        missing: Vec<One<I>>,
        found: &mut BTreeMap<usize, T>,
        budget: Option<&Budget>,
    ) -> Vec<One<I>> {
        if !self.cache.confirm(budget).await {
            return missing;
        }
        let take = |one: One<I>| match self.fresh(&one.wanted) {
            Some(value) => {
                found.insert(one.number, value);
                None
            }
            None => Some(one),
        };
        missing.into_iter().filter_map(take).collect()
    }

    fn fresh(&self, wanted: &Wanted) -> Option<T> {
        let found = self
            .cache
            .peek_counted(&wanted.place)
            .ok()
            .filter(|found| !found.stale)?;
        let value = C::decode(&found.bytes).ok()?;
        let _ = found.take();
        Some(value)
    }

    /// Computes what nobody else does, and then waits for the rest. Nobody waits before it has
    /// computed what others may wait for.
    async fn round<I, E, F, Fut>(
        &self,
        missing: Vec<One<I>>,
        found: &mut BTreeMap<usize, T>,
        budget: Option<Budget>,
        compute: F,
    ) -> Result<Vec<One<I>>, DataError<E>>
    where
        I: Clone + Send + 'static,
        E: Send + Sync + 'static,
        F: FnOnce(Vec<I>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Vec<T>, E>> + Send + 'static,
    {
        let (mut led, mut followed) = (Vec::new(), Vec::new());
        for one in missing {
            match self.join(&one.wanted) {
                Joined::Lead(lead) => led.push((one, lead)),
                Joined::Follow(follower) => followed.push((one, follower)),
            }
        }
        // Looked for in Redis all at once.
        let claims = led.into_iter().map(|(one, lead)| {
            let (wanted, budget) = (one.wanted.clone(), budget.clone());
            let lead = self.cache.lead(wanted, Some(lead), budget, Reason::UriMiss);
            async move { (one, lead.await) }
        });
        let mut fills = Vec::new();
        for (one, claimed) in join_all(claims).await {
            match claimed {
                Claimed::Fill(fill) => fills.push((one, fill)),
                Claimed::Hit(hit) => match C::decode(&hit.bytes) {
                    Ok(value) => {
                        let _ = hit.take();
                        found.insert(one.number, value);
                    }
                    Err(_) => {
                        let (wanted, budget) = (one.wanted.clone(), budget.clone());
                        let fill = self.cache.begin(wanted, None, budget, Reason::UriMiss);
                        fills.push((one, fill));
                    }
                },
            }
        }
        if !fills.is_empty() {
            self.compute_many(fills, found, compute).await?;
        }
        let mut left = Vec::new();
        // One limit for all of them.
        let limit = self.hard_timeout.unwrap_or(PATIENCE);
        let waits = followed.into_iter().map(|(one, follower)| async move {
            let followed = match timeout(limit, follower).await {
                // Handed on at once: nobody holds what somebody else may wait for. Whoever is left
                // joins again.
                Ok(Followed::Lead(lead)) => {
                    drop(lead);
                    Ok(Followed::Released)
                }
                followed => followed,
            };
            (one, followed)
        });
        for (one, followed) in join_all(waits).await {
            match followed {
                Err(_) if self.hard_timeout.is_some() => return Err(DataError::timed_out()),
                Ok(Followed::Landed(Flown::Entry(entry))) => {
                    match self.landed(&one.wanted, entry) {
                        Some(value) => drop(found.insert(one.number, value)),
                        None => left.push(one),
                    }
                }
                Ok(Followed::Landed(Flown::Error(error))) => {
                    match error.downcast::<DataError<E>>() {
                        Ok(error) => return Err(DataError::clone(&error)),
                        Err(_) => left.push(one),
                    }
                }
                _ => left.push(one),
            }
        }
        Ok(left)
    }

    /// Runs one computation of several values in a task of its own.
    async fn compute_many<I, E, F, Fut>(
        &self,
        fills: Vec<(One<I>, Fill)>,
        found: &mut BTreeMap<usize, T>,
        compute: F,
    ) -> Result<(), DataError<E>>
    where
        I: Clone + Send + 'static,
        E: Send + Sync + 'static,
        F: FnOnce(Vec<I>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Vec<T>, E>> + Send + 'static,
    {
        let this = self.clone();
        let ids: Vec<I> = fills.iter().map(|(one, _)| one.id.clone()).collect();
        let (numbers, fills): (Vec<_>, Vec<_>) = fills
            .into_iter()
            .map(|(one, fill)| (one.number, fill))
            .unzip();
        let work = async move { this.supervise_many(fills, ids, compute).await };
        let work = tokio::spawn(work.in_current_span());
        let values = work.await.unwrap_or_else(|_| Err(DataError::panicked()))?;
        found.extend(numbers.into_iter().zip(values));
        Ok(())
    }

    async fn supervise_many<I, E, F, Fut>(
        &self,
        fills: Vec<Fill>,
        ids: Vec<I>,
        compute: F,
    ) -> Result<Vec<T>, DataError<E>>
    where
        I: Send + 'static,
        E: Send + Sync + 'static,
        F: FnOnce(Vec<I>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Vec<T>, E>> + Send + 'static,
    {
        // All of them are made of the same: one scope collects for all.
        let scope = fills.first().map_or_else(Scope::default, Fill::scope);
        let asked = ids.len();
        let result = run_alone(scope, self.hard_timeout, move || compute(ids)).await;
        let error = match result {
            Ok(values) if values.len() == asked => {
                self.store_many(fills, &values);
                return Ok(values);
            }
            Ok(values) => DataError::miscounted(asked, values.len()),
            Err(error) => error,
        };
        let shared: Arc<dyn Any + Send + Sync> = Arc::new(error.clone());
        for fill in fills {
            fill.fail(Arc::clone(&shared));
        }
        Err(error)
    }

    fn store_many(&self, fills: Vec<Fill>, values: &[T]) {
        let mut fills = fills.into_iter().zip(values);
        let Some((first, value)) = fills.next() else {
            return;
        };
        for (fill, value) in fills {
            fill.share(&first);
            self.store(fill, value, None);
        }
        self.store(first, value, None);
    }

    /// Stores what was computed, or lets those who wait go if it has no form.
    pub(super) fn store(&self, fill: Fill, value: &T, kept: Keep) {
        match C::encode(value) {
            Ok(bytes) => {
                let freshness = self.freshness(value);
                // What was too much room for it goes.
                let bytes = Bytes::from(bytes.into_boxed_slice());
                drop(fill.store_keeping(bytes, freshness, self.tags_of(), kept));
            }
            Err(error) => {
                error.tell();
                // Who shows it ends with it all the same.
                fill.note(self.tags_of());
                fill.release();
            }
        }
    }
}
