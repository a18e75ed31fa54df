use crate::Profile;
use http::header::CDN_CACHE_CONTROL;
use http::{HeaderName, StatusCode};
use std::time::Duration;

/// A day: how long the Rfc profile prefers a stale answer to an error (RFC 9111 §4.2.4).
const RFC_STALE_IF_ERROR: Duration = Duration::from_secs(24 * 60 * 60);

/// What one cache layer may store.
///
/// # Example
///
/// ```
/// use pitlane_policy::{Profile, Rules};
/// use std::time::Duration;
///
/// let rules = Rules::new(Profile::Application)
///     .ttl(Duration::from_secs(60))
///     .statuses([http::StatusCode::NOT_FOUND])
///     .stale_if_error(Duration::from_secs(600));
/// # drop(rules);
/// ```
#[derive(Clone, Debug)]
pub struct Rules {
    pub(crate) profile: Profile,
    pub(crate) ttl: Option<Duration>,
    pub(crate) statuses: Vec<StatusCode>,
    pub(crate) private_to_user: bool,
    pub(crate) stale_while_revalidate: Option<Duration>,
    pub(crate) stale_if_error: Option<Duration>,
    pub(crate) max_stale: Option<Duration>,
    pub(crate) can_validate: bool,
    pub(crate) store_empty: bool,
    pub(crate) store_redirects: bool,
    pub(crate) targets: Vec<HeaderName>,
    pub(crate) replaced_nonces: Vec<Box<str>>,
}

/// What storing depends on in the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// It has an `Authorization` field.
    pub authorized: bool,
    /// It has an `Origin` field.
    pub cross_origin: bool,
}

impl RequestFacts {
    /// Reads the facts from a request's fields.
    #[must_use]
    pub fn from_headers(headers: &http::HeaderMap) -> Self {
        Self {
            authorized: headers.contains_key(http::header::AUTHORIZATION),
            cross_origin: headers.contains_key(http::header::ORIGIN),
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::new(Profile::default())
    }
}

impl Rules {
    /// The profile's own rules: no TTL.
    ///
    /// `Profile::Rfc` begins with redirects and empty bodies storable, with a stale-if-error
    /// default of one day, with validation, and with `CDN-Cache-Control` as its only target.
    /// `Profile::Application` begins with none of these.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        let open = profile == Profile::Rfc;
        Self {
            profile,
            ttl: None,
            statuses: Vec::new(),
            private_to_user: false,
            stale_while_revalidate: None,
            stale_if_error: open.then_some(RFC_STALE_IF_ERROR),
            max_stale: None,
            can_validate: open,
            store_empty: open,
            store_redirects: open,
            targets: open.then_some(CDN_CACHE_CONTROL).into_iter().collect(),
            replaced_nonces: Vec::new(),
        }
    }

    /// The lifetime of responses that say nothing about their freshness.
    #[must_use]
    pub fn ttl(mut self, ttl: impl Into<Option<Duration>>) -> Self {
        self.ttl = ttl.into();
        self
    }

    /// The statuses that are storable beside 200.
    ///
    /// Redirects also need [`store_redirects`](Self::store_redirects). 1xx, 206 and 304 are never
    /// stored.
    #[must_use]
    pub fn statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.statuses = statuses.into_iter().collect();
        self
    }

    /// Whether entries are keyed by user, so that `private` and `Authorization` don't matter.
    #[must_use]
    pub fn private_to_user(mut self, private: bool) -> Self {
        self.private_to_user = private;
        self
    }

    /// The stale-while-revalidate window of responses that don't name one.
    #[must_use]
    pub fn stale_while_revalidate(mut self, window: impl Into<Option<Duration>>) -> Self {
        self.stale_while_revalidate = window.into();
        self
    }

    /// The stale-if-error window of responses that don't name one.
    #[must_use]
    pub fn stale_if_error(mut self, window: impl Into<Option<Duration>>) -> Self {
        self.stale_if_error = window.into();
        self
    }

    /// The longest stale window of either kind, whoever asks for it.
    #[must_use]
    pub fn max_stale(mut self, cap: impl Into<Option<Duration>>) -> Self {
        self.max_stale = cap.into();
        self
    }

    /// Whether the cache can validate what it stored.
    ///
    /// Then a response with an entity tag or a date of its last change is stored even where each use
    /// needs validation: `no-cache`, or stale on arrival. Without either, or if the cache can't, both are
    /// refused.
    #[must_use]
    pub fn can_validate(mut self, can: bool) -> Self {
        self.can_validate = can;
        self
    }

    /// Whether 204 and empty bodies are stored.
    #[must_use]
    pub fn store_empty(mut self, store: bool) -> Self {
        self.store_empty = store;
        self
    }

    /// Whether an answer with this status is stored though its body is empty, where the status
    /// itself is storable. A redirect's body is normally empty.
    #[must_use]
    pub fn permits_empty(&self, status: StatusCode) -> bool {
        self.store_empty || status.is_redirection()
    }

    /// Whether redirects (3xx) are stored.
    #[must_use]
    pub fn store_redirects(mut self, store: bool) -> Self {
        self.store_redirects = store;
        self
    }

    /// The targeted fields that speak to this cache, the most important first (RFC 9213 §2.2).
    ///
    /// The first one that a response has, and that is a dictionary with at least one member, replaces
    /// `Cache-Control` and `Expires`.
    #[must_use]
    pub fn targets(mut self, targets: impl IntoIterator<Item = HeaderName>) -> Self {
        self.targets = targets.into_iter().collect();
        self
    }

    /// What the cache replaces in every answer: as a nonce it keeps nothing from being stored.
    #[must_use]
    pub fn replaced_nonces(mut self, markers: impl IntoIterator<Item = Box<str>>) -> Self {
        self.replaced_nonces = markers.into_iter().collect();
        self
    }

    /// Whether `nonce` is one that the cache replaces in every answer.
    #[must_use]
    pub fn replaces_nonce(&self, nonce: &[u8]) -> bool {
        let mut markers = self.replaced_nonces.iter();
        markers.any(|marker| marker.as_bytes() == nonce)
    }
}
