use std::time::Duration;

use http::{HeaderName, StatusCode};
use pitlane_core::Timestamp;
use pitlane_policy::Profile;

use crate::{
    cache::Caches,
    clock::Clock,
    error::Error,
    response::{General, ResponseCacheLayer},
};

/// The layer that recordings are explained by. Its options are those of
/// [`ResponseCacheLayer`](crate::ResponseCacheLayer).
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    profile: Profile,
    ttl: Option<Duration>,
    stale_while_revalidate: Option<Duration>,
    stale_if_error: Option<Duration>,
    max_body: u64,
    statuses: Vec<StatusCode>,
    cookies: Vec<String>,
    key_headers: Vec<HeaderName>,
    redirects: bool,
    empty: bool,
    pub(super) at: Timestamp,
}

impl Options {
    /// A layer without options.
    pub const fn new() -> Self {
        Self {
            profile: Profile::Application,
            ttl: None,
            stale_while_revalidate: None,
            stale_if_error: None,
            max_body: 1 << 20,
            statuses: Vec::new(),
            cookies: Vec::new(),
            key_headers: Vec::new(),
            redirects: false,
            empty: false,
            at: Timestamp::from_millis(0),
        }
    }

    /// What HTTP allows is decided by.
    pub const fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// How long an answer is fresh that doesn't say.
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How long past that it may be served while it is renewed, where it doesn't say.
    pub const fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = Some(window);
        self
    }

    /// How long past that it may be served when the handler fails, where it doesn't say.
    pub const fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = Some(window);
        self
    }

    /// The largest body that is stored, in bytes; 1 MiB by default.
    pub const fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// Stores answers with this status as well as those with 200.
    pub fn add_status(mut self, status: StatusCode) -> Self {
        self.statuses.push(status);
        self
    }

    /// A cookie that doesn't make its sender somebody; a name may end in `*`.
    pub fn add_harmless_cookie(mut self, name: &str) -> Self {
        self.cookies.push(name.to_owned());
        self
    }

    /// Keys on a request header.
    pub fn key_header(mut self, name: HeaderName) -> Self {
        self.key_headers.push(name);
        self
    }

    /// Stores redirects.
    pub const fn store_redirects(mut self) -> Self {
        self.redirects = true;
        self
    }

    /// Stores empty answers.
    pub const fn store_empty(mut self) -> Self {
        self.empty = true;
        self
    }

    /// When answers came of which nobody has recorded when; 1970 by default. It matters for
    /// `Expires` without `Date`.
    pub const fn received(mut self, at: Timestamp) -> Self {
        self.at = at;
        self
    }

    /// The layer over an empty cache, at this time.
    pub(super) fn layer(&self, at: Timestamp) -> Result<(Caches, ResponseCacheLayer), Error> {
        let caches = Caches::builder()
            .clock(Clock::manual(at))
            .max_body(self.max_body)
            .memory(self.max_body.saturating_mul(4).max(1 << 20))
            .build()?;
        let layer = ResponseCacheLayer::new(&caches.get("default")?).profile(self.profile);
        Ok((caches, self.configure(layer)))
    }

    fn configure(&self, mut layer: ResponseCacheLayer) -> ResponseCacheLayer {
        let spans: [(Option<Duration>, Setter); 3] = [
            (self.ttl, ResponseCacheLayer::ttl),
            (
                self.stale_while_revalidate,
                ResponseCacheLayer::stale_while_revalidate,
            ),
            (self.stale_if_error, ResponseCacheLayer::stale_if_error),
        ];
        for (span, set) in spans {
            layer = match span {
                Some(span) => set(layer, span),
                None => layer,
            };
        }
        for status in &self.statuses {
            layer = layer.add_status(*status);
        }
        for cookie in &self.cookies {
            layer = layer.add_harmless_cookie(cookie);
        }
        for name in &self.key_headers {
            layer = layer.key_header(name.clone());
        }
        if self.redirects {
            layer = layer.store_redirects();
        }
        if self.empty {
            layer = layer.store_empty();
        }
        layer
    }
}

type Setter = fn(crate::response::CacheLayer<General>, Duration) -> ResponseCacheLayer;

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
