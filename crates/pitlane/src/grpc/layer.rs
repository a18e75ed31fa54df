use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use http::{HeaderName, request::Parts};
use pitlane_core::{Key, Outcome, Reason, Tag, TagId, TagKind};
use pitlane_policy::Freshness;
use tower_layer::Layer;

use super::service::GrpcCache;
use crate::{
    cache::Cache,
    stats::{Seen, UNMATCHED, tell},
};

/// A longer request makes no key, unless the layer says so.
const MAX_MESSAGE: u64 = 64 << 10;
/// How long a call whose answer can't be stored is remembered, so that calls don't wait for one
/// another.
const HIT_FOR_MISS: Duration = Duration::from_secs(30);
/// How long others wait for an answer that is under way.
const PATIENCE: Duration = Duration::from_secs(10);

type TagsOf = Arc<dyn Fn(&str, &[u8]) -> Vec<Tag> + Send + Sync>;

/// Caches the answers to unary gRPC calls, for tonic or any other server of `http` requests.
///
/// Only methods that are named here are cached. Calls of all others, streaming ones among them,
/// pass as they are. An answer is found by the method, the bytes of the request message, the
/// authority that was called, the codings that the client takes, and the metadata that
/// [`add_metadata`](Self::add_metadata) names. What is not part of the key the handler of a cached
/// method does not see: `user-agent`, the trace context, and `grpc-timeout`, because others may be
/// waiting for the same answer with more patience.
///
/// A call with anything else in its metadata, above all with `authorization`, a cookie or a
/// binary `*-bin` entry, is somebody's own: it passes, and its answer is not stored. So do calls
/// that are not exactly one message of at most [`max_message`](Self::max_message) bytes.
///
/// Stored is what ends with `grpc-status: 0` behind exactly one message; a hit repeats metadata,
/// message and trailers. Errors are never stored, nor is what sets a cookie or is larger than the
/// registry's `max_body`. Calls at the same time make one call of the handler, and whoever waits
/// does so no longer than its own deadline allows.
///
/// Who is at the other end of the connection is not in a call: don't name methods whose answers
/// depend on the client's certificate or address.
///
/// Tags come from [`tags`](Self::tags), from a [`CacheHint`](crate::CacheHint) in the extensions of
/// the handler's response, and from [`depend_on`](crate::depend_on). The answers of one method lie
/// below the key `grpc:{service}:{method}`, and end together by it:
///
/// ```
/// use std::time::Duration;
/// use pitlane::{Caches, GrpcCacheLayer, Invalidation, Key};
///
/// # async fn example() -> Result<(), pitlane::Error> {
/// let caches = Caches::builder().memory(64 << 20).build()?;
/// let layer = GrpcCacheLayer::new(&caches.get("default")?)
///     .method("/racing.Clubs/GetClub", Duration::from_secs(60))
///     .method("/racing.Clubs/ListDrivers", Duration::from_secs(300));
/// # let _ = layer;
/// let method = Key::new("grpc").child("racing.Clubs").child("GetClub");
/// caches.publish(Invalidation::default().add_key(&method)).await?;
/// # Ok(())
/// # }
/// ```
///
/// With tonic it goes where other layers do: `Server::builder().layer(layer).add_service(…)`.
/// Interceptors and layers that read or check credentials belong outside of it.
#[derive(Clone)]
#[must_use]
pub struct GrpcCacheLayer {
    settings: Settings,
}

/// Everything that is configured for one layer.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) cache: Cache,
    pub(crate) methods: HashMap<Arc<str>, Arc<Method>>,
    /// Sorted, so that every node writes the same keys.
    pub(crate) keyed: Vec<HeaderName>,
    pub(crate) harmless: Vec<HeaderName>,
    pub(crate) any_authority: bool,
    pub(crate) tags: Option<TagsOf>,
    pub(crate) max_message: u64,
    pub(crate) stale_while_revalidate: Duration,
    pub(crate) cache_status: bool,
    pub(crate) hit_for_miss: Duration,
    pub(crate) patience: Duration,
}

/// A method that is cached.
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) path: Arc<str>,
    pub(crate) ttl: Duration,
    /// What invalidates all answers of the method: its cache, its service, itself.
    pub(crate) tags: Vec<TagId>,
}

impl GrpcCacheLayer {
    /// A layer that caches nothing until it is told the names of methods.
    pub fn new(cache: &Cache) -> Self {
        let own = cache.settings();
        let settings = Settings {
            cache: cache.clone(),
            methods: HashMap::new(),
            keyed: Vec::new(),
            harmless: Vec::new(),
            any_authority: false,
            tags: None,
            max_message: MAX_MESSAGE,
            stale_while_revalidate: own.stale_while_revalidate.unwrap_or_default(),
            cache_status: true,
            hit_for_miss: HIT_FOR_MISS,
            patience: PATIENCE,
        };
        Self { settings }
    }

    /// Caches a unary method, and for how long its answers are fresh.
    ///
    /// # Panics
    ///
    /// When `path` is not written as `/package.Service/Method`: it would never be called.
    pub fn method(mut self, path: &str, ttl: Duration) -> Self {
        let Some((service, name)) = split(path) else {
            panic!("{path:?} is no gRPC method: write it as /package.Service/Method")
        };
        let key = Key::new("grpc").child(service).child(name);
        let cache = &self.settings.cache;
        let log = &cache.shared().log;
        let subtrees = key
            .ancestors()
            .map(|path| log.tag_id(TagKind::Subtree, path));
        let method = Method {
            path: path.into(),
            ttl,
            tags: subtrees.chain([cache.tag_id()]).collect(),
        };
        let path = Arc::clone(&method.path);
        self.settings.methods.insert(path, Arc::new(method));
        self
    }

    /// Keys on a metadata entry: the handler sees it, and each of its values has answers of its
    /// own. `authorization` and `cookie` bypass the cache even so.
    pub fn add_metadata(mut self, name: HeaderName) -> Self {
        self.settings.keyed.push(name);
        self.settings
            .keyed
            .sort_by(|a, b| a.as_str().cmp(b.as_str()));
        self.settings.keyed.dedup();
        self
    }

    /// A metadata entry that doesn't make a call individual, such as a request's id. The handler
    /// of a cached method doesn't see it.
    pub fn add_harmless_metadata(mut self, name: HeaderName) -> Self {
        self.settings.harmless.push(name);
        self
    }

    /// Keeps one entry whatever name the server was called by. The handler of a cached method
    /// doesn't see the name.
    pub const fn any_authority(mut self) -> Self {
        self.settings.any_authority = true;
        self
    }

    /// Tags that follow from the method's path and the request message (without the prefix of
    /// its frame). Calls whose message is compressed pass then.
    pub fn tags(mut self, tags: impl Fn(&str, &[u8]) -> Vec<Tag> + Send + Sync + 'static) -> Self {
        self.settings.tags = Some(Arc::new(tags));
        self
    }

    /// The longest request message that makes a key, in bytes (64 KiB by default). Longer ones
    /// pass.
    pub const fn max_message(mut self, bytes: u64) -> Self {
        self.settings.max_message = bytes;
        self
    }

    /// How long past its lifetime an answer may be given while one call computes a new one. The
    /// one that computes gets the new one, or its error: nothing stale stands in for a failure.
    pub const fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.settings.stale_while_revalidate = window;
        self
    }

    /// Leaves `cache-status` out of the metadata of answers.
    pub const fn without_cache_status(mut self) -> Self {
        self.settings.cache_status = false;
        self
    }
}

impl<S> Layer<S> for GrpcCacheLayer {
    type Service = GrpcCache<S>;

    fn layer(&self, inner: S) -> GrpcCache<S> {
        GrpcCache::new(inner, Arc::new(self.settings.clone()))
    }
}

impl fmt::Debug for GrpcCacheLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcCacheLayer")
            .field("settings", &self.settings)
            .finish()
    }
}

impl Settings {
    /// Counts one call. Only a name that was given to the layer becomes a label.
    pub(crate) fn count(
        &self,
        parts: &Parts,
        method: Option<&Method>,
        outcome: Outcome,
        reason: Reason,
    ) {
        self.count_seen(parts, method, (outcome, reason), Seen::default());
    }

    /// Counts one call of which more is known.
    pub(crate) fn count_seen(
        &self,
        parts: &Parts,
        method: Option<&Method>,
        (outcome, reason): (Outcome, Reason),
        seen: Seen<'_>,
    ) {
        tell(&parts.extensions, outcome);
        let label = method.map_or(UNMATCHED, |method| &method.path);
        self.cache.stats().count_seen(label, outcome, reason, seen);
    }

    pub(crate) fn freshness(&self, ttl: Duration) -> Freshness {
        Freshness::new(ttl).with_stale_while_revalidate(self.stale_while_revalidate)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("cache", &self.cache.name())
            .field("methods", &self.methods.values())
            .field("keyed", &self.keyed)
            .field("harmless", &self.harmless)
            .finish_non_exhaustive()
    }
}

/// Service and method of a path.
fn split(path: &str) -> Option<(&str, &str)> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let is_name = |name: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        !name.is_empty() && name.bytes().all(allowed)
    };
    (is_name(service) && is_name(method)).then_some((service, method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_service_and_a_method() {
        assert_eq!(split("/a.B/C"), Some(("a.B", "C")));
        for path in [
            "", "/", "a.B/C", "/a.B", "/a.B/", "//C", "/a.B/C/D", "/a.B/C?x", "/a b/C",
        ] {
            assert_eq!(split(path), None, "{path}");
        }
    }
}
