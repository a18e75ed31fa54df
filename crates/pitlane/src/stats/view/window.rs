use pitlane_core::Outcome;
use serde::{Deserialize, Serialize};

/// How many requests were answered how. The six are a partition: each request is in one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutcomeCounts {
    /// From the cache, fresh.
    pub hit: u64,
    /// From the cache, stale and allowed to be.
    pub stale: u64,
    /// By the one computation that somebody else had begun.
    pub collapsed: u64,
    /// From the cache, after the handler confirmed it.
    pub revalidated: u64,
    /// By the handler; the answer may have been stored.
    pub miss: u64,
    /// By the handler; the cache had no part in it.
    pub bypass: u64,
}

impl OutcomeCounts {
    /// Adds requests of one outcome.
    pub const fn add(&mut self, outcome: Outcome, count: u64) {
        let place = match outcome {
            Outcome::Hit => &mut self.hit,
            Outcome::Stale => &mut self.stale,
            Outcome::Collapsed => &mut self.collapsed,
            Outcome::Revalidated => &mut self.revalidated,
            Outcome::Miss => &mut self.miss,
            Outcome::Bypass => &mut self.bypass,
        };
        *place = place.saturating_add(count);
    }

    /// How many of one outcome.
    #[must_use]
    pub const fn of(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Hit => self.hit,
            Outcome::Stale => self.stale,
            Outcome::Collapsed => self.collapsed,
            Outcome::Revalidated => self.revalidated,
            Outcome::Miss => self.miss,
            Outcome::Bypass => self.bypass,
        }
    }

    /// All requests.
    #[must_use]
    pub fn total(&self) -> u64 {
        Outcome::ALL
            .iter()
            .fold(0, |sum, outcome| sum.saturating_add(self.of(*outcome)))
    }

    /// Those that the cache had a part in answering: hit, stale, collapsed and revalidated.
    #[must_use]
    pub const fn from_cache(&self) -> u64 {
        self.hit
            .saturating_add(self.stale)
            .saturating_add(self.collapsed)
            .saturating_add(self.revalidated)
    }

    /// The share of requests that the cache had a part in answering, of all that it might have
    /// answered: all but `bypass`. `None` without any.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        ratio(self.from_cache(), self.total().saturating_sub(self.bypass))
    }

    /// The same share of all requests, `bypass` among them.
    #[must_use]
    pub fn hit_ratio_with_bypass(&self) -> Option<f64> {
        ratio(self.from_cache(), self.total())
    }

    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for outcome in Outcome::ALL {
            self.add(outcome, other.of(outcome));
        }
        self
    }

    /// What came since `earlier`.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            hit: self.hit.saturating_sub(earlier.hit),
            stale: self.stale.saturating_sub(earlier.stale),
            collapsed: self.collapsed.saturating_sub(earlier.collapsed),
            revalidated: self.revalidated.saturating_sub(earlier.revalidated),
            miss: self.miss.saturating_sub(earlier.miss),
            bypass: self.bypass.saturating_sub(earlier.bypass),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio; nothing here reaches 2^53"
)]
fn ratio(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

/// What happened within a span of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Window {
    /// How much time it really covers, in seconds. A node that is younger than the window's name
    /// covers less, and the edge is as exact as the samples: 1 s in a minute, 5 s in five
    /// minutes, 60 s in an hour.
    pub covered_seconds: f64,
    /// The requests, by how they were answered.
    pub outcomes: OutcomeCounts,
    /// (hit + stale + collapsed + revalidated) / (all but bypass); `None` without any.
    pub hit_ratio: Option<f64>,
    /// (hit + stale + collapsed + revalidated) / all; `None` without any.
    pub hit_ratio_with_bypass: Option<f64>,
    /// Requests a second.
    pub requests_per_second: f64,
}

impl Window {
    /// A window of what happened in so many seconds.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate; nothing here reaches 2^53"
    )]
    pub fn of(outcomes: OutcomeCounts, covered_seconds: f64) -> Self {
        let requests_per_second = if covered_seconds > 0.0 {
            outcomes.total() as f64 / covered_seconds
        } else {
            0.0
        };
        Self {
            covered_seconds,
            outcomes,
            hit_ratio: outcomes.hit_ratio(),
            hit_ratio_with_bypass: outcomes.hit_ratio_with_bypass(),
            requests_per_second,
        }
    }

    /// Both together: what two nodes did in the same time.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let sum = Self::of(
            self.outcomes.plus(&other.outcomes),
            self.covered_seconds.max(other.covered_seconds),
        );
        Self {
            requests_per_second: self.requests_per_second + other.requests_per_second,
            ..sum
        }
    }
}

/// The windows of one cache, or of all of them together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Windows {
    /// Since the registry was built.
    pub since_start: Window,
    /// The last minute; `None` unless [`keep_stats`](crate::Caches::keep_stats) samples.
    pub last_minute: Option<Window>,
    /// The last five minutes.
    pub last_five_minutes: Option<Window>,
    /// The last hour.
    pub last_hour: Option<Window>,
}

impl Windows {
    /// Both together: what two caches, or two nodes, did in the same time.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let sum = |one: &Option<Window>, other: &Option<Window>| match (one, other) {
            (Some(one), Some(other)) => Some(one.plus(other)),
            (one, other) => one.as_ref().or(other.as_ref()).cloned(),
        };
        Self {
            since_start: self.since_start.plus(&other.since_start),
            last_minute: sum(&self.last_minute, &other.last_minute),
            last_five_minutes: sum(&self.last_five_minutes, &other.last_five_minutes),
            last_hour: sum(&self.last_hour, &other.last_hour),
        }
    }
}

/// Samples for charts, evenly spaced, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Series {
    /// One for each 5 seconds of the last five minutes.
    pub last_five_minutes: Vec<Sample>,
    /// One for each minute of the last hour.
    pub last_hour: Vec<Sample>,
}

/// What happened in one step of a [`Series`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sample {
    /// When the step ended, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// All requests.
    pub requests: u64,
    /// Those that the cache had a part in: hit, stale, collapsed and revalidated.
    pub hits: u64,
    /// Those that it had no part in.
    pub bypasses: u64,
    /// How long half of the requests took at most, in seconds, until their answer was known.
    /// Requests of the outcome `bypass` are not measured.
    pub p50_seconds: Option<f64>,
    /// How long 99 of 100 took at most.
    pub p99_seconds: Option<f64>,
}
