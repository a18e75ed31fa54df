use std::collections::BTreeMap;

use super::{
    gather::TOP,
    view::{
        CacheStats, CacheUse, FleetStats, Latency, LookupCount, NodeStats, OutcomeCounts,
        ReasonCount, RouteStats, Saved, Series, Tally, TopKey, Totals, Windows, merged,
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

    use super::{
        place::Nodes,
        snapshot::{decode, too_much},
    };
    use crate::error::ErrorKind;

    /// How long it may take in all: people wait for it.
    const PATIENCE: Duration = Duration::from_secs(1);

    let (Some(redis), Some(nodes)) = (caches.redis(), Nodes::of(caches)) else {
        return Ok(Others::default());
    };
    let (mut read, mut unreadable) = Others::default();
    let asking = async {
        // A process that has just begun has no connection yet.
        redis.when_closed().await;
        let one = |id: &str, bytes: Vec<u8>| match decode(id, &bytes) {
            Ok(node) => read.push(node),
            Err(node) => unreadable.push(node),
        };
        nodes.each(one).await
    };
    let failed = |why: &str| {
        let message = format!("the nodes' numbers can't be read: {why}");
        Error::new(ErrorKind::Redis, message)
    };
    let unread = match timeout(PATIENCE, asking).await {
        Ok(told) => told.map_err(|trouble| failed(&trouble.to_string()).with_source(trouble))?,
        Err(_) => return Err(failed("Redis does not answer")),
    };
    unreadable.extend(unread.iter().map(|id| too_much(id)));
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
        let mut caches: BTreeMap<&str, Vec<&CacheStats>> = BTreeMap::new();
        for cache in nodes.iter().flat_map(|node| &node.caches) {
            caches.entry(&cache.name).or_default().push(cache);
        }
        let caches = caches.into_values().map(|same| CacheStats::total(&same));
        let caches = caches.collect();
        Self {
            taken_ms,
            totals: Totals::total(&nodes),
            caches,
            nodes,
            unreadable,
        }
    }
}

impl Totals {
    fn total(nodes: &[NodeStats]) -> Self {
        let each = || nodes.iter().map(|node| &node.totals);
        Self {
            windows: windows(each().map(|one| &one.windows)),
            saved: saved(each().map(|one| &one.saved)),
            memory: CacheUse::total(each().map(|one| &one.memory)),
            // The nodes' clocks don't tick together.
            series: Series::default(),
        }
    }
}

impl CacheStats {
    /// The same cache on all nodes that have it.
    fn total(all: &[&Self]) -> Self {
        let each = || all.iter().copied();
        let first = each().next();
        Self {
            name: first.map_or_else(String::new, |one| one.name.clone()),
            kind: first.map_or_else(String::new, |one| one.kind.clone()),
            reasons: reasons(each().flat_map(|one| &one.reasons)),
            routes: routes(each().flat_map(|one| &one.routes)),
            lookups: lookups(each().flat_map(|one| &one.lookups)),
            fills: Tally::total(each().flat_map(|one| &one.fills)),
            revalidations: Tally::total(each().flat_map(|one| &one.revalidations)),
            errors: Tally::total(each().flat_map(|one| &one.errors)),
            latencies: latencies(each().flat_map(|one| &one.latencies)),
            top_by_hits: top(each().flat_map(|one| &one.top_by_hits), |key| {
                key.count as f64
            }),
            top_by_cost: top(each().flat_map(|one| &one.top_by_cost), |key| key.seconds),
            windows: windows(each().map(|one| &one.windows)),
            saved: saved(each().map(|one| &one.saved)),
            memory: CacheUse::total(each().map(|one| &one.memory)),
            series: Series::default(),
        }
    }
}

fn windows<'a>(all: impl Iterator<Item = &'a Windows>) -> Windows {
    all.fold(Windows::default(), |sum, one| sum.plus(one))
}

fn saved<'a>(all: impl Iterator<Item = &'a Saved>) -> Saved {
    all.fold(Saved::default(), |sum, one| sum.plus(one))
}

fn reasons<'a>(all: impl Iterator<Item = &'a ReasonCount>) -> Vec<ReasonCount> {
    let key = |one: &'a ReasonCount| (&one.outcome, &one.reason);
    merged(all, key, |there, more| {
        there.count = there.count.saturating_add(more.count);
    })
}

fn lookups<'a>(all: impl Iterator<Item = &'a LookupCount>) -> Vec<LookupCount> {
    let key = |one: &'a LookupCount| (&one.tier, &one.outcome, &one.reason);
    merged(all, key, |there, more| {
        there.count = there.count.saturating_add(more.count);
    })
}

fn routes<'a>(all: impl Iterator<Item = &'a RouteStats>) -> Vec<RouteStats> {
    let mut sums: BTreeMap<&str, OutcomeCounts> = BTreeMap::new();
    for route in all {
        let sum = sums.entry(&route.route).or_default();
        *sum = sum.plus(&route.outcomes);
    }
    let of = |(route, outcomes): (&str, OutcomeCounts)| RouteStats {
        route: route.to_owned(),
        hit_ratio: outcomes.hit_ratio(),
        outcomes,
    };
    let mut routes: Vec<RouteStats> = sums.into_iter().map(of).collect();
    routes.sort_by_key(|route| std::cmp::Reverse(route.outcomes.total()));
    routes
}

fn latencies<'a>(all: impl Iterator<Item = &'a Latency>) -> Vec<Latency> {
    let key = |one: &'a Latency| &one.outcome;
    let sums = merged(all, key, |there, more| {
        there.histogram = there.histogram.plus(&more.histogram);
    });
    let of = |sum: Latency| Latency::of(&sum.outcome, sum.histogram);
    sums.into_iter().map(of).collect()
}

/// A key that is watched on several nodes is as heavy as on all of them together.
fn top<'a>(all: impl Iterator<Item = &'a TopKey>, weight: impl Fn(&TopKey) -> f64) -> Vec<TopKey> {
    let key = |one: &'a TopKey| &one.name;
    let mut all = merged(all, key, |there, more| {
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

    /// Every list of every node has other names: looked through one by one they would take hours.
    #[test]
    fn lists_that_have_nothing_in_common_add_up_all_the_same() {
        let of = |id: usize| {
            let mut node = node(&id.to_string(), "pages", 1, 1);
            let named = |number| Tally {
                name: format!("{id}/{number}"),
                count: 1,
            };
            node.caches[0].fills = (0..1_000).map(named).collect();
            node.caches[0].memory.evictions = (0..1_000).map(named).collect();
            node
        };
        let fleet = FleetStats::of(7, (0..100).map(of).collect(), Vec::new());
        assert_eq!(fleet.caches[0].fills.len(), 100_000);
        assert_eq!(fleet.caches[0].memory.evictions.len(), 100_000);
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
