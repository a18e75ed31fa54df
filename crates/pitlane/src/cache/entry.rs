use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use pitlane_core::{Digest, Judgement, Log, Meta, Reason, Timestamp};
use pitlane_policy::{Freshness, Verdict};

use crate::response::StoredResponse;

/// What an entry costs beyond its own bytes: the tier's slot, the counters of two `Arc`s, the
/// fixed fields, what the allocator rounds up.
const OVERHEAD: usize = size_of::<Entry>() + 128;

/// Something stored, ready to serve.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The full key, compared at every hit: a digest alone never decides.
    pub(crate) key: Box<[u8]>,
    pub(crate) meta: Meta,
    pub(crate) freshness: Freshness,
    pub(crate) payload: Payload,
}

/// What is stored.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    /// An HTTP response.
    Response(StoredResponse),
    /// Data behind the handlers.
    Value(Bytes),
}

/// Whether an entry may be used now, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usable {
    Fresh {
        /// Seconds of age and of remaining life.
        age: u64,
        ttl: u64,
    },
    /// May be served while it is refreshed in the background.
    WhileRevalidate {
        age: u64,
        /// How long past its end, in seconds.
        stale_for: u64,
        on_error: bool,
    },
    /// May be served after validation, and when the inner service fails if `on_error` says so.
    Stale {
        age: u64,
        stale_for: u64,
        on_error: bool,
        reason: Reason,
    },
    No(Reason),
}

impl Entry {
    /// Judges the entry by the log and then by its lifetime.
    pub(crate) fn judge(&self, log: &Log, now: Timestamp) -> Usable {
        let soft = match self.meta.judge(log) {
            Judgement::Fresh => false,
            Judgement::Stale => true,
            Judgement::Unusable(reason) => return Usable::No(reason),
        };
        let resident = self.meta.resident(now);
        if soft {
            self.judge_soft(resident)
        } else {
            from_verdict(self.freshness.judge(resident))
        }
    }

    /// A soft mark ends the lifetime early; the stale windows, which count from its regular end,
    /// stay open for all of it.
    fn judge_soft(&self, resident: Duration) -> Usable {
        match self.freshness.judge(resident) {
            Verdict::Fresh { age, .. } => {
                let age = age.as_secs();
                let on_error = !self.freshness.stale_if_error().is_zero();
                if !self.freshness.stale_while_revalidate().is_zero() {
                    Usable::WhileRevalidate {
                        age,
                        stale_for: 0,
                        on_error,
                    }
                } else {
                    Usable::Stale {
                        age,
                        stale_for: 0,
                        on_error,
                        reason: Reason::SoftInvalidated,
                    }
                }
            }
            verdict => from_verdict(verdict),
        }
    }

    /// What the entry takes in memory, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let payload = match &self.payload {
            Payload::Response(response) => response.weight(),
            Payload::Value(value) => value.len(),
        };
        OVERHEAD + self.key.len() + self.meta.tags.weight() + payload
    }
}

fn from_verdict(verdict: Verdict) -> Usable {
    match verdict {
        Verdict::Fresh { age, ttl } => Usable::Fresh {
            age: age.as_secs(),
            ttl: ttl.as_secs(),
        },
        Verdict::StaleWhileRevalidate {
            age,
            stale_for,
            usable_on_error,
        } => Usable::WhileRevalidate {
            age: age.as_secs(),
            stale_for: stale_for.as_secs(),
            on_error: usable_on_error,
        },
        Verdict::StaleIfError { age, stale_for } => expired(age, stale_for, true),
        Verdict::Stale { age, stale_for } => expired(age, stale_for, false),
        _ => Usable::No(Reason::Expired),
    }
}

fn expired(age: Duration, stale_for: Duration, on_error: bool) -> Usable {
    Usable::Stale {
        age: age.as_secs(),
        stale_for: stale_for.as_secs(),
        on_error,
        reason: Reason::Expired,
    }
}

/// What stands in for a response that isn't there.
#[derive(Debug)]
pub(crate) struct Marker {
    pub(crate) key: Box<[u8]>,
    pub(crate) kind: MarkerKind,
}

#[derive(Debug)]
pub(crate) enum MarkerKind {
    /// Requests for the key pass without waiting for one another, until then.
    Pass { until: Timestamp },
    /// The URI has variants, selected by these request headers; these have been stored.
    Variants {
        vary: Box<[HeaderName]>,
        stored: Mutex<Vec<Digest>>,
    },
}

impl Marker {
    /// A marker for a URI whose answers are selected by `vary`.
    pub(crate) fn variants(key: &[u8], vary: Box<[HeaderName]>) -> Self {
        let kind = MarkerKind::Variants {
            vary,
            stored: Mutex::default(),
        };
        Self {
            key: key.into(),
            kind,
        }
    }

    /// The request headers that select variants; none unless the URI has variants.
    pub(crate) fn vary(&self) -> &[HeaderName] {
        match &self.kind {
            MarkerKind::Variants { vary, .. } => vary,
            MarkerKind::Pass { .. } => &[],
        }
    }

    /// Makes room for one more variant, unless `limit` of them are there already.
    pub(crate) fn admit(
        &self,
        variant: Digest,
        limit: usize,
        there: impl Fn(Digest) -> bool,
    ) -> bool {
        let MarkerKind::Variants { stored, .. } = &self.kind else {
            return false;
        };
        let mut stored = stored.lock().unwrap_or_else(PoisonError::into_inner);
        if stored.contains(&variant) {
            return true;
        }
        if stored.len() >= limit {
            // The tier may have pushed some out.
            stored.retain(|digest| there(*digest));
        }
        let room = stored.len() < limit;
        if room {
            stored.push(variant);
        }
        room
    }
}

/// What the memory tier holds under one digest.
#[derive(Clone, Debug)]
pub(crate) enum Slot {
    Entry(Arc<Entry>),
    Marker(Arc<Marker>),
}

#[cfg(feature = "explain")]
impl Slot {
    /// One of its own: what is learned of it stays with it.
    pub(crate) fn copy(&self) -> Self {
        match self {
            Self::Entry(entry) => Self::Entry(Arc::new(entry.copy())),
            Self::Marker(marker) => {
                let kind = match &marker.kind {
                    MarkerKind::Pass { until } => MarkerKind::Pass { until: *until },
                    MarkerKind::Variants { vary, stored } => {
                        let stored = stored.lock().unwrap_or_else(PoisonError::into_inner);
                        MarkerKind::Variants {
                            vary: vary.clone(),
                            stored: Mutex::new(stored.clone()),
                        }
                    }
                };
                let key = marker.key.clone();
                Self::Marker(Arc::new(Marker { key, kind }))
            }
        }
    }
}

#[cfg(feature = "explain")]
impl Entry {
    fn copy(&self) -> Self {
        Self {
            key: self.key.clone(),
            meta: Meta {
                stored_at: self.meta.stored_at,
                cost: self.meta.cost,
                tags: self.meta.tags.clone(),
                stamp: pitlane_core::Stamp::new(self.meta.stamp.basis()),
            },
            freshness: self.freshness,
            payload: self.payload.clone(),
        }
    }
}

impl Slot {
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Entry(entry) => entry.weight(),
            Self::Marker(marker) => {
                let kind = match &marker.kind {
                    MarkerKind::Pass { .. } => 0,
                    // The list of variants grows after the marker was weighed: count its bound.
                    MarkerKind::Variants { vary, .. } => {
                        size_of_val(&**vary) + 32 * size_of::<Digest>()
                    }
                };
                size_of::<Marker>() + 96 + marker.key.len() + kind
            }
        }
    }
}
