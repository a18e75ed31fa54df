use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use foldhash::fast::RandomState;
use http::{Method, StatusCode, request::Parts};
use metrics::{Histogram, SharedString};
use pitlane_core::Outcome;

use super::{
    Told,
    handles::{histogram, recorder},
    keeper::keep_up,
    spec::{HTTP_SECONDS, describe},
    stopwatch::Stopwatch,
};
use crate::{
    cache::Caches,
    response::LabelOf,
    stats::{Routes, SHARDS, UNMATCHED, thread_number},
};

/// The methods that have a label of their own.
pub(crate) const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY",
];
/// The label of all other methods.
pub(crate) const OTHER_METHOD: &str = "_OTHER";
/// The labels of requests without a status.
pub(crate) const ERROR: &str = "error";
pub(crate) const DROPPED: &str = "dropped";
/// The label of requests that no cache layer has seen.
pub(crate) const NO_OUTCOME: &str = "none";

/// What all services of one layer share.
///
/// Each thread keeps handles of its own, so that none waits for another's.
pub(crate) struct Measure {
    label: Option<LabelOf>,
    caches: Option<Caches>,
    routes: Routes,
    shards: Box<[Shard]>,
}

#[repr(align(128))]
#[derive(Default)]
struct Shard(Mutex<Made>);

/// The histograms that one thread has used, of one recorder.
#[derive(Default)]
struct Made {
    recorder: Option<usize>,
    handles: HashMap<Series, Histogram, RandomState>,
    routes: HashMap<Box<str>, u16, RandomState>,
}

/// What tells one series from another: small enough to be made for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Series {
    method: u8,
    /// `None` for those beyond the bound.
    route: Option<u16>,
    status: Status,
    outcome: Option<Outcome>,
}

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Status {
    Answered(StatusCode),
    Error,
    Dropped,
}

/// One request, which is recorded when this is dropped.
#[derive(Debug)]
pub(crate) struct Measuring {
    measure: Arc<Measure>,
    told: Told,
    method: u8,
    route: Option<u16>,
    status: Status,
    began: Stopwatch,
}

impl Measure {
    pub(super) fn new(label: Option<LabelOf>, caches: Option<Caches>) -> Self {
        Self {
            label,
            caches,
            routes: Routes::default(),
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
        }
    }

    pub(super) const fn label(&self) -> Option<&LabelOf> {
        self.label.as_ref()
    }

    pub(super) const fn caches(&self) -> Option<&Caches> {
        self.caches.as_ref()
    }

    /// Begins to measure a request, and asks the cache layers within how they answer it.
    pub(super) fn begin(this: &Arc<Self>, parts: &mut Parts) -> Measuring {
        if let Some(caches) = &this.caches {
            keep_up(caches);
        }
        // Before anything else is done for the request.
        let began = Stopwatch::start();
        let label = this.label.as_ref().and_then(|label| label(parts));
        let route = this.route(label.unwrap_or(UNMATCHED));
        // Another layer around this one may be asking already.
        let told = parts.extensions.get_or_insert_with(Told::nothing).clone();
        Measuring {
            measure: Arc::clone(this),
            told,
            method: number_of(&parts.method),
            route,
            status: Status::Dropped,
            began,
        }
    }

    fn route(&self, label: &str) -> Option<u16> {
        let mut made = self.shard().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = made.routes.get(label) {
            return Some(*number);
        }
        let number = self.routes.number(label)?;
        made.routes.insert(label.into(), number);
        Some(number)
    }

    fn record(&self, series: Series, began: Stopwatch) {
        let recorder = recorder();
        let mut made = self.shard().lock().unwrap_or_else(PoisonError::into_inner);
        if made.recorder != Some(recorder) {
            describe(&[HTTP_SECONDS]);
            made.recorder = Some(recorder);
            made.handles.clear();
        }
        let handle = made
            .handles
            .entry(series)
            .or_insert_with(|| self.histogram(series));
        handle.record(began.elapsed());
    }

    #[cold]
    fn histogram(&self, series: Series) -> Histogram {
        let method = METHODS.get(usize::from(series.method));
        let status = match series.status {
            Status::Answered(status) => status.as_str().to_owned().into(),
            Status::Error => SharedString::const_str(ERROR),
            Status::Dropped => SharedString::const_str(DROPPED),
        };
        let outcome = series.outcome.map_or(NO_OUTCOME, Outcome::as_str);
        histogram(&HTTP_SECONDS.series([
            SharedString::const_str(method.copied().unwrap_or(OTHER_METHOD)),
            self.routes.label(series.route).into(),
            status,
            SharedString::const_str(outcome),
        ]))
    }

    fn shard(&self) -> &Mutex<Made> {
        #[expect(clippy::indexing_slicing, reason = "the mask keeps it within bounds")]
        &self.shards[thread_number() & (SHARDS - 1)].0
    }
}

impl Measuring {
    pub(super) const fn answered(&mut self, status: Status) {
        self.status = status;
    }
}

impl Drop for Measuring {
    fn drop(&mut self) {
        let series = Series {
            method: self.method,
            route: self.route,
            status: self.status,
            outcome: self.told.outcome(),
        };
        self.measure.record(series, self.began);
    }
}

/// A method's place among [`METHODS`], or behind them.
fn number_of(method: &Method) -> u8 {
    let place = METHODS.iter().position(|known| *known == method.as_str());
    place
        .and_then(|place| u8::try_from(place).ok())
        .unwrap_or(u8::MAX)
}

impl fmt::Debug for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measure")
            .field("caches", &self.caches)
            .finish_non_exhaustive()
    }
}
