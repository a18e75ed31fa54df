use std::collections::BTreeMap;

use super::{
    gather::TOP,
    view::{
        CacheStats, FleetStats, Latency, LookupCount, NodeStats, OutcomeCounts, ReasonCount,
        RouteStats, Series, Tally, TopKey, Totals,
    },
};
use crate::{cache::Caches, error::Error};

impl Caches {
    /// The numbers of all nodes of the namespace, as they have told them through Redis in the last
    /// seconds; see [`keep_stats`](Self::keep_stats). It works from a process that serves nothing
    /// as well, and ends within a second.
    ///
    /// A node that keeps statistics itself is in it with its numbers as they are now. Without
    /// Redis there is no other.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Redis`](crate::ErrorKind::Redis) when Redis did not answer in time, and why.
    pub async fn fleet_stats(&self) -> Result<FleetStats, Error> {
        let own = self.shared.node.is_sampled().then(|| self.node_stats());
        let (mut nodes, unreadable) = others(self).await?;
        if let Some(own) = own.or_else(|| alone(self)) {
            nodes.retain(|node| node.node != own.node);
            nodes.push(own);
        }
        let taken = self.shared.clock.now();
        Ok(FleetStats::of(taken.as_millis(), nodes, unreadable))
    }
}

/// Without Redis, whoever asks is all there is.
fn alone(caches: &Caches) -> Option<NodeStats> {
    caches.log_status().is_none().then(|| caches.node_stats())
}

type Others = (Vec<NodeStats>, Vec<super::UnreadableNode>);

#[cfg(not(feature = "redis"))]
async fn others(_: &Caches) -> Result<Others, Error> {
    Ok(Others::default())
}

#[cfg(feature = "redis")]
async fn others(caches: &Caches) -> Result<Others, Error> {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::{place::Nodes, snapshot::decode};
    use crate::error::ErrorKind;

    /// How long it may take in all: people wait for it.
    const PATIENCE: Duration = Duration::from_secs(1);

    let (Some(redis), Some(nodes)) = (caches.redis(), Nodes::of(caches)) else {
        return Ok(Others::default());
    };
    let asking = async {
        // A process that has just begun has no connection yet.
        redis.when_closed().await;
        nodes.all().await
    };
    let failed = |why: &str| {
        let message = format!("the nodes' numbers can't be read: {why}");
        Error::new(ErrorKind::Redis, message)
    };
    let told = match timeout(PATIENCE, asking).await {
        Ok(told) => told.map_err(|trouble| failed(&trouble.to_string()).with_source(trouble))?,
        Err(_) => return Err(failed("Redis does not answer")),
    };
    let (mut read, mut unreadable) = Others::default();
    for (id, bytes) in told {
        match decode(&id, &bytes) {
            Ok(node) => read.push(node),
            Err(node) => unreadable.push(node),
        }
    }
    Ok((read, unreadable))
}

impl FleetStats {
    fn of(
        taken_ms: u64,
        mut nodes: Vec<NodeStats>,
        unreadable: Vec<super::UnreadableNode>,
    ) -> Self {
        let key = |node: &NodeStats| (node.name.clone(), node.started_ms, node.node.clone());
        nodes.sort_by_key(key);
        let mut caches: BTreeMap<String, CacheStats> = BTreeMap::new();
        for cache in nodes.iter().flat_map(|node| &node.caches) {
            match caches.get_mut(&cache.name) {
                Some(sum) => *sum = sum.plus(cache),
                None => {
                    let alone = CacheStats {
                        series: Series::default(),
                        ..cache.clone()
                    };
                    caches.insert(cache.name.clone(), alone);
                }
            }
        }
        let totals = nodes.iter().map(|node| &node.totals);
        Self {
            taken_ms,
            totals: totals.fold(Totals::default(), |sum, node| sum.plus(node)),
            caches: caches.into_values().collect(),
            nodes,
            unreadable,
        }
    }
}

impl Totals {
    fn plus(&self, other: &Self) -> Self {
        Self {
            windows: self.windows.plus(&other.windows),
            saved: self.saved.plus(&other.saved),
            memory: self.memory.plus(&other.memory),
            // The nodes' clocks don't tick together.
            series: Series::default(),
        }
    }
}

impl CacheStats {
    /// The same cache on two nodes.
    fn plus(&self, other: &Self) -> Self {
        Self {
            name: self.name.clone(),
            kind: self.kind.clone(),
            windows: self.windows.plus(&other.windows),
            reasons: reasons(&self.reasons, &other.reasons),
            routes: routes(&self.routes, &other.routes),
            lookups: lookups(&self.lookups, &other.lookups),
            fills: Tally::sum(&self.fills, &other.fills),
            revalidations: Tally::sum(&self.revalidations, &other.revalidations),
            errors: Tally::sum(&self.errors, &other.errors),
            latencies: latencies(&self.latencies, &other.latencies),
            saved: self.saved.plus(&other.saved),
            memory: self.memory.plus(&other.memory),
            top_by_hits: top(&self.top_by_hits, &other.top_by_hits, |key| {
                key.count as f64
            }),
            top_by_cost: top(&self.top_by_cost, &other.top_by_cost, |key| key.seconds),
            series: Series::default(),
        }
    }
}

/// Adds up what has the same key, in the order in which it comes.
fn sum<T: Clone>(
    one: &[T],
    other: &[T],
    is_same: impl Fn(&T, &T) -> bool,
    add: impl Fn(&mut T, &T),
) -> Vec<T> {
    let mut all = one.to_vec();
    for more in other {
        match all.iter_mut().find(|there| is_same(there, more)) {
            Some(there) => add(there, more),
            None => all.push(more.clone()),
        }
    }
    all
}

fn reasons(one: &[ReasonCount], other: &[ReasonCount]) -> Vec<ReasonCount> {
    let is_same = |one: &ReasonCount, other: &ReasonCount| {
        (&one.outcome, &one.reason) == (&other.outcome, &other.reason)
    };
    sum(one, other, is_same, |there, more| {
        there.count = there.count.saturating_add(more.count);
    })
}

fn lookups(one: &[LookupCount], other: &[LookupCount]) -> Vec<LookupCount> {
    let is_same = |one: &LookupCount, other: &LookupCount| {
        (&one.tier, &one.outcome, &one.reason) == (&other.tier, &other.outcome, &other.reason)
    };
    sum(one, other, is_same, |there, more| {
        there.count = there.count.saturating_add(more.count);
    })
}

fn routes(one: &[RouteStats], other: &[RouteStats]) -> Vec<RouteStats> {
    let mut all: BTreeMap<&str, OutcomeCounts> = BTreeMap::new();
    for route in one.iter().chain(other) {
        let sum = all.entry(&route.route).or_default();
        *sum = sum.plus(&route.outcomes);
    }
    let of = |(route, outcomes): (&str, OutcomeCounts)| RouteStats {
        route: route.to_owned(),
        hit_ratio: outcomes.hit_ratio(),
        outcomes,
    };
    let mut routes: Vec<RouteStats> = all.into_iter().map(of).collect();
    routes.sort_by_key(|route| std::cmp::Reverse(route.outcomes.total()));
    routes
}

fn latencies(one: &[Latency], other: &[Latency]) -> Vec<Latency> {
    let is_same = |one: &Latency, other: &Latency| one.outcome == other.outcome;
    sum(one, other, is_same, |there, more| {
        *there = Latency::of(&there.outcome, there.histogram.plus(&more.histogram));
    })
}

/// A key that is watched on both is as heavy as on both together.
fn top(one: &[TopKey], other: &[TopKey], weight: impl Fn(&TopKey) -> f64) -> Vec<TopKey> {
    let is_same = |one: &TopKey, other: &TopKey| one.name == other.name;
    let mut all = sum(one, other, is_same, |there, more| {
        there.count = there.count.saturating_add(more.count);
        there.seconds += more.seconds;
        there.error = there.error.saturating_add(more.error);
    });
    all.sort_by(|one, other| {
        weight(other)
            .total_cmp(&weight(one))
            .then_with(|| one.name.cmp(&other.name))
    });
    all.truncate(TOP);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node with a cache of so many hits and misses.
    fn node(id: &str, cache: &str, hits: u64, misses: u64) -> NodeStats {
        let outcomes = OutcomeCounts {
            hit: hits,
            miss: misses,
            ..OutcomeCounts::default()
        };
        let window = super::super::Window::of(outcomes, 10.0);
        let windows = super::super::Windows {
            since_start: window.clone(),
            last_minute: Some(window),
            ..Default::default()
        };
        let counted = |outcome: &str, reason: &str, count| ReasonCount {
            outcome: outcome.to_owned(),
            reason: reason.to_owned(),
            count,
        };
        let key = |name: &str, count| TopKey {
            name: name.to_owned(),
            count,
            seconds: 0.5,
            error: 1,
        };
        NodeStats {
            node: id.to_owned(),
            totals: Totals {
                windows: windows.clone(),
                ..Totals::default()
            },
            caches: vec![CacheStats {
                name: cache.to_owned(),
                windows,
                reasons: vec![counted("hit", "fresh", hits), counted("miss", id, misses)],
                top_by_hits: vec![key("GET /", hits), key(id, 3)],
                ..CacheStats::default()
            }],
            ..NodeStats::default()
        }
    }

    #[test]
    fn nodes_add_up() {
        let nodes = vec![
            node("b", "pages", 30, 10),
            node("a", "pages", 5, 5),
            node("c", "api", 1, 0),
        ];
        let fleet = FleetStats::of(7, nodes, Vec::new());
        let ids: Vec<&str> = fleet.nodes.iter().map(|node| &*node.node).collect();
        assert_eq!(ids, ["a", "b", "c"]);
        let total = &fleet.totals.windows.since_start;
        assert_eq!((total.outcomes.hit, total.outcomes.miss), (36, 15));
        assert_eq!(total.covered_seconds, 10.0);
        assert!((total.requests_per_second - 5.1).abs() < 1e-9, "{total:?}");
        let names: Vec<&str> = fleet.caches.iter().map(|cache| &*cache.name).collect();
        assert_eq!(names, ["api", "pages"]);
        let pages = &fleet.caches[1];
        assert_eq!(pages.windows.since_start.hit_ratio, Some(0.7));
        let fresh = pages.reasons.iter().find(|one| one.reason == "fresh");
        assert_eq!(fresh.map(|one| one.count), Some(35));
        assert_eq!(pages.reasons.iter().map(|one| one.count).sum::<u64>(), 50);
        let first = &pages.top_by_hits[0];
        assert_eq!((&*first.name, first.count, first.error), ("GET /", 35, 2));
        assert_eq!(pages.top_by_hits.len(), 3);
    }

    #[test]
    fn numbers_that_claim_too_much_break_nothing() {
        let nodes = vec![
            node("a", "pages", u64::MAX, 1),
            node("b", "pages", u64::MAX, u64::MAX),
        ];
        let fleet = FleetStats::of(7, nodes, Vec::new());
        assert_eq!(fleet.totals.windows.since_start.outcomes.hit, u64::MAX);
        assert!(fleet.totals.windows.since_start.hit_ratio.is_some());
    }
}
