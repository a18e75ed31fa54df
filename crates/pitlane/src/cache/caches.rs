use std::{collections::BTreeMap, env, fs, path::Path, sync::Arc};

use pitlane_core::{Tag, TagKind};

use super::{
    Cache, Inner, Invalidated, Invalidation, Owed, Settings,
    config::{self, File},
    memory::Memory,
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
    /// as entries expire or are pushed out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownCache`], or as [`Caches::invalidate`].
    pub async fn clear(&self, name: &str) -> Result<Invalidated, Error> {
        let cache = self.get(name)?;
        let tag = Tag::of(TagKind::Cache, cache.name());
        self.publish(Invalidation::default().add_tag(tag)).await
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
        let File {
            limit,
            max_body,
            caches,
        } = config::parse(text, origin)?;
        self.memory = limit.or(self.memory);
        self.max_body = max_body.or(self.max_body);
        self.caches.extend(caches);
        Ok(self)
    }

    /// Reads the environment: `PITLANE_CONFIG` names a configuration file, and
    /// `PITLANE_MEMORY_LIMIT` (such as `256MiB`) wins over it.
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
        Ok(self)
    }

    /// Builds the registry. Without any cache named, there is one called `default`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] when a memory limit can't hold the largest body, or the
    /// caches' own limits leave nothing to share.
    pub fn build(mut self) -> Result<Caches, Error> {
        if self.caches.is_empty() {
            self.caches.insert("default".into(), Settings::default());
        }
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
        let shared = Arc::new(Shared::alone(self.clock.clone().unwrap_or_default()));
        let mut caches = BTreeMap::new();
        for (number, (name, settings)) in (0..).zip(&self.caches) {
            let memory = match (settings.memory, &common) {
                (None, Some(common)) => Arc::clone(common),
                (own, _) => {
                    let what = format!("the memory limit of the cache {name:?}");
                    Arc::new(self.tier(&what, own.unwrap_or_default())?)
                }
            };
            let inner = Inner {
                name: name.clone(),
                number,
                settings: settings.clone(),
                memory,
                remote: None,
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
        })
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
