#[cfg(feature = "redis")]
use std::time::Duration;
use std::{collections::BTreeMap, env, fs, path::Path, sync::Arc};

#[cfg(feature = "redis")]
use super::redis;
use super::{
    Cache, Caches, Inner, Settings,
    config::{self, File},
    connected::Connected,
    memory::Memory,
    names,
    shared::Shared,
};
use crate::{
    clock::Clock,
    error::{Error, ErrorKind},
    stats::Stats,
    units::parse_size,
};

const DEFAULT_LIMIT: u64 = 64 << 20;
const DEFAULT_MAX_BODY: u64 = 1 << 20;

/// Configures a registry. Nothing is read or opened until [`CachesBuilder::build`], except a
/// configuration file, which is read where it is named.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CachesBuilder {
    memory: Option<u64>,
    max_body: Option<u64>,
    clock: Option<Clock>,
    namespace: Option<String>,
    #[cfg(feature = "redis")]
    redis: redis::Wanted,
    caches: BTreeMap<Box<str>, Settings>,
}

impl CachesBuilder {
    /// The limit of the memory that all caches share, in bytes; 64 MiB by default.
    pub const fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// The largest body that is cached, in bytes; 1 MiB by default. The memory limit must be
    /// able to hold it.
    pub const fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = Some(bytes);
        self
    }

    /// Where the time comes from; the system's clock by default.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Adds a cache with nothing special about it.
    pub fn cache(mut self, name: &str) -> Self {
        self.caches.entry(name.into()).or_default();
        self
    }

    /// What the names of everything in Redis begin with; `pitlane` by default. Servers that share
    /// a namespace share entries and invalidations.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Where Redis is: `redis://host:port/database`, with user and password where they are
    /// needed, `rediss://` with the feature `redis-tls`, or `redis+unix://`.
    #[cfg(feature = "redis")]
    pub fn redis(mut self, url: impl Into<secrecy::SecretString>) -> Self {
        self.redis.url = Some(url.into());
        self
    }

    /// The password for Redis, instead of the URL's.
    #[cfg(feature = "redis")]
    pub fn redis_password(mut self, password: impl Into<secrecy::SecretString>) -> Self {
        self.redis.password = Some(password.into());
        self
    }

    /// How long Redis may keep one request waiting in all; 50 ms by default.
    #[cfg(feature = "redis")]
    pub const fn redis_budget(mut self, budget: Duration) -> Self {
        self.redis.budget = Some(budget);
        self
    }

    /// For how long memory may be served when the invalidation log is out of reach; by default as
    /// long as the entries' lifetimes allow. What other nodes invalidate meanwhile isn't seen.
    #[cfg(feature = "redis")]
    pub const fn max_degraded(mut self, limit: Duration) -> Self {
        self.redis.max_degraded = Some(limit);
        self
    }

    /// Joins an invalidation log that is there, and begins none: for tools, which would otherwise
    /// begin one where no server looks, and speak to nobody. Where there is no log the caches work
    /// as if Redis were out of reach.
    #[cfg(feature = "redis")]
    pub const fn only_join(mut self) -> Self {
        self.redis.only_join = true;
        self
    }

    /// Which database the invalidation log lives in: by default that of the cache `default`, or
    /// of the first one by name. All servers of a namespace have to agree on it.
    #[cfg(feature = "redis")]
    pub const fn log_database(mut self, database: u8) -> Self {
        self.redis.log_database = Some(database);
        self
    }

    /// Reads `pitlane.toml`. What the file says wins over what was said before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::File`] when it can't be read, [`ErrorKind::Configuration`] with the line when
    /// something in it is unknown or wrong.
    pub fn config_file(self, path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|error| {
            let message = format!("can't read the configuration {}: {error}", path.display());
            Error::new(ErrorKind::File, message).with_source(error)
        })?;
        self.config(&text, &path.display().to_string())
    }

    /// Reads the text of a `pitlane.toml`; `origin` names it in errors.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] with the line when something in it is unknown or wrong.
    pub fn config(mut self, text: &str, origin: &str) -> Result<Self, Error> {
        let file = config::parse(text, origin)?;
        #[cfg(feature = "redis")]
        self.redis.take(file.redis);
        let File {
            namespace,
            limit,
            max_body,
            caches,
            ..
        } = file;
        self.namespace = namespace.or(self.namespace);
        self.memory = limit.or(self.memory);
        self.max_body = max_body.or(self.max_body);
        self.caches.extend(caches);
        Ok(self)
    }

    /// Reads the environment: `PITLANE_CONFIG` names a configuration file;
    /// `PITLANE_MEMORY_LIMIT` (such as `256MiB`) and, with the feature `redis`,
    /// `PITLANE_REDIS_URL` and `PITLANE_REDIS_PASSWORD` win over it.
    ///
    /// # Errors
    ///
    /// As [`CachesBuilder::config_file`].
    pub fn environment(mut self) -> Result<Self, Error> {
        if let Some(path) = env::var_os("PITLANE_CONFIG") {
            self = self.config_file(path)?;
        }
        if let Ok(limit) = env::var("PITLANE_MEMORY_LIMIT") {
            let limit = parse_size(&limit).map_err(|error| {
                Error::new(
                    ErrorKind::Configuration,
                    format!("PITLANE_MEMORY_LIMIT: {error}"),
                )
            })?;
            self.memory = Some(limit);
        }
        #[cfg(feature = "redis")]
        {
            let secret = |name| env::var(name).ok().map(secrecy::SecretString::from);
            self.redis.url = secret("PITLANE_REDIS_URL").or(self.redis.url);
            self.redis.password = secret("PITLANE_REDIS_PASSWORD").or(self.redis.password);
        }
        Ok(self)
    }

    /// Builds the registry. Without any cache named, there is one called `default`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] when a memory limit can't hold the largest body, the
    /// caches' own limits leave nothing to share, two caches share a place in Redis, or there is
    /// no tokio runtime to talk to Redis on. That Redis is there is not needed.
    pub fn build(mut self) -> Result<Caches, Error> {
        if self.caches.is_empty() {
            self.caches.insert("default".into(), Settings::default());
        }
        let namespace = self.check_names()?;
        let common = self.common_tier()?;
        let clock = self.clock.clone().unwrap_or_default();
        let connected = self.connect(&namespace, &clock)?;
        let shared = match &connected {
            Some(connected) => connected.shared(clock),
            None => Shared::alone(clock),
        };
        let shared = Arc::new(shared);
        let mut caches = BTreeMap::new();
        for (number, (name, settings)) in (0..).zip(&self.caches) {
            let remote = match &connected {
                Some(connected) => Some(connected.remote(&namespace, name, settings)?),
                None => None,
            };
            let inner = Inner {
                name: name.clone(),
                number,
                settings: settings.clone(),
                memory: self.own_tier(name, settings, common.as_ref(), remote.is_some())?,
                remote,
                shared: Arc::clone(&shared),
                stats: Stats::new(&shared.clock),
                #[cfg(feature = "audit")]
                auditor: Arc::default(),
            };
            let inner = Arc::new(inner);
            caches.insert(name.clone(), Cache { inner });
        }
        Ok(Caches {
            shared,
            caches: Arc::new(caches),
            #[cfg(feature = "redis")]
            redis: connected.map(|connected| Arc::new(connected.redis)),
        })
    }

    #[cfg(feature = "redis")]
    fn connect(&self, namespace: &str, clock: &Clock) -> Result<Option<Connected>, Error> {
        let Some(url) = &self.redis.url else {
            return Ok(None);
        };
        let connected = redis::connect(&self.redis, url, namespace, &self.caches, clock);
        connected.map(Some)
    }

    #[cfg(not(feature = "redis"))]
    #[expect(clippy::unnecessary_wraps, reason = "it can fail with Redis")]
    const fn connect(&self, _: &str, _: &Clock) -> Result<Option<Connected>, Error> {
        Ok(None)
    }

    /// The tier of the caches without a limit of their own, if there are any.
    fn common_tier(&self) -> Result<Option<Arc<Memory>>, Error> {
        let limit = self.memory.unwrap_or(DEFAULT_LIMIT);
        let limits = || self.caches.values().map(|settings| settings.memory);
        let own = limits().flatten().fold(0_u64, u64::saturating_add);
        let Some(rest) = limit.checked_sub(own) else {
            let message = format!(
                "the caches' own memory limits sum to {own} bytes, more than the limit of \
                 {limit} bytes"
            );
            return Err(Error::new(ErrorKind::Configuration, message));
        };
        if limits().all(|own| own.is_some()) {
            // Nobody lives in the shared part: it need not hold anything.
            return Ok(None);
        }
        let tier = self.tier("the shared memory limit", rest)?;
        Ok(Some(Arc::new(tier)))
    }

    /// The tier that one cache lives in.
    fn own_tier(
        &self,
        name: &str,
        settings: &Settings,
        common: Option<&Arc<Memory>>,
        has_remote: bool,
    ) -> Result<Arc<Memory>, Error> {
        if let (None, Some(common)) = (settings.memory, common) {
            return Ok(Arc::clone(common));
        }
        let limit = settings.memory.unwrap_or_default();
        if limit == 0 && has_remote {
            let max_body = self.max_body.unwrap_or(DEFAULT_MAX_BODY);
            let caches = self.caches.len();
            return Ok(Arc::new(Memory::without_entries(max_body, caches)));
        }
        let what = format!("the memory limit of the cache {name:?}");
        self.tier(&what, limit).map(Arc::new)
    }

    /// Checks what becomes part of keys in Redis; returns the namespace.
    fn check_names(&self) -> Result<String, Error> {
        let wrong = |message| Error::new(ErrorKind::Configuration, message);
        let namespace = self
            .namespace
            .clone()
            .unwrap_or_else(|| "pitlane".to_owned());
        names::check_namespace(&namespace).map_err(wrong)?;
        for (name, settings) in &self.caches {
            names::check_cache(name).map_err(wrong)?;
            let prefix = settings.prefix.as_ref().unwrap_or(name);
            names::check_prefix(prefix).map_err(wrong)?;
        }
        Ok(namespace)
    }

    fn tier(&self, what: &str, limit: u64) -> Result<Memory, Error> {
        let max_body = self.max_body.unwrap_or(DEFAULT_MAX_BODY);
        Memory::new(limit, max_body, self.caches.len()).ok_or_else(|| {
            let message = format!(
                "{what} is {limit} bytes, which can't hold a body of max_body = {max_body} bytes \
                 and its headers; raise the limit or lower max_body"
            );
            Error::new(ErrorKind::Configuration, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_error(builder: CachesBuilder, says: &str) {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(says), "{error}");
    }

    #[test]
    fn a_limit_that_cannot_hold_the_largest_body_is_refused_at_once() {
        check_error(
            Caches::builder().memory(1 << 20).max_body(1 << 20),
            "shared memory limit",
        );
        let text = "[caches.api]\nmemory = \"100KiB\"";
        let own = Caches::builder().config(text, "x").unwrap();
        check_error(own, "cache \"api\"");
        let text = "[caches.api]\nmemory = \"100MiB\"";
        let own = Caches::builder().config(text, "x").unwrap();
        check_error(own, "sum to 104857600 bytes");
    }
}
