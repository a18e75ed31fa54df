use std::sync::Arc;

use http::HeaderMap;
use pitlane_core::{Reason, Timestamp};
use pitlane_policy::Freshness;

use super::{key::Place, stored::StoredResponse};
use crate::cache::{Budget, Cache, Entry, MarkerKind, Payload, Slot, Usable};
use crate::stats::Stats;

/// What the memory tier has for a request.
#[derive(Debug)]
pub(crate) enum Found {
    /// Serve it.
    Fresh {
        entry: Arc<Entry>,
        age: u64,
        ttl: u64,
    },
    /// Serve it and refresh it.
    WhileRevalidate {
        entry: Arc<Entry>,
        age: u64,
        stale_for: u64,
    },
    /// Serve it, because the client says that it takes it stale.
    Accepted {
        entry: Arc<Entry>,
        age: u64,
        stale_for: u64,
    },
    /// Nothing to serve; something stale to validate, or to fall back on when the inner service
    /// fails.
    Miss { why: Reason, stale: Option<Stale> },
    /// Ask the inner service without waiting for anybody.
    Pass,
}

impl Found {
    /// Counts what the look came to, where the request's own count doesn't tell.
    #[inline]
    pub(crate) fn count(&self, stats: &Stats) {
        match self {
            Self::Fresh { .. } | Self::WhileRevalidate { .. } => {}
            Self::Accepted { .. } => stats.count_lookup(Reason::MaxStale),
            Self::Miss { why, .. } => stats.count_lookup(*why),
            Self::Pass => stats.count_lookup(Reason::HitForMiss),
        }
    }
}

/// An entry that has to be validated before it is served.
#[derive(Clone, Debug)]
pub(crate) struct Stale {
    pub(crate) entry: Arc<Entry>,
    pub(crate) age: u64,
    pub(crate) stale_for: u64,
    /// It may be served as it is when the inner service fails.
    pub(crate) on_error: bool,
}

impl Stale {
    /// The entry as what may be served instead of an error at this moment: while the inner
    /// service was tried, its window may have closed, and it may have been invalidated.
    pub(crate) fn into_fallback(self, cache: &Cache) -> Option<Self> {
        if !self.on_error {
            return None;
        }
        let shared = cache.shared();
        match self.entry.judge(&shared.log, shared.clock.now()) {
            Usable::Stale {
                age,
                stale_for,
                on_error: true,
                ..
            }
            | Usable::WhileRevalidate {
                age,
                stale_for,
                on_error: true,
            } => Some(Self {
                age,
                stale_for,
                ..self
            }),
            _ => None,
        }
    }

    /// Whether nothing has ended the entry since it was found.
    pub(crate) fn is_left(&self, cache: &Cache) -> bool {
        let shared = cache.shared();
        !matches!(
            self.entry.judge(&shared.log, shared.clock.now()),
            Usable::No(_)
        )
    }

    /// Whether it is validated before each use, so that nobody else's validation counts.
    pub(crate) fn is_never_fresh(&self) -> bool {
        is_never_fresh(&self.entry.freshness)
    }
}

/// Whether something can be served to nobody but who has validated it.
pub(crate) fn is_never_fresh(freshness: &Freshness) -> bool {
    freshness.lifetime() <= freshness.initial_age() && freshness.stale_while_revalidate().is_zero()
}

/// Looks for a request's entry by the key without variants. The place returned is the variant's,
/// if the URI has any.
pub(crate) fn find(
    cache: &Cache,
    key: &[u8],
    request: &HeaderMap,
    now: Timestamp,
) -> (Found, Option<Place>) {
    match cache.tier().get(cache.digest(key)) {
        Some(Slot::Marker(marker)) if *marker.key == *key && !marker.vary().is_empty() => {
            let variant = Place::variant(cache, key, marker.vary(), request);
            let slot = cache.tier().get(variant.digest);
            let found = judge(cache, slot, &variant.key, now, Reason::VaryMiss);
            (found, Some(variant))
        }
        slot => (judge(cache, slot, key, now, Reason::UriMiss), None),
    }
}

/// Looks into the remote tier for what memory doesn't have usable. `variant` is the variant's
/// place where the URI is known to have any.
pub(crate) async fn find_remote(
    cache: &Cache,
    place: &Place,
    mut variant: Option<Place>,
    request: &HeaderMap,
    budget: Option<&Budget>,
) -> (Found, Option<Place>) {
    let now = || cache.shared().clock.now();
    if variant.is_none() {
        match cache.pull(place, budget).await {
            Some(Slot::Marker(marker)) => {
                let there = Place::variant(cache, &place.key, marker.vary(), request);
                let slot = cache.tier().get(there.digest);
                let found = judge(cache, slot, &there.key, now(), Reason::VaryMiss);
                if matches!(found, Found::Fresh { .. }) {
                    return (found, Some(there));
                }
                variant = Some(there);
            }
            slot => return (judge(cache, slot, &place.key, now(), Reason::UriMiss), None),
        }
    }
    let there = variant.as_ref().unwrap_or(place);
    let slot = cache.pull(there, budget).await;
    let found = judge(cache, slot, &there.key, now(), Reason::VaryMiss);
    (found, variant)
}

fn judge(cache: &Cache, slot: Option<Slot>, key: &[u8], now: Timestamp, none: Reason) -> Found {
    let miss = |why| Found::Miss { why, stale: None };
    let entry = match slot {
        // The digest led here; the full key decides.
        Some(Slot::Entry(entry)) if *entry.key == *key => entry,
        Some(Slot::Marker(marker)) if *marker.key == *key => {
            return match marker.kind {
                MarkerKind::Pass { until } if now < until => Found::Pass,
                _ => miss(none),
            };
        }
        _ => return miss(none),
    };
    match entry.judge(&cache.shared().log, now) {
        Usable::Fresh { age, ttl } => Found::Fresh { entry, age, ttl },
        Usable::WhileRevalidate { age, stale_for, .. } => Found::WhileRevalidate {
            entry,
            age,
            stale_for,
        },
        Usable::Stale {
            age,
            stale_for,
            on_error,
            reason,
        } => Found::Miss {
            why: reason,
            stale: Some(Stale {
                entry,
                age,
                stale_for,
                on_error,
            }),
        },
        Usable::No(why) => miss(why),
    }
}

/// The response that an entry holds; entries of other kinds never have a response's key.
pub(crate) fn response_of(entry: &Entry) -> Option<&StoredResponse> {
    match &entry.payload {
        Payload::Response(response) => Some(response),
        Payload::Value(_) => None,
    }
}
