//! Caches of the kind `store`: for what can't be computed again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use pitlane_core::{Condition, Key, RemoteStore, StoreError, StoreErrorKind};

use super::reclaim::{Sweep, reclaim};
use super::{Cache, Kind, note_if_left};
use crate::error::{Error, ErrorKind};
use crate::stats::Trouble;

/// The mark and format of a record, before its generation.
const MAGIC: [u8; 4] = *b"PLR\x01";
const HEAD: usize = 12;
/// How often a record that others write at the same time is tried.
const MAX_TRIES: usize = 8;

/// The records of a cache whose kind is `store`, such as sessions.
///
/// The invalidation log does not judge them: they end by [`delete`](Self::delete), by expiry and
/// by [`Caches::clear`](super::Caches::clear). They live in Redis alone, so that all nodes see the
/// same, and what goes wrong there is an error here. Each call sends up to three commands, and
/// each of those may take one Redis budget.
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
        let name = self.name(key);
        let record = record(self.generation().await?, value);
        let stored = self.store.set(&name, record, ttl, Condition::Always);
        stored.await.map(drop).map_err(failed)
    }

    /// Stores a record where there is none.
    ///
    /// # Errors
    ///
    /// As [`Records::write`].
    pub async fn create(&self, key: &Key, value: &[u8], ttl: Duration) -> Result<Wrote, Error> {
        let name = self.name(key);
        let generation = self.generation().await?;
        let found = self.store.get(&name).await.map_err(failed)?;
        // A record that a clear made unusable must not stand in the way of a new one, and must
        // not take a new one along when it goes.
        if let Some(stored) = found.filter(|found| generation_of(found) != Some(generation)) {
            let removed = self.store.exchange(&name, stored, None, ttl);
            removed.await.map_err(failed)?;
        }
        let record = record(generation, value);
        let stored = self.store.set(&name, record, ttl, Condition::IfAbsent);
        stored.await.map(wrote).map_err(failed)
    }

    /// Stores a record in the place of the one that is there now: what was deleted meanwhile
    /// stays deleted. When another writer was faster the record is stored in the place of theirs.
    ///
    /// # Errors
    ///
    /// As [`Records::write`].
    pub async fn replace(&self, key: &Key, value: &[u8], ttl: Duration) -> Result<Wrote, Error> {
        let name = self.name(key);
        for _ in 0..MAX_TRIES {
            let found = self.look(&name).await?;
            let (Some(generation), Some(stored)) = (found.generation, found.stored) else {
                return Ok(Wrote::No);
            };
            if generation_of(&stored) != Some(generation) {
                return Ok(Wrote::No);
            }
            let record = record(generation, value);
            let stored = self.store.exchange(&name, stored, Some(record), ttl);
            if stored.await.map_err(failed)? {
                return Ok(Wrote::Yes);
            }
        }
        let kind = StoreErrorKind::Busy;
        Err(failed(kind.into()))
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
        let key = self.generation_key();
        let generation = self.store.increment(&key, step());
        let generation = generation.await.map_err(failed)?;
        let (store, prefix) = (Arc::clone(&self.store), self.cache.remote_prefix());
        let weak = Arc::downgrade(&self.cache.inner);
        let spawned = self.cache.shared().spawn(async move {
            match reclaim(store, prefix, Sweep::Generations(generation)).await {
                Ok(keys) => tracing::debug!(keys, "gave back what a cleared store held"),
                Err(_) => note_if_left(&weak, Trouble::ReclaimFailed),
            }
        });
        if !spawned {
            self.cache.note(Trouble::BackgroundFull);
        }
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
            generation: found.next().flatten().as_ref().and_then(number),
            stored: found.next().flatten(),
        })
    }

    /// The generation that counts now; begins one if there is none. Each lies a random step after
    /// the one before, so that one that was lost does not come back.
    async fn generation(&self) -> Result<u64, Error> {
        let key = self.generation_key();
        let known = self.store.get(&key).await.map_err(failed)?;
        match known.as_ref().and_then(number) {
            Some(generation) => Ok(generation),
            None => self.store.increment(&key, step()).await.map_err(failed),
        }
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
    generation: Option<u64>,
    stored: Option<Bytes>,
}

impl Found {
    /// What is stored, if no clear came after it.
    fn record(&self) -> Option<Bytes> {
        let stored = self.stored.as_ref()?;
        let generation = generation_of(stored)?;
        (self.generation == Some(generation)).then(|| stored.slice(HEAD..))
    }
}

/// A record's bytes: what it is, its generation, its value.
fn record(generation: u64, value: &[u8]) -> Bytes {
    let mut record = BytesMut::with_capacity(HEAD + value.len());
    record.put_slice(&MAGIC);
    record.put_u64(generation);
    record.put_slice(value);
    record.freeze()
}

const fn wrote(stored: bool) -> Wrote {
    if stored { Wrote::Yes } else { Wrote::No }
}

/// How far the next generation lies away: the standard library's hash keys are the process's own
/// source of randomness.
fn step() -> u32 {
    use std::hash::{BuildHasher, Hasher};
    let random = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "some bits of a random number"
    )]
    let step = random as u32;
    step.max(1)
}

/// The generation that a record was written in.
pub(super) fn generation_of(record: &[u8]) -> Option<u64> {
    let rest = record.strip_prefix(&MAGIC)?;
    rest.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

fn number(text: &Bytes) -> Option<u64> {
    str::from_utf8(text).ok()?.parse().ok()
}

fn failed(error: StoreError) -> Error {
    let what = match error.kind() {
        StoreErrorKind::TimedOut => "Redis did not answer in time",
        StoreErrorKind::Refused => "Redis refused",
        StoreErrorKind::Busy => "too much is on its way to Redis, or the record is too large",
        _ => "Redis can't be reached",
    };
    Error::new(ErrorKind::Redis, what).with_source(error)
}
