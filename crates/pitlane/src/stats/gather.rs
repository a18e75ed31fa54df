use std::collections::BTreeMap;

use pitlane_core::{Outcome, Timestamp};

use super::{
    history::History,
    node::outcomes,
    samples::{MEASURED, REMEMBERED},
    top::Watched,
    view::{
        CacheStats, CacheUse, Decision, Histogram, InvalidationCount, Latency, LogStats,
        LookupCount, NodeStats, OutcomeCounts, ReasonCount, RouteStats, Saved, Series, Tally,
        TopKey, Totals, Window, Windows,
    },
};
use crate::{
    cache::{Cache, Caches, Kind},
    manage::Name,
    metrics::{memory_lookups, memory_outcome, remote_outcome},
};

/// How many of the keys that stand out are shown.
pub(super) const TOP: usize = 20;

impl Caches {
    /// The numbers of this node, as they are now.
    ///
    /// Counters, sizes and states are always there. Windows, latencies, time saved, top keys,
    /// series and decisions are there while [`keep_stats`](Self::keep_stats) samples.
    ///
    /// # Example
    ///
    /// ```
    /// # fn main() -> Result<(), pitlane::Error> {
    /// let caches = pitlane::Caches::builder().cache("pages").build()?;
    /// let node = caches.node_stats();
    /// assert_eq!(node.caches[0].name, "pages");
    /// assert_eq!(node.totals.windows.since_start.outcomes.total(), 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn node_stats(&self) -> NodeStats {
        let node = &self.shared.node;
        let now = self.shared.clock.now();
        let told = node.told().clone();
        let (caches, totals) = self.numbers(now);
        NodeStats {
            node: node.id.clone(),
            name: told.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: node.started.as_millis(),
            taken_ms: now.as_millis(),
            uptime_seconds: now.since(node.started).as_secs_f64(),
            sampled: node.is_sampled(),
            totals,
            caches,
            log: log(self),
            redis: super::server::redis(self, told),
            published: node.published.read(),
            invalidations: invalidations(self),
            in_flight: self.shared.flights.len() as u64,
            background: self.background() as u64,
            decisions: decisions(self),
            truncated: false,
        }
    }

    /// Each cache, and all of them together.
    fn numbers(&self, now: Timestamp) -> (Vec<CacheStats>, Totals) {
        let node = &self.shared.node;
        let lived = now.since(node.started).as_secs_f64();
        let histories = node.histories();
        let mut all = OutcomeCounts::default();
        let mut caches = Vec::new();
        for (number, cache) in self.iter().enumerate() {
            let outcomes = outcomes(cache);
            all = all.plus(&outcomes);
            let history = histories.each.get(number);
            let windows = windows(history, now, &outcomes, lived);
            let series = history.map_or_else(Series::default, History::series);
            caches.push(numbers_of(cache, self, windows, series));
        }
        let totals = Totals {
            windows: windows(Some(&histories.all), now, &all, lived),
            saved: caches
                .iter()
                .fold(Saved::default(), |sum, cache| sum.plus(&cache.saved)),
            memory: memory_of_all(self, &caches),
            series: histories.all.series(),
        };
        (caches, totals)
    }
}

fn windows(
    history: Option<&History>,
    now: Timestamp,
    outcomes: &OutcomeCounts,
    lived: f64,
) -> Windows {
    let lately = history.map(|history| history.windows(now, outcomes));
    Windows {
        since_start: Window::of(*outcomes, lived),
        ..lately.unwrap_or_default()
    }
}

fn numbers_of(cache: &Cache, caches: &Caches, windows: Windows, series: Series) -> CacheStats {
    let extras = &cache.stats().extras;
    let (by_hits, by_cost) = cache.stats().top(TOP);
    let (reasons, routes) = requests(cache);
    let outcomes = windows.since_start.outcomes;
    let tally = |(name, count): (&str, u64)| Tally {
        name: name.to_owned(),
        count,
    };
    CacheStats {
        name: cache.name().to_owned(),
        kind: match cache.settings().kind {
            Kind::Cache => "cache".to_owned(),
            Kind::Store => "store".to_owned(),
        },
        windows,
        reasons,
        routes,
        lookups: lookups(cache),
        fills: extras
            .fills()
            .map(|(how, count)| tally((how.as_str(), count)))
            .collect(),
        revalidations: extras
            .revalidations()
            .map(|(why, count)| tally((why.as_str(), count)))
            .collect(),
        errors: extras
            .troubles()
            .map(|(what, count)| tally((what.as_str(), count)))
            .collect(),
        latencies: latencies(cache),
        saved: Saved {
            handler_calls: outcomes.hit + outcomes.stale + outcomes.collapsed,
            handler_seconds: cache.stats().saved().as_secs_f64(),
        },
        memory: memory_of(cache, caches),
        top_by_hits: by_hits.iter().map(by_hits_of).collect(),
        top_by_cost: by_cost.iter().map(by_cost_of).collect(),
        series,
    }
}

/// Requests by reason, and by route.
fn requests(cache: &Cache) -> (Vec<ReasonCount>, Vec<RouteStats>) {
    let mut reasons: BTreeMap<(usize, usize), ReasonCount> = BTreeMap::new();
    let mut routes: BTreeMap<String, OutcomeCounts> = BTreeMap::new();
    for counted in cache.counts() {
        let (outcome, reason) = (counted.outcome, counted.reason);
        let sum = reasons
            .entry((outcome as usize, reason as usize))
            .or_default();
        if sum.count == 0 {
            outcome.as_str().clone_into(&mut sum.outcome);
            reason.as_str().clone_into(&mut sum.reason);
        }
        sum.count += counted.count;
        routes
            .entry(counted.route)
            .or_default()
            .add(outcome, counted.count);
    }
    let of = |(route, outcomes): (String, OutcomeCounts)| RouteStats {
        route,
        hit_ratio: outcomes.hit_ratio(),
        outcomes,
    };
    let mut routes: Vec<RouteStats> = routes.into_iter().map(of).collect();
    // The order of names is kept among those that are equally busy.
    routes.sort_by_key(|route| std::cmp::Reverse(route.outcomes.total()));
    (reasons.into_values().collect(), routes)
}

fn lookups(cache: &Cache) -> Vec<LookupCount> {
    let of = |tier: &str, outcome: &str, reason: &str, count| LookupCount {
        tier: tier.to_owned(),
        outcome: outcome.to_owned(),
        reason: reason.to_owned(),
        count,
    };
    let memory = memory_lookups(cache).into_iter();
    let memory = memory.map(|(why, count)| of("memory", memory_outcome(why), why.as_str(), count));
    let remote = cache.remote_lookups().into_iter();
    let remote = remote.map(|(how, count)| of("remote", remote_outcome(how), how.as_str(), count));
    let mut lookups: Vec<LookupCount> = memory
        .chain(remote)
        .filter(|lookup| lookup.count > 0)
        .collect();
    lookups.sort_by(|one, other| {
        (&one.tier, &one.outcome, &one.reason).cmp(&(&other.tier, &other.outcome, &other.reason))
    });
    lookups
}

fn latencies(cache: &Cache) -> Vec<Latency> {
    let of = |outcome: Outcome| {
        let histogram = Histogram::of(&cache.stats().latencies(outcome));
        Latency::of(outcome.as_str(), histogram)
    };
    let measured = MEASURED.into_iter().map(of);
    measured.filter(|latency| latency.count > 0).collect()
}

fn memory_of(cache: &Cache, caches: &Caches) -> CacheUse {
    let sharing = caches
        .iter()
        .filter(|other| other.shares_memory_with(cache));
    let usage = cache.usage();
    let evicted = usage.map(|usage| usage.evicted().collect::<Vec<_>>());
    CacheUse {
        entries: usage.map_or(0, |usage| usage.entries()),
        bytes: usage.map_or(0, |usage| usage.bytes()),
        limit_bytes: cache.memory().limit,
        shared: sharing.count() > 1,
        evictions: evicted
            .into_iter()
            .flatten()
            .map(|(why, count)| Tally {
                name: why.as_str().to_owned(),
                count,
            })
            .collect(),
    }
}

/// Each tier once, however many caches live in it.
fn memory_of_all(caches: &Caches, numbers: &[CacheStats]) -> CacheUse {
    let mut sum = CacheUse::total(numbers.iter().map(|cache| &cache.memory));
    let mut tiers: Vec<&Cache> = Vec::new();
    for cache in caches.iter() {
        if !tiers.iter().any(|tier| tier.shares_memory_with(cache)) {
            tiers.push(cache);
        }
    }
    sum.limit_bytes = tiers.iter().map(|tier| tier.memory().limit).sum();
    sum
}

fn by_hits_of(watched: &Watched) -> TopKey {
    TopKey {
        name: name_of(&watched.key),
        count: watched.weight,
        seconds: seconds(watched.nanos),
        error: watched.error,
    }
}

fn by_cost_of(watched: &Watched) -> TopKey {
    TopKey {
        name: name_of(&watched.key),
        count: watched.count,
        seconds: seconds(watched.weight),
        error: watched.error / 1_000_000,
    }
}

fn name_of(key: &[u8]) -> String {
    Name::of(key.get(Cache::PREFIX..).unwrap_or_default()).text
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds for people; nothing here reaches 2^53"
)]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

fn log(caches: &Caches) -> LogStats {
    let Some(status) = caches.log_status() else {
        let position = caches.shared.log.basis().position;
        return LogStats {
            ready: true,
            position: Some(position.to_string()),
            incarnation: Some(format!("{:016x}", position.incarnation.as_u64())),
            ..LogStats::default()
        };
    };
    let incarnation = status
        .position
        .map(|position| position.incarnation.as_u64());
    LogStats {
        shared: true,
        ready: caches
            .shared
            .uplink
            .as_ref()
            .is_some_and(|uplink| uplink.is_ready()),
        position: status.position.map(|position| position.to_string()),
        incarnation: incarnation.map(|incarnation| format!("{incarnation:016x}")),
        lag_seconds: status.lag.as_secs_f64(),
        queue: status.owed as u64,
        gaps: status.gaps,
        incarnations: status.incarnations,
    }
}

fn invalidations(caches: &Caches) -> Vec<InvalidationCount> {
    let counts = caches.shared.metrics.invalidations.counts();
    let of = |(kind, outcome, count): (pitlane_core::TagKind, &str, u64)| InvalidationCount {
        kind: kind.as_str().to_owned(),
        outcome: outcome.to_owned(),
        count,
    };
    counts.map(of).collect()
}

/// The newest first, of all caches.
fn decisions(caches: &Caches) -> Vec<Decision> {
    let mut all: Vec<Decision> = Vec::new();
    for cache in caches.iter() {
        let name = cache.name();
        all.extend(
            cache
                .stats()
                .decisions()
                .into_iter()
                .map(|decided| Decision {
                    at_ms: decided.at.as_millis(),
                    cache: name.to_owned(),
                    route: decided.route.into(),
                    outcome: decided.outcome.as_str().to_owned(),
                    reason: decided.reason.as_str().to_owned(),
                    seconds: decided.took.map(|took| took.as_secs_f64()),
                }),
        );
    }
    // Those of one cache keep their order.
    all.sort_by_key(|decision| std::cmp::Reverse(decision.at_ms));
    all.truncate(REMEMBERED);
    all
}
