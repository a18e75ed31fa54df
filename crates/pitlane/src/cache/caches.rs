#[cfg(feature = "metrics")]
use std::sync::Weak;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pitlane_core::{Position, Tag, TagKind, UplinkStatus};

use super::{
    Budget, Cache, CachesBuilder, Invalidated, Invalidation, Kind, Owed, note_if_left,
    reclaim::{Sweep, reclaim},
    shared::Shared,
};
use crate::{
    error::{Error, ErrorKind},
    stats::Trouble,
};

/// The registry of named caches.
///
/// # Example
///
/// ```
/// # fn main() -> Result<(), pitlane::Error> {
/// let caches = pitlane::Caches::builder().memory(256 << 20).cache("default").cache("api").build()?;
/// let api = caches.get("api")?;
/// assert_eq!(api.name(), "api");
/// assert!(caches.get("apj").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Caches {
    pub(crate) shared: Arc<Shared>,
    pub(super) caches: Arc<BTreeMap<Box<str>, Cache>>,
    #[cfg(feature = "redis")]
    pub(super) redis: Option<Arc<pitlane_redis::CircuitBrokenRedis>>,
}

impl Caches {
    /// Begins to configure a registry.
    pub fn builder() -> CachesBuilder {
        CachesBuilder::default()
    }

    /// A cache by its name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownCache`] when there is none of that name; the message lists those
    /// there are.
    pub fn get(&self, name: &str) -> Result<Cache, Error> {
        self.caches.get(name).cloned().ok_or_else(|| {
            let names: Vec<_> = self.caches.keys().map(|name| &**name).collect();
            let message = format!(
                "no cache is named {name:?}; there are: {}",
                names.join(", ")
            );
            Error::new(ErrorKind::UnknownCache, message)
        })
    }

    /// All caches, in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Cache> {
        self.caches.values()
    }

    /// Invalidates everything that carries one of `tags`, in all caches, in time that does not
    /// depend on how much that is.
    ///
    /// # Errors
    ///
    /// None today: trouble with Redis is [`Invalidated::Queued`]. A caller must be ready for them
    /// all the same.
    pub async fn invalidate<T: Into<Tag>>(
        &self,
        tags: impl IntoIterator<Item = T>,
    ) -> Result<Invalidated, Error> {
        self.publish(Invalidation::tags(tags)).await
    }

    /// Invalidates tags, keys and URLs together.
    ///
    /// # Errors
    ///
    /// As [`Caches::invalidate`].
    pub async fn publish(&self, invalidation: Invalidation) -> Result<Invalidated, Error> {
        Ok(self.shared.invalidate(invalidation).await)
    }

    /// States, before a write is committed, what it will invalidate. See [`Owed`].
    pub fn owe<T: Into<Tag>>(&self, tags: impl IntoIterator<Item = T>) -> Owed {
        Owed::new(Arc::clone(&self.shared), Invalidation::tags(tags))
    }

    /// Empties one cache in time that does not depend on what it holds. The memory is given back
    /// as entries expire or are pushed out; in Redis a walk in the background gives it back, with
    /// at most about 5,000 commands a second.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownCache`], or as [`Caches::invalidate`]; for a cache of the kind `store`
    /// [`ErrorKind::Redis`].
    pub async fn clear(&self, name: &str) -> Result<Invalidated, Error> {
        let cache = self.get(name)?;
        if cache.settings().kind == Kind::Store {
            cache.records()?.clear().await?;
            let position = self.shared.log.basis().position;
            return Ok(Invalidated::Applied { position });
        }
        let tag = Tag::of(TagKind::Cache, cache.name());
        let cleared = self.publish(Invalidation::default().add_tag(tag)).await?;
        if let (Invalidated::Applied { position }, Some(remote)) = (cleared, &cache.inner.remote) {
            let (store, prefix) = (Arc::clone(&remote.store), remote.prefix.to_string());
            let weak = Arc::downgrade(&cache.inner);
            let spawned = self.shared.spawn(async move {
                match reclaim(store, prefix, Sweep::Before(position)).await {
                    Ok(keys) => tracing::debug!(keys, "gave back what a cleared cache held"),
                    Err(_) => note_if_left(&weak, Trouble::ReclaimFailed),
                }
            });
            if !spawned {
                cache.note(Trouble::BackgroundFull);
            }
        }
        Ok(cleared)
    }

    /// Waits until this node has read the log up to `position`, as another node's
    /// [`Invalidated::Applied`] gave it: whoever hands the position on with the next request
    /// reads its own writes on any node. Says whether that worked within the Redis budget.
    ///
    /// A position of another life of the log counts as reached: nothing from before it is used.
    /// Layers do this by themselves where
    /// [`position_header`](crate::CacheLayer::position_header) says so.
    pub async fn reach(&self, position: Position) -> bool {
        let budget = Budget::new(self.shared.budget);
        self.shared.has_reached(position) || self.shared.confirm(Some(&budget)).await
    }

    /// How many refreshes and writes to Redis run in the background now.
    #[must_use]
    pub fn background(&self) -> usize {
        self.shared.background()
    }

    /// How the link to the shared log is doing; `None` without Redis.
    #[must_use]
    pub fn log_status(&self) -> Option<UplinkStatus> {
        self.shared
            .uplink
            .as_deref()
            .map(pitlane_core::Uplink::status)
    }

    /// The client for Redis, with its circuit breaker; `None` without Redis.
    #[cfg(feature = "redis")]
    #[must_use]
    pub fn redis(&self) -> Option<&pitlane_redis::CircuitBrokenRedis> {
        self.redis.as_deref()
    }

    /// Appends the invalidations that are owed to the log, for at most `limit`, and ends the link
    /// to it. Says whether nothing is owed any more: what is, other nodes won't hear of.
    pub async fn shutdown(&self, limit: Duration) -> bool {
        match &self.shared.uplink {
            Some(uplink) => uplink.shutdown(limit).await,
            None => true,
        }
    }
}

/// A registry that this doesn't keep alive.
#[cfg(feature = "metrics")]
pub(crate) struct WeakCaches {
    pub(crate) shared: Weak<Shared>,
    caches: Weak<BTreeMap<Box<str>, Cache>>,
    #[cfg(feature = "redis")]
    redis: Option<Weak<pitlane_redis::CircuitBrokenRedis>>,
}

#[cfg(feature = "metrics")]
impl Caches {
    pub(crate) fn downgrade(&self) -> WeakCaches {
        WeakCaches {
            shared: Arc::downgrade(&self.shared),
            caches: Arc::downgrade(&self.caches),
            #[cfg(feature = "redis")]
            redis: self.redis.as_ref().map(Arc::downgrade),
        }
    }
}

#[cfg(feature = "metrics")]
impl WeakCaches {
    pub(crate) fn upgrade(&self) -> Option<Caches> {
        Some(Caches {
            shared: self.shared.upgrade()?,
            caches: self.caches.upgrade()?,
            #[cfg(feature = "redis")]
            redis: self.redis.as_ref().and_then(Weak::upgrade),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let caches = Caches::builder()
            .cache("api")
            .cache("query")
            .build()
            .unwrap();
        let error = caches.get("apj").unwrap_err();
        assert_eq!(
            error.to_string(),
            "no cache is named \"apj\"; there are: api, query"
        );
    }
}
