use super::targeted;
use super::tokenizer::{Argument, visit};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName};
use std::time::Duration;

/// The response's `Cache-Control` (RFC 9111 §5.2.2), read as strictly as it can be read.
///
/// Of several equal directives the most restrictive counts. A number that is no number is zero,
/// never absent. What forbids holds in any form; what permits only when it is well-formed, and
/// where it stands more than once, only when the last is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseDirectives {
    /// `no-store`.
    pub no_store: bool,
    /// `private`, with or without field names.
    pub private: bool,
    /// `no-cache`, with or without field names.
    pub no_cache: bool,
    /// `must-revalidate`: never answer with it when stale.
    pub must_revalidate: bool,
    /// `proxy-revalidate`: the same, for shared caches.
    pub proxy_revalidate: bool,
    /// `public`.
    pub public: bool,
    /// `immutable` (RFC 8246).
    pub immutable: bool,
    /// `must-understand`: not stored where the status code isn't understood.
    pub must_understand: bool,
    /// `no-transform`.
    pub no_transform: bool,
    /// `max-age`.
    pub max_age: Option<Duration>,
    /// `s-maxage`.
    pub s_maxage: Option<Duration>,
    /// `stale-while-revalidate` (RFC 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
    /// `stale-if-error` (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
    present: bool,
    targeted: bool,
    revalidation_authorizes: bool,
    s_maxage_authorizes: bool,
    overrides_no_store: bool,
    unreadable_lifetime: bool,
}

impl ResponseDirectives {
    /// Reads all `Cache-Control` lines.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut directives = Self {
            present: headers.contains_key(CACHE_CONTROL),
            ..Self::default()
        };
        visit(headers, &CACHE_CONTROL, |name, argument| {
            directives.add(name, argument)
        });
        directives
    }

    /// Reads the field that applies to this cache: the first of `targets` that is a dictionary with
    /// at least one member, otherwise `Cache-Control` (RFC 9213 §2.2). Tells whether it was a
    /// targeted field; then `Cache-Control` and `Expires` are none of this cache's business.
    ///
    /// A targeted field that doesn't parse is ignored whole. In one that does, a directive with a
    /// value of a wrong type counts as one that can't be read in `Cache-Control` does, and `?0`
    /// means that the directive isn't there. RFC 9651 keeps only the last of several equal keys; here
    /// the others still restrict.
    #[must_use]
    pub fn select(headers: &HeaderMap, targets: &[HeaderName]) -> (Self, bool) {
        let target = targets
            .iter()
            .find_map(|name| targeted::read(headers, name));
        target.map_or_else(
            || (Self::from_headers(headers), false),
            |found| (found, true),
        )
    }

    /// No directives, of a targeted field.
    pub(super) fn targeted() -> Self {
        Self {
            present: true,
            targeted: true,
            ..Self::default()
        }
    }

    /// Whether these are a targeted field's, so that `Expires` doesn't count.
    pub(crate) fn are_targeted(&self) -> bool {
        self.targeted
    }

    /// Whether the response has no `Cache-Control` field at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.present
    }

    /// Whether an answer to a request with `Authorization` may be shared (RFC 9111 §3.5).
    #[must_use]
    pub fn permits_authorized(&self) -> bool {
        self.public || self.revalidation_authorizes || self.s_maxage_authorizes
    }

    /// Whether `no-store` gives way where the status code is understood (RFC 9111 §5.2.2.3).
    ///
    /// That is what a well-formed `must-understand` permits; in any form it also forbids.
    #[must_use]
    pub fn overrides_no_store(&self) -> bool {
        self.overrides_no_store
    }

    /// Whether the response forbids that it is used when stale (RFC 9111 §4.2.4).
    ///
    /// `s-maxage` does so too: it includes the meaning of `proxy-revalidate` (§5.2.2.10).
    #[must_use]
    pub fn forbids_stale(&self) -> bool {
        self.must_revalidate || self.proxy_revalidate || self.no_cache || self.s_maxage.is_some()
    }

    /// Whether `max-age` or `s-maxage` stands there without a number that can be read.
    ///
    /// The lifetime is then zero; a stale window that the response also asks for must not turn
    /// that into permission.
    pub(crate) fn has_unreadable_lifetime(&self) -> bool {
        self.unreadable_lifetime
    }

    pub(super) fn add(&mut self, name: &[u8], argument: Argument<'_>) {
        let well_formed = argument.is_absent();
        // What permits is set anew by each member, so that only the last one can.
        match name {
            b"immutable" => self.immutable = well_formed,
            b"public" => self.public = well_formed,
            b"must-understand" => self.overrides_no_store = well_formed,
            b"must-revalidate" => self.revalidation_authorizes = well_formed,
            b"s-maxage" => self.s_maxage_authorizes = argument.seconds().is_some(),
            _ => {}
        }
        if argument != Argument::Denied || takes_seconds(name) {
            self.restrict(name, argument);
        }
    }

    fn restrict(&mut self, name: &[u8], argument: Argument<'_>) {
        match name {
            b"no-store" => self.no_store = true,
            b"private" => self.private = true,
            b"no-cache" => self.no_cache = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"no-transform" => self.no_transform = true,
            b"must-understand" => self.must_understand = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"max-age" => {
                self.unreadable_lifetime |= argument.seconds().is_none();
                lower(&mut self.max_age, argument);
            }
            b"s-maxage" => {
                self.unreadable_lifetime |= argument.seconds().is_none();
                lower(&mut self.s_maxage, argument);
            }
            b"stale-while-revalidate" => lower(&mut self.stale_while_revalidate, argument),
            b"stale-if-error" => lower(&mut self.stale_if_error, argument),
            _ => {}
        }
    }
}

/// Whether a directive's value is a span, so that `?0` is a value of a wrong type.
fn takes_seconds(name: &[u8]) -> bool {
    matches!(
        name,
        b"max-age" | b"s-maxage" | b"stale-while-revalidate" | b"stale-if-error"
    )
}

/// Keeps the smallest span seen; one that can't be read is zero.
fn lower(span: &mut Option<Duration>, argument: Argument<'_>) {
    let seen = argument.seconds().unwrap_or(Duration::ZERO);
    *span = Some(span.map_or(seen, |before| before.min(seen)));
}
