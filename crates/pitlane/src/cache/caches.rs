use std::{collections::BTreeMap, env, fs, path::Path, sync::Arc, time::Duration};

use pitlane_core::{Position, Tag, TagKind, UplinkStatus};

use super::{
    Cache, Inner, Invalidated, Invalidation, Kind, Owed, Settings,
    config::{self, File},
    memory::Memory,
    names,
    reclaim::{Sweep, reclaim},
    remote::Remote,
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
    shared: Arc<Shared>,
    caches: Arc<BTreeMap<Box<str>, Cache>>,
    #[cfg(feature = "redis")]
    redis: Option<pitlane_redis::CircuitBrokenRedis>,
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
            self.shared.spawn(async move {
                let swept = reclaim(store, prefix, Sweep::Before(position)).await;
                tracing::debug!(?swept, "gave back what a cleared cache held");
            });
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
        let budget = super::Budget::new(self.shared.budget);
        self.shared.has_reached(position) || self.shared.confirm(&budget).await
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
    pub const fn redis(&self) -> Option<&pitlane_redis::CircuitBrokenRedis> {
        self.redis.as_ref()
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
    redis: super::redis::Wanted,
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
        #[cfg_attr(
            not(feature = "redis"),
            expect(unused_variables, reason = "nothing is named")
        )]
        let namespace = self.check_names()?;
        let limit = self.memory.unwrap_or(DEFAULT_LIMIT);
        let own = self
            .caches
            .values()
            .filter_map(|settings| settings.memory)
            .fold(0_u64, u64::saturating_add);
        let all_own = self
            .caches
            .values()
            .all(|settings| settings.memory.is_some());
        let common = match limit.checked_sub(own) {
            // Nobody lives in the shared part: it need not hold anything.
            Some(_) if all_own => None,
            Some(rest) => Some(Arc::new(self.tier("the shared memory limit", rest)?)),
            None => {
                let message = format!(
                    "the caches' own memory limits sum to {own} bytes, more than the limit of \
                     {limit} bytes"
                );
                return Err(Error::new(ErrorKind::Configuration, message));
            }
        };
        let clock = self.clock.clone().unwrap_or_default();
        #[cfg(feature = "redis")]
        let connected = match &self.redis.url {
            Some(url) => Some(super::redis::connect(
                &self.redis,
                url,
                &namespace,
                &self.caches,
                &clock,
            )?),
            None => None,
        };
        #[cfg(feature = "redis")]
        let shared = match &connected {
            Some(connected) => Shared::new(
                clock,
                Arc::clone(&connected.log),
                Some(Arc::clone(&connected.uplink)),
                connected.budget,
            ),
            None => Shared::alone(clock),
        };
        #[cfg(not(feature = "redis"))]
        let shared = Shared::alone(clock);
        let shared = Arc::new(shared);
        let mut caches = BTreeMap::new();
        for (number, (name, settings)) in (0..).zip(&self.caches) {
            let memory = match (settings.memory, &common) {
                (None, Some(common)) => Arc::clone(common),
                (Some(0), _) if shared.uplink.is_some() => {
                    let max_body = self.max_body.unwrap_or(DEFAULT_MAX_BODY);
                    let tier = Memory::without_entries(max_body);
                    Arc::new(tier.ok_or_else(|| Error::new(ErrorKind::Configuration, "no memory"))?)
                }
                (own, _) => {
                    let what = format!("the memory limit of the cache {name:?}");
                    Arc::new(self.tier(&what, own.unwrap_or_default())?)
                }
            };
            #[cfg(feature = "redis")]
            let remote = match &connected {
                Some(connected) => {
                    let store = connected.store(settings)?;
                    Some(Remote::new(store, &namespace, name, settings))
                }
                None => None,
            };
            #[cfg(not(feature = "redis"))]
            let remote: Option<Remote> = None;
            let inner = Inner {
                name: name.clone(),
                number,
                settings: settings.clone(),
                memory,
                remote,
                shared: Arc::clone(&shared),
                stats: Stats::new(),
            };
            caches.insert(
                name.clone(),
                Cache {
                    inner: Arc::new(inner),
                },
            );
        }
        Ok(Caches {
            shared,
            caches: Arc::new(caches),
            #[cfg(feature = "redis")]
            redis: connected.map(|connected| connected.redis),
        })
    }

    /// Checks what becomes part of keys in Redis; returns the namespace.
    fn check_names(&self) -> Result<String, Error> {
        let wrong = |message| Error::new(ErrorKind::Configuration, message);
        let namespace = self
            .namespace
            .clone()
            .unwrap_or_else(|| "pitlane".to_owned());
        names::check_namespace(&namespace).map_err(wrong)?;
        let mut places = BTreeMap::new();
        for (name, settings) in &self.caches {
            names::check_cache(name).map_err(wrong)?;
            let prefix = settings.prefix.as_ref().unwrap_or(name);
            names::check_prefix(prefix).map_err(wrong)?;
            if let Some(other) = places.insert((settings.database, prefix), name) {
                return Err(wrong(format!(
                    "the caches {other:?} and {name:?} share the database and the prefix {prefix:?}"
                )));
            }
        }
        Ok(namespace)
    }

    fn tier(&self, what: &str, limit: u64) -> Result<Memory, Error> {
        let max_body = self.max_body.unwrap_or(DEFAULT_MAX_BODY);
        Memory::new(limit, max_body).ok_or_else(|| {
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
