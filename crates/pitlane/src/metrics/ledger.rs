use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use metrics::{Counter, Gauge, Key, SharedString};
use pitlane_core::{Outcome, Reason};

use super::{
    handles::recorder,
    spec::{self, METADATA, describe},
};
use crate::{
    cache::{Cache, Caches, RemoteLookup},
    stats::Count,
};

/// A process has one recorder, and tests may have some at a time.
const BOOKS: usize = 4;

/// The only tiers there are.
pub(crate) const MEMORY: SharedString = SharedString::const_str("memory");
pub(crate) const REMOTE: SharedString = SharedString::const_str("remote");

/// What was told to which recorder, so that each is told of everything once.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Vec<Book>>);

/// What one recorder was told.
struct Book {
    recorder: usize,
    counters: HashMap<Key, (Counter, u64)>,
    gauges: HashMap<Key, Gauge>,
}

impl Caches {
    /// Brings the recorder that is installed now up to date with everything that is counted: call
    /// it before each scrape.
    ///
    /// Counters go up by what was counted since the last call, so that the counters of two
    /// registries in one process add up, and nothing is lost that was counted before a recorder
    /// was installed. Gauges show the registry that was recorded last. What is measured (the
    /// histograms) is recorded where it happens, and is lost without a recorder.
    ///
    /// [`MetricsLayer::caches`](crate::MetricsLayer::caches) calls this every second.
    pub fn record_metrics(&self) {
        self.shared.metrics.ledger.write(self);
    }
}

impl Ledger {
    fn write(&self, caches: &Caches) {
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let book = open(&mut books, recorder());
        for cache in caches.iter() {
            book.write_cache(cache);
        }
        book.write_registry(caches);
    }
}

/// The book of one recorder, which learns what the metrics mean when it is new.
fn open(books: &mut Vec<Book>, recorder: usize) -> &mut Book {
    let known = books.iter().position(|book| book.recorder == recorder);
    let known = known.unwrap_or_else(|| {
        if books.len() == BOOKS {
            books.remove(0);
        }
        describe(&spec::ALL);
        books.push(Book::new(recorder));
        books.len() - 1
    });
    #[expect(
        clippy::indexing_slicing,
        reason = "it was found or put there just now"
    )]
    &mut books[known]
}

impl Book {
    fn new(recorder: usize) -> Self {
        Self {
            recorder,
            counters: HashMap::new(),
            gauges: HashMap::new(),
        }
    }

    /// Makes a counter show `total`.
    fn count(&mut self, series: Key, total: u64) {
        let (counter, told) = self.counters.entry(series).or_insert_with_key(|series| {
            let register =
                |recorder: &dyn metrics::Recorder| recorder.register_counter(series, &METADATA);
            (metrics::with_recorder(register), 0)
        });
        // Even by nothing: some recorders show a series once it was touched.
        counter.increment(total.saturating_sub(*told));
        *told = total.max(*told);
    }

    fn set(&mut self, series: Key, value: f64) {
        let gauge = self.gauges.entry(series).or_insert_with_key(|series| {
            metrics::with_recorder(|recorder| recorder.register_gauge(series, &METADATA))
        });
        gauge.set(value);
    }

    fn write_cache(&mut self, cache: &Cache) {
        let name: SharedString = cache.name().to_owned().into();
        let text = SharedString::const_str;
        let extras = &cache.stats().extras;
        self.write_requests(cache, &name);
        for (lookup, count) in cache.remote_lookups() {
            let (outcome, reason) = (remote_outcome(lookup), lookup.as_str());
            let labels = [name.clone(), REMOTE, text(outcome), text(reason)];
            self.count(spec::LOOKUPS.series(labels), count);
        }
        for (outcome, count) in extras.fills() {
            let labels = [name.clone(), text(outcome.as_str())];
            self.count(spec::FILLS.series(labels), count);
        }
        for (reason, count) in extras.revalidations() {
            let labels = [name.clone(), text(reason.as_str())];
            self.count(spec::REVALIDATIONS.series(labels), count);
        }
        for (trouble, count) in extras.troubles() {
            let labels = [name.clone(), text(trouble.as_str())];
            self.count(spec::ERRORS.series(labels), count);
        }
        if let Some(usage) = cache.usage() {
            for (why, count) in usage.evicted() {
                let labels = [name.clone(), text(why.as_str())];
                self.count(spec::EVICTIONS.series(labels), count);
            }
            let labels = [name, MEMORY];
            self.set(spec::ENTRIES.series(labels.clone()), float(usage.entries()));
            self.set(spec::BYTES.series(labels), float(usage.bytes()));
        }
    }

    /// The counts of requests, and the looks into memory that they tell of.
    fn write_requests(&mut self, cache: &Cache, name: &SharedString) {
        let text = SharedString::const_str;
        let counts = cache.counts();
        let lookups = looks_into_memory(cache, &counts);
        for counted in counts {
            let (outcome, reason) = (counted.outcome, counted.reason);
            let labels = [
                name.clone(),
                counted.route.into(),
                text(outcome.as_str()),
                text(reason.as_str()),
            ];
            self.count(spec::REQUESTS.series(labels), counted.count);
        }
        for (reason, count) in lookups {
            let outcome = text(memory_outcome(reason));
            let labels = [name.clone(), MEMORY, outcome, text(reason.as_str())];
            self.count(spec::LOOKUPS.series(labels), count);
        }
    }

    fn write_registry(&mut self, caches: &Caches) {
        let text = SharedString::const_str;
        for (kind, outcome, count) in caches.shared.metrics.invalidations.counts() {
            let labels = [text(kind.as_str()), text(outcome)];
            self.count(spec::INVALIDATIONS.series(labels), count);
        }
        let status = caches.log_status();
        let lag = status.map_or(0.0, |status| status.lag.as_secs_f64());
        self.set(spec::LOG_LAG.series([]), lag);
        let owed = status.map_or(0, |status| status.owed);
        self.set(spec::LOG_QUEUE.series([]), float(owed as u64));
        #[cfg(feature = "redis")]
        self.write_breaker(caches);
    }

    #[cfg(feature = "redis")]
    fn write_breaker(&mut self, caches: &Caches) {
        use pitlane_core::BreakerState;
        use pitlane_redis::Side;

        let Some(redis) = caches.redis() else {
            return;
        };
        for side in [Side::Read, Side::Write] {
            let state = match redis.state(side) {
                BreakerState::Closed => 0.0,
                BreakerState::HalfOpen => 1.0,
                BreakerState::Open => 2.0,
            };
            let labels = [SharedString::const_str(side.as_str())];
            self.set(spec::BREAKER_STATE.series(labels), state);
        }
    }
}

/// Looks into memory, by what they came to.
#[cfg(feature = "stats")]
pub(crate) fn memory_lookups(cache: &Cache) -> HashMap<Reason, u64> {
    looks_into_memory(cache, &cache.counts())
}

/// A hit is counted with its request alone; what else a look can come to, on its own.
fn looks_into_memory(cache: &Cache, counts: &[Count]) -> HashMap<Reason, u64> {
    let mut lookups: HashMap<Reason, u64> = cache.stats().extras.lookups().collect();
    let tell = counts
        .iter()
        .filter(|counted| tells_of_a_look(counted.outcome, counted.reason));
    for counted in tell {
        *lookups.entry(counted.reason).or_default() += counted.count;
    }
    lookups
}

/// Whether a request's count is all that tells of its look into memory. (A fresh answer of
/// another tier has a reason of its own.)
const fn tells_of_a_look(outcome: Outcome, reason: Reason) -> bool {
    matches!(
        (outcome, reason),
        (Outcome::Hit, Reason::Fresh)
            | (Outcome::Stale, Reason::StaleWhileRevalidate)
            | (Outcome::Bypass, Reason::Unconfirmed)
    )
}

/// What a look into memory came to.
pub(crate) const fn memory_outcome(reason: Reason) -> &'static str {
    match reason {
        Reason::Fresh | Reason::StaleWhileRevalidate | Reason::MaxStale => "hit",
        Reason::UriMiss | Reason::VaryMiss => "miss",
        Reason::Unconfirmed => "error",
        _ => "unusable",
    }
}

/// What a look into Redis came to.
pub(crate) const fn remote_outcome(lookup: RemoteLookup) -> &'static str {
    match lookup {
        RemoteLookup::Hit => "hit",
        RemoteLookup::Miss => "miss",
        RemoteLookup::Unusable | RemoteLookup::Corrupt => "unusable",
        RemoteLookup::Failed | RemoteLookup::Skipped => "error",
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "gauges are floats; nothing here reaches 2^53"
)]
const fn float(number: u64) -> f64 {
    number as f64
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").finish_non_exhaustive()
    }
}
