//! Where sessions live that all nodes share.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use pitlane::{Era, Error, Key, Records, Sighting, Wrote};
use tower_sessions_core::session::Id;

/// A shared place, such as Redis. All that is there is swapped, never just written: so what is
/// carried out late, or twice, changes nothing that came in between.
#[async_trait]
pub(crate) trait Place: fmt::Debug + Send + Sync + 'static {
    /// Which connection it is that it is seen over: another number may mean that it has begun
    /// anew, with an older state of its data.
    fn connection(&self) -> u64;

    /// What is there under each id, at one moment.
    async fn see(&self, ids: &[Id]) -> Result<(Era, Vec<Sighting>), Error>;

    /// Stores `value` for `ttl` if what was seen is still there; says whether. After an error it
    /// may be stored all the same, and later.
    async fn swap(
        &self,
        id: Id,
        seen: &Sighting,
        value: &[u8],
        ttl: Duration,
    ) -> Result<bool, Error>;
}

#[async_trait]
impl Place for Records {
    fn connection(&self) -> u64 {
        self.connections()
    }

    async fn see(&self, ids: &[Id]) -> Result<(Era, Vec<Sighting>), Error> {
        let keys: Vec<Key> = ids.iter().map(key).collect();
        self.see_many(&keys).await
    }

    async fn swap(
        &self,
        id: Id,
        seen: &Sighting,
        value: &[u8],
        ttl: Duration,
    ) -> Result<bool, Error> {
        let wrote = Self::swap(self, &key(&id), seen, value, ttl).await?;
        Ok(wrote == Wrote::Yes)
    }
}

/// Only its hash gets to Redis.
fn key(id: &Id) -> Key {
    Key::new("session").child(id.0)
}
