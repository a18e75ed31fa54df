//! Caches of the kind `store`: for what can't be computed again.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, iter, slice};

use bytes::{BufMut, Bytes, BytesMut};
use pitlane_core::{Condition, Key, RemoteStore, StoreError, StoreErrorKind};

use super::reclaim::{Sweep, reclaim};
use super::{Cache, Kind, note_if_left};
use crate::clock::Clock;
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
/// same, and what goes wrong there is an error here. A call sends one to three
/// commands, two more where a store begins, and none after the first one that fails.
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

/// When a store began, and how often it was cleared since.
///
/// A record counts in the era that it was written in. A Redis that has lost its data begins a new
/// life, which nobody can mistake for a clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Era {
    life: u32,
    clears: u32,
}

/// What was under a key at one moment: the ground on which a [`swap`](Records::swap) stands.
#[derive(Clone, PartialEq, Eq)]
pub struct Sighting {
    era: Era,
    stored: Option<Bytes>,
}

impl Cache {
    /// What the cache holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.settings().kind
    }

    /// How long what is in it lives unless something else is said.
    #[must_use]
    pub fn ttl(&self) -> Option<Duration> {
        self.settings().ttl
    }

    /// Whether it has a Redis, whose content all nodes share.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.inner.remote.is_some()
    }

    /// The clock that its times are read from.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.shared().clock.clone()
    }

    /// The records of a cache whose kind is `store`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] when the cache is of another kind, or has no Redis.
    pub fn records(&self) -> Result<Records, Error> {
        let name = self.name();
        let wrong = |message| Error::new(ErrorKind::Configuration, message);
        if self.kind() != Kind::Store {
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

impl Era {
    /// An era of somebody's own making, as for a store in a test.
    #[must_use]
    pub const fn new(life: u32, clears: u32) -> Self {
        Self { life, clears }
    }

    /// Whether Redis has lost its data between `earlier` and this.
    #[must_use]
    pub const fn has_forgotten(self, earlier: Self) -> bool {
        self.life != earlier.life
    }

    /// Whether the store was cleared between `earlier` and this. Where data was lost in between,
    /// whether it was cleared since.
    #[must_use]
    pub const fn has_cleared(self, earlier: Self) -> bool {
        let before = if self.has_forgotten(earlier) {
            0
        } else {
            earlier.clears
        };
        self.clears != before
    }

    const fn from_number(number: u64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "they are its two halves")]
        Self {
            life: (number >> 32) as u32,
            clears: number as u32,
        }
    }

    const fn number(self) -> u64 {
        ((self.life as u64) << 32) | self.clears as u64
    }

    /// A life that was never seen, not yet cleared. Numbers in Redis have a sign.
    fn fresh() -> Self {
        Self {
            life: (random() >> 1).max(1),
            clears: 0,
        }
    }
}

impl Sighting {
    /// What is seen where nothing is.
    #[must_use]
    pub const fn empty(era: Era) -> Self {
        Self { era, stored: None }
    }

    /// What is seen where `value` was stored in `era`, by whoever did that.
    #[must_use]
    pub fn of(era: Era, value: &[u8]) -> Self {
        Self {
            era,
            stored: Some(record(era.number(), value)),
        }
    }

    /// When it was.
    #[must_use]
    pub const fn era(&self) -> Era {
        self.era
    }

    /// The record, if there is one that no clear came after.
    #[must_use]
    pub fn record(&self) -> Option<Bytes> {
        let stored = self.stored.as_ref()?;
        let generation = generation_of(stored)?;
        (generation == self.era.number()).then(|| stored.slice(HEAD..))
    }
}

impl fmt::Debug for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Records may be secrets.
        f.debug_struct("Sighting")
            .field("era", &self.era)
            .field("length", &self.record().map(|record| record.len()))
            .finish()
    }
}

impl Records {
    /// The record under `key`, if there is one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Redis`] when Redis can't say.
    pub async fn read(&self, key: &Key) -> Result<Option<Bytes>, Error> {
        Ok(self.see(key).await?.record())
    }

    /// What is under `key` now.
    ///
    /// # Errors
    ///
    /// As [`Records::read`].
    pub async fn see(&self, key: &Key) -> Result<Sighting, Error> {
        let (_, seen) = self.see_many(slice::from_ref(key)).await?;
        seen.into_iter()
            .next()
            .ok_or_else(|| failed(StoreErrorKind::Protocol.into()))
    }

    /// What is under each of `keys`, at one moment.
    ///
    /// # Errors
    ///
    /// As [`Records::read`].
    pub async fn see_many(&self, keys: &[Key]) -> Result<(Era, Vec<Sighting>), Error> {
        let names: Vec<String> = keys.iter().map(|key| self.name(key)).collect();
        let generation = self.generation_key();
        let all: Vec<&str> = iter::once(&*generation)
            .chain(names.iter().map(|name| &**name))
            .collect();
        let mut found = self.store.get_many(&all).await.map_err(failed)?.into_iter();
        let era = match found.next().flatten().as_ref().and_then(number) {
            Some(number) => Era::from_number(number),
            // Whatever is there is of a life that Redis has forgotten.
            None => self.begin().await?,
        };
        let seen = found.map(|stored| Sighting { era, stored }).collect();
        Ok((era, seen))
    }

    /// Stores a record for `ttl` if what was seen under `key` is all that is there still.
    ///
    /// # Errors
    ///
    /// As [`Records::write`].
    pub async fn swap(
        &self,
        key: &Key,
        seen: &Sighting,
        value: &[u8],
        ttl: Duration,
    ) -> Result<Wrote, Error> {
        let name = self.name(key);
        let record = record(seen.era.number(), value);
        let stored = match &seen.stored {
            Some(stored) => {
                self.store
                    .exchange(&name, stored.clone(), Some(record), ttl)
                    .await
            }
            None => {
                self.store
                    .set(&name, record, ttl, Condition::IfAbsent)
                    .await
            }
        };
        stored.map(wrote).map_err(failed)
    }

    /// Stores a record for `ttl`, whatever was there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Redis`] when it is not known to be stored. It may be stored all the same.
    pub async fn write(&self, key: &Key, value: &[u8], ttl: Duration) -> Result<(), Error> {
        let name = self.name(key);
        let record = record(self.era().await?.number(), value);
        let stored = self.store.set(&name, record, ttl, Condition::Always);
        stored.await.map(drop).map_err(failed)
    }

    /// Stores a record where there is none.
    ///
    /// # Errors
    ///
    /// As [`Records::write`].
    pub async fn create(&self, key: &Key, value: &[u8], ttl: Duration) -> Result<Wrote, Error> {
        for _ in 0..MAX_TRIES {
            let seen = self.see(key).await?;
            if seen.record().is_some() {
                return Ok(Wrote::No);
            }
            // What a clear made unusable does not stand in the way of a new record, but the walk
            // that takes it away may come in between.
            if self.swap(key, &seen, value, ttl).await? == Wrote::Yes {
                return Ok(Wrote::Yes);
            }
        }
        Err(failed(StoreErrorKind::Busy.into()))
    }

    /// Stores a record in the place of the one that is there now: what was deleted meanwhile
    /// stays deleted. When another writer was faster the record is stored in the place of theirs.
    ///
    /// # Errors
    ///
    /// As [`Records::write`].
    pub async fn replace(&self, key: &Key, value: &[u8], ttl: Duration) -> Result<Wrote, Error> {
        for _ in 0..MAX_TRIES {
            let seen = self.see(key).await?;
            if seen.record().is_none() {
                return Ok(Wrote::No);
            }
            if self.swap(key, &seen, value, ttl).await? == Wrote::Yes {
                return Ok(Wrote::Yes);
            }
        }
        Err(failed(StoreErrorKind::Busy.into()))
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

    /// How often Redis was connected to. Another number than before may mean that it has begun
    /// anew, with an older state of its data.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.store.connections()
    }

    /// Ends all records at once, by a new generation; their memory is given back in the
    /// background.
    pub(super) async fn clear(&self) -> Result<(), Error> {
        // A life has to have begun: what was stored before a loss of data is cleared too.
        self.era().await?;
        let key = self.generation_key();
        let generation = self.store.increment(&key, 1);
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

    /// The era that counts now; begins one if there is none.
    ///
    /// # Errors
    ///
    /// As [`Records::read`].
    pub async fn era(&self) -> Result<Era, Error> {
        let known = self.store.get(&self.generation_key()).await;
        match known.map_err(failed)?.as_ref().and_then(number) {
            Some(number) => Ok(Era::from_number(number)),
            None => self.begin().await,
        }
    }

    /// Begins a life, or joins the one that another node has begun meanwhile.
    async fn begin(&self) -> Result<Era, Error> {
        let key = self.generation_key();
        let fresh = Era::fresh().number().to_string();
        let for_ever = Duration::MAX;
        let began = self
            .store
            .set(&key, fresh.into(), for_ever, Condition::IfAbsent);
        began.await.map_err(failed)?;
        let begun = self.store.get(&key).await.map_err(failed)?;
        let number = begun.as_ref().and_then(number);
        let number = number.ok_or_else(|| failed(StoreErrorKind::Protocol.into()))?;
        Ok(Era::from_number(number))
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

/// The standard library's hash keys are the process's own source of randomness.
fn random() -> u32 {
    use std::hash::{BuildHasher, Hasher};
    let random = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "some bits of a random number"
    )]
    let some = random as u32;
    some
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
