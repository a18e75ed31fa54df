use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use http::{HeaderName, StatusCode, request::Parts};
use pitlane_core::Tag;
use pitlane_policy::{Profile, Rules};
use tower_layer::Layer;

use super::{
    forms::Encoding,
    options::{PersonalOf, SwapOf},
    service::ResponseCache,
    shape::{Effective, Shape},
};
use crate::cache::Cache;

/// How long an uncacheable answer is remembered, so that requests don't wait for one another.
const HIT_FOR_MISS: Duration = Duration::from_secs(30);
/// How long others wait for a body that is under way.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a refresh in the background may take.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(60);

const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// What tells a cache the names that invalidations use.
const TAG_FIELDS: [&str; 4] = [
    "cache-tag",
    "surrogate-key",
    "cache-groups",
    "cache-group-invalidation",
];

pub(crate) type UserOf = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;
pub(crate) type UriOf = Arc<dyn for<'a> Fn(&'a Parts) -> Option<&'a http::Uri> + Send + Sync>;
pub(crate) type LabelOf = Arc<dyn for<'a> Fn(&'a Parts) -> Option<&'a str> + Send + Sync>;
pub(crate) type TagsOf = Arc<dyn Fn(&http::Uri, &http::response::Parts) -> Vec<Tag> + Send + Sync>;

/// The general form of [`ResponseCacheLayer`].
#[derive(Clone, Copy, Debug)]
pub struct General;

/// Pages for visitors who are nobody in particular.
#[derive(Clone, Copy, Debug)]
pub struct Anonymous;

/// An API that tells its clients how to cache.
#[derive(Clone, Copy, Debug)]
pub struct Api;

/// The cache layer for pages of anonymous visitors.
pub type AnonymousCacheLayer = CacheLayer<Anonymous>;

/// The cache layer for an API.
pub type ApiCacheLayer = CacheLayer<Api>;

/// The cache layer for anything: the one mechanism, without a preset.
pub type ResponseCacheLayer = CacheLayer<General>;

/// Caches the responses of the service inside it.
///
/// Nothing is cached unless everything says that it may be: a GET without a body, without
/// credentials, answered with a plain 200 that sets no cookie and does not forbid it. In the
/// default profile a lifetime comes from the response itself (`Cache-Control`, `Expires`), from
/// the handler's [`CacheHint`](crate::CacheHint), or from [`ttl`](Self::ttl); without any of them
/// nothing is stored. A client's own `Cache-Control` can't force misses, except for
/// `only-if-cached`.
///
/// From what is stored come whole answers, heads, parts (`Range`) and 304s for clients that have it
/// already. What has become stale, and has an `ETag` or a `Last-Modified` of the handler's, is not
/// computed anew if the handler knows conditions: it is asked with `If-None-Match` or
/// `If-Modified-Since`, and its 304 makes the entry fresh again.
///
/// A write (any method but the safe ones) that is not answered with an error ends what is stored of
/// its URI, of the URIs of the same host in `Location` and `Content-Location`, and of the groups in
/// `Cache-Group-Invalidation` (RFC 9875).
///
/// [`Profile::Rfc`] is for a gateway in front of an origin that isn't its own application: all
/// that RFC 9111 allows. What it and its companions ask of a cache is listed row by row, each with
/// its test, in `docs/reference/conformance.md`.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use pitlane::{AnonymousCacheLayer, Caches};
///
/// # fn main() -> Result<(), pitlane::Error> {
/// let caches = Caches::builder().memory(64 << 20).build()?;
/// let layer = AnonymousCacheLayer::new(&caches.get("default")?)
///     .ttl(Duration::from_secs(15 * 60))
///     .stale_while_revalidate(Duration::from_secs(60))
///     .add_harmless_cookie("_ga*");
/// # let _ = layer;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct CacheLayer<Form> {
    pub(super) settings: Settings,
    form: PhantomData<fn() -> Form>,
}

/// Everything that is configured for one layer.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) cache: Cache,
    pub(crate) enabled: bool,
    pub(crate) profile: Profile,
    pub(crate) rules: Rules,
    pub(crate) statuses: Vec<StatusCode>,
    pub(crate) harmless_cookies: Vec<Box<str>>,
    pub(crate) key_headers: Vec<HeaderName>,
    pub(crate) credentials: Vec<HeaderName>,
    pub(crate) personal: Option<PersonalOf>,
    pub(crate) position_header: Option<HeaderName>,
    pub(crate) per_user: Option<UserOf>,
    pub(crate) tenant: Option<UserOf>,
    pub(crate) shape: Shape,
    pub(crate) strip_unkeyed: bool,
    /// The codings that entries are kept in beside their own form, the preferred first.
    pub(crate) encodings: Vec<Encoding>,
    pub(crate) dry_run: bool,
    #[cfg(feature = "audit")]
    pub(crate) audit: Option<Arc<crate::audit::Audit>>,
    /// Markers in pages, and what stands in their place in each answer.
    pub(crate) swaps: Vec<(Box<str>, SwapOf)>,
    pub(crate) original_uri: Option<UriOf>,
    pub(crate) route_label: Option<LabelOf>,
    pub(crate) tags: Option<TagsOf>,
    /// For an API: what clients may keep where the handler doesn't say.
    pub(crate) client_ttl: Option<Duration>,
    pub(crate) cache_status: bool,
    pub(crate) cache_status_key: bool,
    /// Fields that clients don't see; filled in when the layer is put in its place.
    pub(crate) stripped: Vec<HeaderName>,
    /// Answers need a last touch; filled in when the layer is put in its place.
    pub(crate) finishes: bool,
    pub(crate) targets: Vec<HeaderName>,
    pub(crate) strip_tags: bool,
    pub(crate) max_stale: Option<Duration>,
    pub(crate) hit_for_miss: Duration,
    pub(crate) patience: Duration,
    pub(crate) refresh_timeout: Duration,
}

impl CacheLayer<General> {
    /// A layer that caches what says that it may be cached.
    pub fn new(cache: &Cache) -> Self {
        Self::over(cache)
    }
}

impl CacheLayer<Anonymous> {
    /// A layer for pages that are the same for all visitors who are nobody in particular.
    ///
    /// Any cookie means that a visitor is somebody, unless it is listed by
    /// [`add_harmless_cookie`](Self::add_harmless_cookie).
    pub fn new(cache: &Cache) -> Self {
        Self::over(cache)
    }
}

impl CacheLayer<Api> {
    /// A layer for an API: the handler's `Cache-Control` wins; without one, clients are told
    /// `public` with the lifetime of [`client_ttl`](Self::client_ttl), and `private, no-cache`
    /// when the request has credentials.
    pub fn new(cache: &Cache) -> Self {
        let mut layer = Self::over(cache);
        layer.settings.client_ttl = Some(Duration::ZERO);
        layer
    }

    /// For how long clients may keep an answer without asking again, where the handler doesn't
    /// say; zero by default, because no invalidation reaches a client's own cache.
    pub const fn client_ttl(mut self, ttl: Duration) -> Self {
        self.settings.client_ttl = Some(ttl);
        self
    }
}

impl<Form> CacheLayer<Form> {
    fn over(cache: &Cache) -> Self {
        let own = cache.settings();
        let profile = Profile::Application;
        let rules = Rules::new(profile)
            .ttl(own.ttl)
            .stale_while_revalidate(own.stale_while_revalidate)
            .stale_if_error(own.stale_if_error);
        let settings = Settings {
            cache: cache.clone(),
            enabled: true,
            profile,
            rules,
            statuses: Vec::new(),
            harmless_cookies: Vec::new(),
            key_headers: Vec::new(),
            credentials: Vec::new(),
            personal: None,
            position_header: None,
            per_user: None,
            tenant: None,
            shape: Shape::default(),
            strip_unkeyed: false,
            encodings: Vec::new(),
            dry_run: false,
            #[cfg(feature = "audit")]
            audit: None,
            swaps: Vec::new(),
            original_uri: None,
            route_label: None,
            tags: None,
            client_ttl: None,
            cache_status: true,
            cache_status_key: false,
            stripped: Vec::new(),
            finishes: false,
            targets: Vec::new(),
            strip_tags: false,
            max_stale: None,
            hit_for_miss: HIT_FOR_MISS,
            patience: PATIENCE,
            refresh_timeout: REFRESH_TIMEOUT,
        };
        Self {
            settings,
            form: PhantomData,
        }
    }

    /// What HTTP allows is decided by: everything it does, or only what an application's own
    /// pages need (the default). Name it first: it begins the rules (lifetimes, statuses, redirects,
    /// empty answers, private answers) anew.
    pub fn profile(mut self, profile: Profile) -> Self {
        let own = self.settings.cache.settings();
        self.settings.profile = profile;
        let mut rules = Rules::new(profile).ttl(own.ttl);
        if own.stale_while_revalidate.is_some() {
            rules = rules.stale_while_revalidate(own.stale_while_revalidate);
        }
        if own.stale_if_error.is_some() {
            rules = rules.stale_if_error(own.stale_if_error);
        }
        self.settings.targets = if profile == Profile::Rfc {
            vec![CDN_CACHE_CONTROL]
        } else {
            Vec::new()
        };
        self.settings.rules = rules.targets(self.settings.targets.clone());
        self
    }

    /// How long an answer is fresh where the response doesn't say.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.rules = self.settings.rules.ttl(ttl);
        self
    }

    /// How long past its lifetime an answer may be served while it is refreshed in the
    /// background, where the response doesn't say.
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.settings.rules = self.settings.rules.stale_while_revalidate(window);
        self
    }

    /// How long past its lifetime an answer may be served when the inner service fails, where the
    /// response doesn't say.
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.settings.rules = self.settings.rules.stale_if_error(window);
        self
    }

    /// A cookie that doesn't make its sender somebody, such as an analytics cookie. A name may
    /// end in `*`. The handler doesn't see it on a route that is cached.
    pub fn add_harmless_cookie(mut self, name: &str) -> Self {
        self.settings.harmless_cookies.push(name.into());
        self
    }

    /// Stores answers with this status as well as those with 200.
    pub fn add_status(mut self, status: StatusCode) -> Self {
        self.settings.statuses.push(status);
        self.settings.rules = self.settings.rules.statuses(self.settings.statuses.clone());
        self
    }

    /// Stores redirects, whose target may repeat parts of the request.
    pub fn store_redirects(mut self) -> Self {
        self.settings.rules = self.settings.rules.store_redirects(true);
        self
    }

    /// Stores empty answers.
    pub fn store_empty(mut self) -> Self {
        self.settings.rules = self.settings.rules.store_empty(true);
        self
    }

    /// Keys on a request header: an entry for each of its values. One that says who somebody is
    /// doesn't keep a request from the cache then.
    pub fn key_header(mut self, name: HeaderName) -> Self {
        self.settings.key_headers.push(name);
        self
    }

    /// Lets clients read their own writes on every node that shares a Redis: the answer to a
    /// write carries its position in the invalidation log in this header, and a request that
    /// brings a position is answered by a node that has read the log so far. Where that isn't
    /// possible within the Redis budget, the request passes.
    ///
    /// Anybody can send one, which costs one (shared) round trip to Redis at most.
    pub fn position_header(mut self, name: HeaderName) -> Self {
        self.settings.position_header = Some(name);
        self
    }

    /// Keeps an entry for each user, tagged `user:{id}`, never shared. A request without a user
    /// isn't cached. Clients are told `private`.
    ///
    /// The id must come from something the client can't choose, such as a session that was
    /// looked up.
    pub fn per_user(
        mut self,
        user: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.settings.per_user = Some(Arc::new(user));
        self.settings.rules = self.settings.rules.private_to_user(true);
        self
    }

    /// Tags that follow from the URI and the response's head.
    pub fn tags(
        mut self,
        tags: impl Fn(&http::Uri, &http::response::Parts) -> Vec<Tag> + Send + Sync + 'static,
    ) -> Self {
        self.settings.tags = Some(Arc::new(tags));
        self
    }

    /// Where the URI is that the client asked for, when something outside this layer changes it.
    ///
    /// **A layer inside axum's `nest` needs it**: the router takes the prefix off before the layer
    /// sees the request, so that `/v1/clubs` and `/v2/clubs` would be one entry. Layers outside of
    /// `nest` need nothing.
    ///
    /// ```
    /// use axum::extract::OriginalUri;
    /// # let caches = pitlane::Caches::builder().build()?;
    ///
    /// let layer = pitlane::ApiCacheLayer::new(&caches.get("default")?)
    ///     .original_uri(|parts| Some(&parts.extensions.get::<OriginalUri>()?.0));
    /// # Ok::<(), pitlane::Error>(())
    /// ```
    pub fn original_uri(
        mut self,
        uri: impl for<'a> Fn(&'a Parts) -> Option<&'a http::Uri> + Send + Sync + 'static,
    ) -> Self {
        self.settings.original_uri = Some(Arc::new(uri));
        self
    }

    /// Names the route of a request for counters, from a fixed set: never its path.
    pub fn route_label(
        mut self,
        label: impl for<'a> Fn(&'a Parts) -> Option<&'a str> + Send + Sync + 'static,
    ) -> Self {
        self.settings.route_label = Some(Arc::new(label));
        self
    }

    /// The longest that anything stale is served, whoever asks for it: the response, the
    /// configuration or the client.
    pub fn max_stale(mut self, cap: Duration) -> Self {
        self.settings.rules = self.settings.rules.max_stale(cap);
        self.settings.max_stale = Some(cap);
        self
    }

    /// The response fields that speak to this cache in particular (RFC 9213), most important
    /// first: the first that is there and well-formed counts instead of Cache-Control and
    /// Expires. In [`Profile::Rfc`] that is `CDN-Cache-Control` unless said otherwise; an
    /// application's own cache heeds none.
    pub fn targets(mut self, fields: impl IntoIterator<Item = HeaderName>) -> Self {
        self.settings.targets = fields.into_iter().collect();
        let targets = self.settings.targets.clone();
        self.settings.rules = self.settings.rules.targets(targets);
        self
    }

    /// Takes the fields off answers that are meant for this cache: `Cache-Tag`, `Surrogate-Key`,
    /// `Cache-Groups`, `Cache-Group-Invalidation` and the targeted ones. Caches nearer to the
    /// client don't learn of them then.
    pub const fn strip_tags(mut self) -> Self {
        self.settings.strip_tags = true;
        self
    }

    /// Adds the request's host and target to Cache-Status, as `key`. It shows clients how the
    /// cache understands their requests, so it is for debugging.
    pub const fn cache_status_key(mut self) -> Self {
        self.settings.cache_status_key = true;
        self
    }

    /// Leaves out the Cache-Status header, which is on every answer by default.
    pub const fn without_cache_status(mut self) -> Self {
        self.settings.cache_status = false;
        self
    }

    /// Switches caching off, or on again. The layer stays in its place and says so in Cache-Status.
    pub const fn enabled(mut self, enabled: bool) -> Self {
        self.settings.enabled = enabled;
        self
    }

    /// How long it is remembered that a route's answers can't be stored, so that its requests
    /// don't wait for one another; 30 seconds by default.
    pub const fn hit_for_miss(mut self, duration: Duration) -> Self {
        self.settings.hit_for_miss = duration;
        self
    }

    /// How long requests wait for the body of an answer that another request has begun; after
    /// that they ask for themselves. 10 seconds by default. It bounds what an endless answer that
    /// looks cacheable can cost.
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.settings.patience = patience;
        self
    }

    #[cfg(feature = "audit")]
    pub(crate) const fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    #[cfg(test)]
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl Settings {
    /// The URI that the client asked for, as far as it counts.
    pub(crate) fn uri_of<'a>(&self, parts: &'a Parts) -> &'a http::Uri {
        match self.effective(parts) {
            Some(effective) => &effective.uri,
            None => self.given_uri(parts),
        }
    }

    /// What this layer has made of a request's URI, if it has looked at it already.
    pub(crate) fn effective<'a>(&self, parts: &'a Parts) -> Option<&'a Effective> {
        if self.shape.is_plain() {
            return None;
        }
        parts.extensions.get()
    }

    /// The URI that the client asked for, all of it.
    pub(crate) fn given_uri<'a>(&self, parts: &'a Parts) -> &'a http::Uri {
        let original = self
            .original_uri
            .as_ref()
            .and_then(|original| original(parts));
        original.unwrap_or(&parts.uri)
    }
}

impl<S, Form> Layer<S> for CacheLayer<Form> {
    type Service = ResponseCache<S>;

    fn layer(&self, inner: S) -> ResponseCache<S> {
        let mut settings = self.settings.clone();
        if settings.strip_tags {
            settings.stripped = TAG_FIELDS.map(HeaderName::from_static).into();
            settings.stripped.extend_from_slice(&settings.targets);
        }
        if !settings.swaps.is_empty() {
            let markers = settings.swaps.iter().map(|(marker, _)| marker.clone());
            settings.rules = settings.rules.replaced_nonces(markers);
            // What is compressed can't be searched.
            settings.encodings.clear();
        }
        settings.finishes =
            settings.cache_status && settings.cache_status_key || !settings.swaps.is_empty();
        ResponseCache::new(inner, Arc::new(settings))
    }
}

impl<Form> Clone for CacheLayer<Form> {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            form: PhantomData,
        }
    }
}

impl<Form> fmt::Debug for CacheLayer<Form> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("cache", &self.cache.name())
            .field("profile", &self.profile)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
