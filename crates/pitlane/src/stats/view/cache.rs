use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Histogram, OutcomeCounts, Series, Windows};

/// The numbers of one cache: on one node, or of all nodes together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CacheStats {
    /// Its name.
    pub name: String,
    /// `cache`, or `store` for what can't be computed again, such as sessions.
    pub kind: String,
    /// Requests and hit ratios since the start and in the last minute, five minutes and hour.
    pub windows: Windows,
    /// Requests by how they were answered and why. Their sum is that of `windows.since_start`.
    pub reasons: Vec<ReasonCount>,
    /// Requests by route, the busiest first.
    pub routes: Vec<RouteStats>,
    /// Looks into each tier.
    pub lookups: Vec<LookupCount>,
    /// Computations of something that might be stored, by how they ended.
    pub fills: Vec<Tally>,
    /// Questions to the handler whether what is stored is still right, by why they were asked.
    pub revalidations: Vec<Tally>,
    /// What went wrong within the cache, and cost no request its answer, by what it was.
    pub errors: Vec<Tally>,
    /// How long requests took, by how they were answered. Empty unless
    /// [`keep_stats`](crate::Caches::keep_stats) samples.
    pub latencies: Vec<Latency>,
    /// What the cache was good for, since the sampling began.
    pub saved: Saved,
    /// What it holds in memory.
    pub memory: CacheUse,
    /// The keys that were hit most, estimated; at most 20.
    pub top_by_hits: Vec<TopKey>,
    /// The keys that took the most time to compute, at most 20.
    pub top_by_cost: Vec<TopKey>,
    /// Samples for charts. Not in what nodes tell each other.
    #[serde(default)]
    pub series: Series,
}

/// How many requests were answered in one way for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReasonCount {
    /// An [`Outcome`](crate::Outcome), as its label.
    pub outcome: String,
    /// A [`Reason`](crate::Reason), as its label.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// The requests of one route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RouteStats {
    /// The route's label; `unmatched` without one, `other` beyond the bound of 512.
    pub route: String,
    /// Its requests.
    pub outcomes: OutcomeCounts,
    /// (hit + stale + collapsed + revalidated) / (all but bypass).
    pub hit_ratio: Option<f64>,
}

/// Looks into one tier that ended in one way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LookupCount {
    /// `memory` or `remote`.
    pub tier: String,
    /// `hit`, `miss`, `unusable` or `error`.
    pub outcome: String,
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// Adds up what has the same key, in the order in which it comes. What comes may be other nodes',
/// and as much as they like: the time it takes hardly grows faster than it does.
pub(in crate::stats) fn merged<'a, T: Clone + 'a, K: Ord>(
    all: impl IntoIterator<Item = &'a T>,
    key: impl Fn(&'a T) -> K,
    add: impl Fn(&mut T, &T),
) -> Vec<T> {
    let mut places = BTreeMap::new();
    let mut sum: Vec<T> = Vec::new();
    for one in all {
        let place = *places.entry(key(one)).or_insert(sum.len());
        match sum.get_mut(place) {
            Some(there) => add(there, one),
            None => sum.push(one.clone()),
        }
    }
    sum
}

/// How often something happened that has a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tally {
    /// What: the label of the metric of the same name.
    pub name: String,
    /// How often.
    pub count: u64,
}

impl Tally {
    pub(in crate::stats) fn total<'a>(all: impl IntoIterator<Item = &'a Self>) -> Vec<Self> {
        merged(
            all,
            |one| &one.name,
            |there, more| {
                there.count = there.count.saturating_add(more.count);
            },
        )
    }
}

/// How long requests of one outcome took until their answer was known: for a hit from the look
/// into memory on, for all others from when the handler, or Redis, was turned to. The body is not
/// part of it. Requests of the outcome `bypass` are not measured here; the histogram
/// `http_server_request_duration_seconds` of [`MetricsLayer`](crate::MetricsLayer) measures all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Latency {
    /// An [`Outcome`](crate::Outcome), as its label.
    pub outcome: String,
    /// How many requests. Where there are many hits, one in 32 on average is measured, and stands
    /// for 32.
    pub count: u64,
    /// Half of them took so many seconds at most, within 6.25 %.
    pub p50_seconds: Option<f64>,
    /// 90 of 100.
    pub p90_seconds: Option<f64>,
    /// 99 of 100.
    pub p99_seconds: Option<f64>,
    /// All of them.
    pub histogram: Histogram,
}

impl Latency {
    pub(in crate::stats) fn of(outcome: &str, histogram: Histogram) -> Self {
        Self {
            outcome: outcome.to_owned(),
            count: histogram.count(),
            p50_seconds: histogram.quantile(0.5),
            p90_seconds: histogram.quantile(0.9),
            p99_seconds: histogram.quantile(0.99),
            histogram,
        }
    }
}

/// What a cache was good for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Saved {
    /// Requests that no handler was called for: hit, stale and collapsed. Since the start.
    pub handler_calls: u64,
    /// What they would have taken, in seconds: for each of them as long as the computation of what
    /// it was given took. Counted since the sampling began.
    pub handler_seconds: f64,
}

impl Saved {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            handler_calls: self.handler_calls.saturating_add(other.handler_calls),
            handler_seconds: self.handler_seconds + other.handler_seconds,
        }
    }
}

/// What a cache holds in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CacheUse {
    /// Entries, and markers that lead to them.
    pub entries: u64,
    /// What they weigh.
    pub bytes: u64,
    /// What the tier that it lives in may hold. Caches without a limit of their own share one.
    pub limit_bytes: u64,
    /// Whether it shares its tier.
    pub shared: bool,
    /// What was pushed out, by why: `capacity` or `too-large`.
    pub evictions: Vec<Tally>,
}

impl CacheUse {
    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self::total([self, other].into_iter())
    }

    /// All of them together.
    pub(in crate::stats) fn total<'a>(all: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let sum = all.clone().fold(Self::default(), |sum, one| Self {
            entries: sum.entries.saturating_add(one.entries),
            bytes: sum.bytes.saturating_add(one.bytes),
            limit_bytes: sum.limit_bytes.saturating_add(one.limit_bytes),
            shared: sum.shared || one.shared,
            evictions: Vec::new(),
        });
        Self {
            evictions: Tally::total(all.flat_map(|one| &one.evictions)),
            ..sum
        }
    }
}

/// One of the keys that stand out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TopKey {
    /// The key as people read it: what was asked, or the key of a value. Bounded, and without
    /// control characters.
    pub name: String,
    /// In `top_by_hits` about how many hits, in `top_by_cost` how many computations.
    pub count: u64,
    /// The time that its hits saved, or that its computations took, in seconds.
    pub seconds: f64,
    /// `count` (`top_by_hits`) is too large by so much at most, because another key had the place
    /// before; sampling comes on top. In `top_by_cost` it is `seconds` that is too large by so many
    /// milliseconds at most.
    pub error: u64,
}
