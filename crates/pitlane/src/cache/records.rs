//! Caches of the kind `store`: for what can't be computed again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use pitlane_core::{Condition, Key, RemoteStore, StoreError, StoreErrorKind};

use super::reclaim::{Sweep, reclaim};
use super::{Cache, Kind};
use crate::error::{Error, ErrorKind};

/// The mark and format of a record, before its generation.
const MAGIC: [u8; 4] = *b"PLR\x01";
const HEAD: usize = 12;

/// The records of a cache whose kind is `store`, such as sessions.
///
/// The invalidation log does not judge them: they end by [`delete`](Self::delete), by expiry and
/// by [`Caches::clear`](super::Caches::clear). They live in Redis alone, so that all nodes see the
/// same, and what goes wrong there is an error here.
#[derive(Clone)]
pub struct Records {
    cache: Cache,
    store: Arc<dyn RemoteStore>,
}

/// Whether a conditional write happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Wrote {
    /// It did.
    Yes,
    /// Its condition did not hold.
    No,
}

impl Cache {
    /// The records of a cache whose kind is `store`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] when the cache is of another kind, or has no Redis.
    pub fn records(&self) -> Result<Records, Error> {
        let name = self.name();
        let wrong = |message| Error::new(ErrorKind::Configuration, message);
        if self.settings().kind != Kind::Store {
            return Err(wrong(format!(
                "the cache {name:?} holds no records; say kind = \"store\" for it"
            )));
        }
        let Some(remote) = &self.inner.remote else {
            return Err(wrong(format!(
                "the cache {name:?} is a store, which needs Redis"
            )));
        };
        Ok(Records {
            store: Arc::clone(&remote.store),
            cache: self.clone(),
        })
    }
}

impl Records {
    /// The record under `key`, if there is one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Redis`] when Redis can't say.
    pub async fn read(&self, key: &Key) -> Result<Option<Bytes>, Error> {
        let found = self.look(&self.name(key)).await?;
        Ok(found.record())
    }

    /// Stores a record for `ttl`, whatever was there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Redis`] when it is not known to be stored. It may be stored all the same.
    pub async fn write(&self, key: &Key, value: &[u8], ttl: Duration) -> Result<(), Error> {
        let generation = self
            .store
            .get(&self.generation_key())
            .await
            .map_err(failed)?;
        let generation = number(generation.as_ref());
        let name = self.name(key);
        self.set(&name, generation, value, ttl, Condition::Always)
            .await
            .map(drop)
    }

    /// Stores a record where there is none.
    ///
    /// # Errors
    ///
    /// As [`Records::write`].
    pub async fn create(&self, key: &Key, value: &[u8], ttl: Duration) -> Result<Wrote, Error> {
        let name = self.name(key);
        let found = self.look(&name).await?;
        // A record that a clear made unusable must not stand in the way of a new one.
        if found.stored.is_some() && found.record().is_none() {
            self.store.delete(&name).await.map_err(failed)?;
        }
        self.set(&name, found.generation, value, ttl, Condition::IfAbsent)
            .await
    }

    /// Stores a record where there is one already: what was deleted meanwhile stays deleted.
    ///
    /// # Errors
    ///
    /// As [`Records::write`].
    pub async fn replace(&self, key: &Key, value: &[u8], ttl: Duration) -> Result<Wrote, Error> {
        let name = self.name(key);
        let found = self.look(&name).await?;
        if found.record().is_none() {
            return Ok(Wrote::No);
        }
        self.set(&name, found.generation, value, ttl, Condition::IfPresent)
            .await
    }

    /// Removes a record; nothing there is no error.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Redis`] when it is not known to be gone.
    pub async fn delete(&self, key: &Key) -> Result<(), Error> {
        self.store
            .delete(&self.name(key))
            .await
            .map(drop)
            .map_err(failed)
    }

    /// Ends all records at once, by a new generation; their memory is given back in the
    /// background.
    pub(super) async fn clear(&self) -> Result<(), Error> {
        let generation = self.store.increment(&self.generation_key()).await;
        let generation = generation.map_err(failed)?;
        let (store, prefix) = (Arc::clone(&self.store), self.cache.remote_prefix());
        self.cache.shared().spawn(async move {
            let swept = reclaim(store, prefix, Sweep::Generations(generation)).await;
            tracing::debug!(?swept, "gave back what a cleared store held");
        });
        Ok(())
    }

    /// What is stored under `name`, with the generation that counts now.
    async fn look(&self, name: &str) -> Result<Found, Error> {
        let generation = self.generation_key();
        let keys = [&*generation, name];
        let mut found = self
            .store
            .get_many(&keys)
            .await
            .map_err(failed)?
            .into_iter();
        Ok(Found {
            generation: number(found.next().flatten().as_ref()),
            stored: found.next().flatten(),
        })
    }

    async fn set(
        &self,
        name: &str,
        generation: u64,
        value: &[u8],
        ttl: Duration,
        condition: Condition,
    ) -> Result<Wrote, Error> {
        let mut record = BytesMut::with_capacity(HEAD + value.len());
        record.put_slice(&MAGIC);
        record.put_u64(generation);
        record.put_slice(value);
        let stored = self.store.set(name, record.freeze(), ttl, condition).await;
        Ok(if stored.map_err(failed)? {
            Wrote::Yes
        } else {
            Wrote::No
        })
    }

    /// Records are named by a hash: ids of sessions are secrets.
    fn name(&self, key: &Key) -> String {
        let hash = blake3::hash(key.as_str().as_bytes()).to_hex();
        format!("{}{}", self.cache.remote_prefix(), hash.as_str())
    }

    fn generation_key(&self) -> String {
        format!("{}generation", self.cache.remote_prefix())
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("cache", &self.cache.name())
            .finish_non_exhaustive()
    }
}

struct Found {
    generation: u64,
    stored: Option<Bytes>,
}

impl Found {
    /// What is stored, if no clear came after it.
    fn record(&self) -> Option<Bytes> {
        let stored = self.stored.as_ref()?;
        let is_current = generation_of(stored) == Some(self.generation);
        is_current.then(|| stored.slice(HEAD..))
    }
}

/// The generation that a record was written in.
pub(super) fn generation_of(record: &[u8]) -> Option<u64> {
    let rest = record.strip_prefix(&MAGIC)?;
    rest.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// No generation is the first one.
fn number(text: Option<&Bytes>) -> u64 {
    let text = text.and_then(|text| str::from_utf8(text).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn failed(error: StoreError) -> Error {
    let what = match error.kind() {
        StoreErrorKind::TimedOut => "Redis did not answer in time",
        StoreErrorKind::Refused => "Redis refused",
        _ => "Redis can't be reached",
    };
    Error::new(ErrorKind::Redis, what).with_source(error)
}
