//! From what is configured to what is connected.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pitlane_core::Log;
use pitlane_redis::{CircuitBrokenRedis, RedisLog};
use secrecy::{ExposeSecret, SecretString};

use super::config::RedisTable;
use super::connected::Connected;
use super::shared::{REMEMBERED_TAGS, fresh_incarnation};
use super::{Kind, Settings};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};

/// What a request may lose to Redis unless something else is said.
const BUDGET: Duration = Duration::from_millis(50);

/// How to reach Redis.
#[derive(Clone, Default)]
pub(super) struct Wanted {
    pub(super) url: Option<SecretString>,
    pub(super) password: Option<SecretString>,
    pub(super) budget: Option<Duration>,
    pub(super) log_database: Option<u8>,
    pub(super) max_degraded: Option<Duration>,
    pub(super) only_join: bool,
}

impl Wanted {
    /// Takes over what a file says.
    pub(super) fn take(&mut self, table: RedisTable) {
        self.url = table.url.map(|url| url.0).or(self.url.take());
        self.budget = table.budget.map(|span| span.0).or(self.budget);
        self.log_database = table.log_database.or(self.log_database);
        self.max_degraded = table.max_degraded.map(|span| span.0).or(self.max_degraded);
    }
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("is_configured", &self.url.is_some())
            .field("budget", &self.budget)
            .field("log_database", &self.log_database)
            .finish_non_exhaustive()
    }
}

/// Connects in the background. Caches without a database of their own live in the URL's.
pub(super) fn connect(
    wanted: &Wanted,
    url: &SecretString,
    namespace: &str,
    caches: &BTreeMap<Box<str>, Settings>,
    clock: &Clock,
) -> Result<Connected, Error> {
    let mut builder = CircuitBrokenRedis::builder(url.expose_secret()).map_err(wrong)?;
    if let Some(password) = &wanted.password {
        builder = builder.password(password.clone());
    }
    let budget = wanted.budget.unwrap_or(BUDGET);
    let default_database = builder.url_database();
    let log_database = wanted
        .log_database
        .or_else(|| first_database(caches))
        .unwrap_or(default_database);
    check_places(caches, default_database)?;
    // Nobody asked for the URL's database where all have their own.
    let used = caches
        .values()
        .map(|settings| settings.database.unwrap_or(default_database));
    let redis = builder
        .budget(budget)
        .namespace(namespace)
        .databases(used.chain([log_database]))
        .build()
        .map_err(wrong)?;
    let log = Arc::new(Log::following(
        namespace,
        fresh_incarnation(),
        REMEMBERED_TAGS,
    ));
    let clock = clock.clone();
    let link = RedisLog::builder(&redis, log_database, namespace, move || clock.now());
    let link = link.map_err(wrong)?;
    let link = link
        .max_degraded(wanted.max_degraded)
        .only_join(wanted.only_join);
    let uplink = link.start(Arc::clone(&log));
    Ok(Connected {
        redis,
        log,
        uplink: Arc::new(uplink),
        budget,
        default_database,
        #[cfg(feature = "stats")]
        place: crate::stats::Place {
            namespace: namespace.into(),
            database: log_database,
        },
    })
}

/// Checks that no two caches share a place, now that it is known where those without a database
/// of their own live.
fn check_places(caches: &BTreeMap<Box<str>, Settings>, default: u8) -> Result<(), Error> {
    let mut places = BTreeMap::new();
    for (name, settings) in caches {
        let prefix = settings.prefix.as_ref().unwrap_or(name);
        let database = settings.database.unwrap_or(default);
        if let Some(other) = places.insert((database, prefix), name) {
            let message = format!(
                "the caches {other:?} and {name:?} share database {database} and the prefix \
                 {prefix:?}"
            );
            return Err(Error::new(ErrorKind::Configuration, message));
        }
    }
    Ok(())
}

/// The database of the cache named `default`, or of the first one by name: the log lives there
/// unless something else is said.
fn first_database(caches: &BTreeMap<Box<str>, Settings>) -> Option<u8> {
    let judged = || {
        caches
            .iter()
            .filter(|(_, settings)| settings.kind == Kind::Cache)
    };
    let default = judged().find(|(name, _)| &***name == "default");
    let (_, settings) = default.or_else(|| judged().next())?;
    settings.database
}

pub(super) fn wrong(error: pitlane_redis::ConfigError) -> Error {
    let message = format!("Redis can't be used as configured: {error}");
    Error::new(ErrorKind::Configuration, message).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(caches: &[(&str, Option<u8>, Kind)], expected: Option<u8>) {
        let settings = |(name, database, kind): &(&str, Option<u8>, Kind)| {
            let settings = Settings {
                database: *database,
                kind: *kind,
                ..Settings::default()
            };
            ((*name).into(), settings)
        };
        assert_eq!(
            first_database(&caches.iter().map(settings).collect()),
            expected
        );
    }

    #[test]
    fn the_log_lives_where_the_default_cache_does_and_never_with_a_store() {
        let (cache, store) = (Kind::Cache, Kind::Store);
        check(
            &[("api", Some(4), cache), ("default", Some(2), cache)],
            Some(2),
        );
        check(
            &[("api", Some(4), cache), ("query", Some(3), cache)],
            Some(4),
        );
        check(&[("a", Some(1), store), ("b", Some(3), cache)], Some(3));
        check(&[("a", None, cache)], None);
        check(&[], None);
    }
}
