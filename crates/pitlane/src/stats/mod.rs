//! What is counted on the way, cheaply enough for the hit path, and what it comes to.
//!
//! With the feature `stats` the counters of each cache become numbers for people: hit ratios over
//! windows, latencies, what was saved, the keys that stand out; of this node
//! ([`Caches::node_stats`](crate::Caches::node_stats)) and, through Redis, of all nodes
//! ([`Caches::fleet_stats`](crate::Caches::fleet_stats)).

mod asker;
mod filling;
#[cfg(feature = "stats")]
mod fleet;
#[cfg(feature = "stats")]
mod gather;
#[cfg(feature = "stats")]
mod history;
mod invalidating;
#[cfg(feature = "stats")]
mod keeper;
#[cfg(feature = "stats")]
mod looking;
#[cfg(feature = "stats")]
mod node;
#[cfg(all(feature = "stats", feature = "redis"))]
mod place;
mod routes;
#[cfg(feature = "stats")]
mod samples;
#[cfg(feature = "stats")]
mod sampling;
mod seen;
#[cfg(feature = "stats")]
mod server;
#[cfg(all(feature = "stats", feature = "redis"))]
mod snapshot;
#[cfg(feature = "stats")]
mod telling;
#[cfg(feature = "stats")]
mod top;
mod trouble;
#[cfg(feature = "stats")]
mod view;

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use foldhash::fast::RandomState;
use pitlane_core::{Outcome, Reason};

use crate::clock::Clock;

#[cfg(feature = "stats")]
pub use keeper::{StatsKeeper, StatsOptions};
#[cfg(feature = "stats")]
pub use view::{
    BreakerStats, CacheStats, CacheUse, DatabaseStats, Decision, FleetStats, Histogram,
    InvalidationCount, Latency, LogStats, LookupCount, NodeStats, OutcomeCounts, PublishStats,
    ReasonCount, RedisServerStats, RedisStats, RouteStats, Sample, Saved, Series, Tally, TopKey,
    Totals, UnreadableNode, Window, Windows,
};

pub(crate) use asker::{Asker, UNMATCHED, tell};
pub(crate) use filling::Filling;
pub(crate) use invalidating::Invalidating;
#[cfg(feature = "stats")]
pub(crate) use node::Node;
#[cfg(all(feature = "stats", feature = "redis"))]
pub(crate) use place::Place;
pub(crate) use routes::Routes;
pub(crate) use seen::Seen;
pub(crate) use trouble::Trouble;

/// A power of two: more threads than this share.
pub(crate) const SHARDS: usize = 16;

const OUTCOMES: usize = Outcome::ALL.len();
const REASONS: usize = Reason::ALL.len();

/// How often something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Count {
    /// The route's label.
    pub route: String,
    /// How requests were answered.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// How many.
    pub count: u64,
}

/// One cache's counters per route, outcome and reason.
///
/// Each thread counts in a shard of its own, so that the hit path never waits for another
/// thread's.
pub(crate) struct Stats {
    shards: Box<[Shard]>,
    routes: Routes,
    /// How the bodies that were to be stored ended, by reason.
    fills: [AtomicU64; REASONS],
    #[cfg(feature = "metrics")]
    pub(crate) extras: crate::metrics::Extras,
    #[cfg(feature = "stats")]
    samples: samples::Samples,
}

#[repr(align(128))]
#[derive(Default)]
struct Shard(Mutex<Counted>);

/// What the threads of one shard have counted.
#[derive(Default)]
struct Counted {
    counts: Counts,
    #[cfg(feature = "stats")]
    sampling: sampling::Sampling,
}

type Counts = HashMap<Box<str>, Box<[[u64; REASONS]; OUTCOMES]>, RandomState>;

impl Stats {
    #[cfg_attr(
        not(feature = "stats"),
        expect(unused_variables, reason = "nothing is measured then")
    )]
    pub(crate) fn new(clock: &Clock) -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self {
            shards,
            routes: Routes::default(),
            fills: [const { AtomicU64::new(0) }; REASONS],
            #[cfg(feature = "metrics")]
            extras: crate::metrics::Extras::new(),
            #[cfg(feature = "stats")]
            samples: samples::Samples::new(clock),
        }
    }

    /// Counts one request, and what is known of it beside.
    #[cfg_attr(
        not(feature = "stats"),
        expect(unused_variables, reason = "nobody looks closer then")
    )]
    pub(crate) fn count_seen(&self, route: &str, outcome: Outcome, reason: Reason, seen: Seen<'_>) {
        if crate::trace::is_wanted() {
            crate::trace::answered(route, outcome, reason);
        }
        let mut shard = self.shard();
        if let Some(counts) = shard.counts.get_mut(route) {
            add(counts, outcome, reason);
        } else {
            self.count_first(&mut shard.counts, route, outcome, reason);
        }
        #[cfg(feature = "stats")]
        if let Some(weight) = shard.sampling.draw(seen.saved()) {
            drop(shard);
            // What is shown is as bounded as what is counted.
            let route = self.routes.admit(route);
            self.samples.take(route, (outcome, reason), &seen, weight);
        }
    }

    #[cold]
    fn count_first(&self, counts: &mut Counts, route: &str, outcome: Outcome, reason: Reason) {
        let route = self.routes.admit(route);
        let counts = counts
            .entry(route.into())
            .or_insert_with(|| Box::new([[0; REASONS]; OUTCOMES]));
        add(counts, outcome, reason);
    }

    /// Counts the end of one fill: stored, or why not.
    pub(crate) fn count_fill(&self, reason: Reason) {
        if let Some(count) = self.fills.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a look into memory that the count of its request doesn't tell of.
    #[inline]
    #[cfg_attr(
        not(feature = "metrics"),
        expect(unused_variables, clippy::unused_self, reason = "nobody asks then")
    )]
    pub(crate) fn count_lookup(&self, reason: Reason) {
        #[cfg(feature = "metrics")]
        self.extras.count_lookup(reason);
    }

    /// Counts a question to the inner service whether what is stored is still right, and why it
    /// was asked.
    #[inline]
    #[cfg_attr(
        not(feature = "metrics"),
        expect(unused_variables, clippy::unused_self, reason = "nobody asks then")
    )]
    pub(crate) fn count_revalidation(&self, reason: Reason) {
        #[cfg(feature = "metrics")]
        self.extras.count_revalidation(reason);
    }

    /// Counts what went wrong, and cost no request its answer.
    #[cfg_attr(
        not(feature = "metrics"),
        expect(unused_variables, clippy::unused_self, reason = "nobody asks then")
    )]
    pub(crate) fn count_trouble(&self, trouble: Trouble) {
        #[cfg(feature = "metrics")]
        self.extras.count_trouble(trouble);
    }

    /// Adds what the computation of an entry took to its key.
    #[cfg(not(feature = "stats"))]
    #[inline]
    #[expect(clippy::unused_self, reason = "nobody watches keys then")]
    pub(crate) const fn note_cost(&self, _: &crate::cache::Entry) {}

    /// Looks at a hit that no request is counted for.
    #[cfg(not(feature = "stats"))]
    #[inline]
    #[expect(clippy::unused_self, reason = "nobody watches keys then")]
    pub(crate) const fn note_use(&self, _: &crate::cache::Entry) {}

    /// How fills ended: each reason that occurred, and how often.
    pub(crate) fn fills(&self) -> Vec<(Reason, u64)> {
        let counts = self.fills.iter().map(|count| count.load(Ordering::Relaxed));
        Reason::ALL
            .iter()
            .copied()
            .zip(counts)
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// The sums over all threads, in order of route, outcome and reason.
    pub(crate) fn counts(&self) -> Vec<Count> {
        let mut sums: BTreeMap<(String, usize, usize), u64> = BTreeMap::new();
        for shard in &self.shards {
            for (route, counts) in &lock(shard).counts {
                for (outcome, reasons) in counts.iter().enumerate() {
                    for (reason, count) in reasons.iter().enumerate().filter(|(_, n)| **n > 0) {
                        *sums
                            .entry((route.to_string(), outcome, reason))
                            .or_default() += count;
                    }
                }
            }
        }
        let named = |((route, outcome, reason), count)| {
            let outcome = *Outcome::ALL.get::<usize>(outcome)?;
            let reason = *Reason::ALL.get::<usize>(reason)?;
            Some(Count {
                route,
                outcome,
                reason,
                count,
            })
        };
        sums.into_iter().filter_map(named).collect()
    }

    /// The sums over all threads, routes and reasons, in the order of the outcomes.
    #[cfg(feature = "stats")]
    fn outcomes(&self) -> [u64; OUTCOMES] {
        let mut sums = [0; OUTCOMES];
        for shard in &self.shards {
            for counts in lock(shard).counts.values() {
                for (sum, reasons) in sums.iter_mut().zip(counts.iter()) {
                    *sum += reasons.iter().sum::<u64>();
                }
            }
        }
        sums
    }

    fn shard(&self) -> MutexGuard<'_, Counted> {
        #[expect(clippy::indexing_slicing, reason = "the mask keeps it within bounds")]
        lock(&self.shards[thread_number() & (SHARDS - 1)])
    }
}

fn add(counts: &mut [[u64; REASONS]; OUTCOMES], outcome: Outcome, reason: Reason) {
    #[expect(
        clippy::indexing_slicing,
        reason = "both enums number their variants in order"
    )]
    {
        counts[outcome as usize][reason as usize] += 1;
    }
}

fn lock(shard: &Shard) -> MutexGuard<'_, Counted> {
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed)));
    NUMBER.with(Cell::get)
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stats").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        routes::{MAX_ROUTES, OTHER},
        *,
    };

    fn count(stats: &Stats, route: &str, outcome: Outcome, reason: Reason) {
        stats.count_seen(route, outcome, reason, Seen::default());
    }

    #[test]
    fn counts_of_all_threads_add_up() {
        let stats = Stats::new(&Clock::system());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        count(&stats, "/clubs", Outcome::Hit, Reason::Fresh);
                    }
                    count(&stats, "/clubs", Outcome::Miss, Reason::UriMiss);
                });
            }
        });
        let found: Vec<_> = stats
            .counts()
            .into_iter()
            .map(|c| (c.outcome, c.reason, c.count))
            .collect();
        assert_eq!(
            found,
            [
                (Outcome::Hit, Reason::Fresh, 4000),
                (Outcome::Miss, Reason::UriMiss, 4)
            ]
        );
    }

    #[test]
    fn routes_beyond_the_bound_are_counted_together() {
        let stats = Stats::new(&Clock::system());
        for route in 0..2 * MAX_ROUTES {
            count(&stats, &route.to_string(), Outcome::Miss, Reason::UriMiss);
        }
        let counts = stats.counts();
        assert_eq!(counts.len(), MAX_ROUTES + 1);
        let other = counts.iter().find(|count| count.route == OTHER).unwrap();
        assert_eq!(other.count, MAX_ROUTES as u64);
    }

    #[cfg(feature = "stats")]
    #[test]
    fn a_route_beyond_the_bound_is_not_shown_either() {
        let stats = Stats::new(&Clock::system());
        for route in 0..MAX_ROUTES {
            count(&stats, &route.to_string(), Outcome::Miss, Reason::UriMiss);
        }
        stats.refill();
        for route in ["beyond", "7"] {
            count(&stats, route, Outcome::Miss, Reason::UriMiss);
        }
        let decisions = stats.decisions();
        let shown: Vec<&str> = decisions.iter().map(|decided| &*decided.route).collect();
        assert_eq!(shown, ["7", OTHER]);
    }

    #[test]
    fn the_bound_holds_for_all_threads_together() {
        let stats = Stats::new(&Clock::system());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let stats = &stats;
                scope.spawn(move || {
                    for route in 0..MAX_ROUTES {
                        let route = format!("{thread}/{route}");
                        count(stats, &route, Outcome::Miss, Reason::UriMiss);
                    }
                });
            }
        });
        let counts = stats.counts();
        assert_eq!(counts.len(), MAX_ROUTES + 1);
        let sum: u64 = counts.iter().map(|count| count.count).sum();
        assert_eq!(sum, 4 * MAX_ROUTES as u64);
    }
}
