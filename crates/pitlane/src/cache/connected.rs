//! What a registry has of Redis: nothing at all without the feature.

#[cfg(not(feature = "redis"))]
pub(super) use without::Connected;

#[cfg(feature = "redis")]
use std::{sync::Arc, time::Duration};

#[cfg(feature = "redis")]
use pitlane_core::{Log, Uplink};
#[cfg(feature = "redis")]
use pitlane_redis::CircuitBrokenRedis;

#[cfg(feature = "redis")]
use super::{Settings, redis::wrong, remote::Remote, shared::Shared};
#[cfg(feature = "redis")]
use crate::{clock::Clock, error::Error};

/// A connected Redis, or one that will be: nothing here waits for it.
#[cfg(feature = "redis")]
pub(super) struct Connected {
    pub(super) redis: CircuitBrokenRedis,
    pub(super) log: Arc<Log>,
    pub(super) uplink: Arc<dyn Uplink>,
    pub(super) budget: Duration,
    pub(super) default_database: u8,
    /// Where the nodes of the namespace tell each other their numbers.
    #[cfg(feature = "stats")]
    pub(super) place: crate::stats::Place,
}

#[cfg(feature = "redis")]
impl Connected {
    /// What the caches of a registry share.
    pub(super) fn shared(&self, clock: Clock) -> Shared {
        let uplink = Some(Arc::clone(&self.uplink));
        let shared = Shared::new(clock, Arc::clone(&self.log), uplink, self.budget);
        #[cfg(feature = "stats")]
        let shared = shared.at(self.place.clone());
        shared
    }

    /// One cache's part of the remote tier.
    pub(super) fn remote(
        &self,
        namespace: &str,
        name: &str,
        settings: &Settings,
    ) -> Result<Remote, Error> {
        let database = settings.database.unwrap_or(self.default_database);
        let database = self.redis.database(database).map_err(wrong)?;
        Ok(Remote::new(Arc::new(database), namespace, name, settings))
    }
}

#[cfg(not(feature = "redis"))]
mod without {
    use crate::cache::{Settings, remote::Remote, shared::Shared};
    use crate::{clock::Clock, error::Error};

    /// There is none.
    pub(in crate::cache) enum Connected {}

    impl Connected {
        pub(in crate::cache) fn shared(&self, _: Clock) -> Shared {
            match *self {}
        }

        pub(in crate::cache) fn remote(
            &self,
            _: &str,
            _: &str,
            _: &Settings,
        ) -> Result<Remote, Error> {
            match *self {}
        }
    }
}
