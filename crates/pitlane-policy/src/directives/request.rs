use super::tokenizer::{Argument, visit};
use crate::Freshness;
use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};
use std::time::Duration;

/// How stale a response a client puts up with (RFC 9111 §5.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxStale {
    /// `max-stale` without a number: of any age.
    Any,
    /// Stale for no more than this.
    Limit(Duration),
}

/// The request's `Cache-Control` (RFC 9111 §5.2.1).
///
/// Any client can send these, so a cache that guards an application heeds only
/// `only_if_cached`: the others would let anyone force misses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestDirectives {
    /// `no-cache`, or `Pragma: no-cache` in a request without `Cache-Control` (§5.4).
    pub no_cache: bool,
    /// `no-store`.
    pub no_store: bool,
    /// `only-if-cached`: answer from the store or with 504.
    pub only_if_cached: bool,
    /// `max-age`: the greatest acceptable age.
    pub max_age: Option<Duration>,
    /// `max-stale`.
    pub max_stale: Option<MaxStale>,
    /// `min-fresh`: how long the response must still stay fresh.
    pub min_fresh: Option<Duration>,
}

impl RequestDirectives {
    /// Reads all `Cache-Control` lines, or `Pragma` where there is none.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        if headers.contains_key(CACHE_CONTROL) {
            visit(headers, &CACHE_CONTROL, |name, argument| {
                directives.add(name, argument)
            });
        } else {
            visit(headers, &PRAGMA, |name, _| {
                directives.no_cache |= name == b"no-cache"
            });
        }
        directives
    }

    /// Whether the client accepts a stored response of this freshness without validation, stored
    /// `resident` ago.
    ///
    /// The stale windows of RFC 5861 are the server's and don't count here.
    #[must_use]
    pub fn accept(&self, freshness: &Freshness, resident: Duration) -> bool {
        let age = freshness.age(resident);
        let lifetime = freshness.lifetime();
        if self.no_cache || self.max_age.is_some_and(|limit| age > limit) {
            return false;
        }
        if lifetime > age {
            return lifetime - age >= self.min_fresh.unwrap_or_default();
        }
        // A response that must be fresh by some margin isn't acceptable when stale.
        let margin = self.min_fresh.is_some_and(|margin| !margin.is_zero());
        match self.max_stale {
            _ if margin || freshness.forbids_stale() => false,
            None => false,
            Some(MaxStale::Any) => true,
            Some(MaxStale::Limit(limit)) => age - lifetime <= limit,
        }
    }

    fn add(&mut self, name: &[u8], argument: Argument<'_>) {
        match name {
            b"no-cache" => self.no_cache = true,
            b"no-store" => self.no_store = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => {
                let seen = argument.seconds().unwrap_or(Duration::ZERO);
                self.max_age = Some(self.max_age.map_or(seen, |before| before.min(seen)));
            }
            b"min-fresh" => {
                let seen = argument.seconds().unwrap_or(crate::seconds::MAX);
                self.min_fresh = Some(self.min_fresh.map_or(seen, |before| before.max(seen)));
            }
            b"max-stale" => self.max_stale = Some(stricter(self.max_stale, tolerance(argument))),
            _ => {}
        }
    }
}

fn tolerance(argument: Argument<'_>) -> MaxStale {
    match argument {
        Argument::Absent => MaxStale::Any,
        _ => MaxStale::Limit(argument.seconds().unwrap_or(Duration::ZERO)),
    }
}

fn stricter(before: Option<MaxStale>, seen: MaxStale) -> MaxStale {
    match (before, seen) {
        (Some(MaxStale::Limit(a)), MaxStale::Limit(b)) => MaxStale::Limit(a.min(b)),
        (Some(limit @ MaxStale::Limit(_)), MaxStale::Any) => limit,
        (None | Some(MaxStale::Any), seen) => seen,
    }
}
