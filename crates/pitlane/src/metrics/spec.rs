use metrics::{Key, KeyName, Label, Level, Metadata, SharedString, Unit};

/// What every metric of this crate is registered under.
pub(crate) const METADATA: Metadata<'static> =
    Metadata::new("pitlane", Level::INFO, Some("pitlane"));

/// One metric: its name is a promise to dashboards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) unit: Unit,
    pub(crate) labels: &'static [&'static str],
    /// One sentence.
    pub(crate) help: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Metric {
    const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        let (kind, unit) = (Kind::Counter, Unit::Count);
        Self {
            name,
            kind,
            unit,
            labels,
            help,
        }
    }

    const fn gauge(
        name: &'static str,
        unit: Unit,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        let kind = Kind::Gauge;
        Self {
            name,
            kind,
            unit,
            labels,
            help,
        }
    }

    const fn seconds(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        let (kind, unit) = (Kind::Histogram, Unit::Seconds);
        Self {
            name,
            kind,
            unit,
            labels,
            help,
        }
    }

    /// The series with these values of its labels, in their order.
    pub(crate) fn series<const N: usize>(&self, values: [SharedString; N]) -> Key {
        debug_assert_eq!(self.labels.len(), N, "{}", self.name);
        let labels = self.labels.iter().zip(values);
        let labels: Vec<Label> = labels.map(|(key, value)| Label::new(*key, value)).collect();
        Key::from_parts(self.name, labels)
    }
}

pub(crate) const REQUESTS: Metric = Metric::counter(
    "pitlane_requests_total",
    &["cache", "route", "outcome", "reason"],
    "Requests that came to a cache layer, each once.",
);
pub(crate) const LOOKUPS: Metric = Metric::counter(
    "pitlane_lookups_total",
    &["cache", "tier", "outcome", "reason"],
    "Looks into one tier of a cache.",
);
pub(crate) const FILLS: Metric = Metric::counter(
    "pitlane_fills_total",
    &["cache", "outcome"],
    "Computations of something that might be stored, by how they ended.",
);
pub(crate) const FILL_SECONDS: Metric = Metric::seconds(
    "pitlane_fill_seconds",
    &["cache", "outcome"],
    "How long computations took, until the answer was stored or known not to be.",
);
pub(crate) const BREAKER_STATE: Metric = Metric::gauge(
    "pitlane_breaker_state",
    Unit::Count,
    &["side"],
    "The circuit to Redis: 0 closed, 1 half-open, 2 open.",
);
pub(crate) const INVALIDATIONS: Metric = Metric::counter(
    "pitlane_invalidations_total",
    &["kind", "outcome"],
    "Things that were invalidated by this node, each name once.",
);
pub(crate) const LOG_LAG: Metric = Metric::gauge(
    "pitlane_log_lag_seconds",
    Unit::Seconds,
    &[],
    "How long ago this node last knew that it had read all of the invalidation log; 0 without Redis.",
);
pub(crate) const LOG_QUEUE: Metric = Metric::gauge(
    "pitlane_log_queue",
    Unit::Count,
    &[],
    "Invalidations that hold on this node and are still owed to the others; 0 without Redis.",
);
pub(crate) const ENTRIES: Metric = Metric::gauge(
    "pitlane_entries",
    Unit::Count,
    &["cache", "tier"],
    "Entries that a tier holds for a cache, and markers that lead to them.",
);
pub(crate) const BYTES: Metric = Metric::gauge(
    "pitlane_bytes",
    Unit::Bytes,
    &["cache", "tier"],
    "What they weigh.",
);
pub(crate) const EVICTIONS: Metric = Metric::counter(
    "pitlane_evictions_total",
    &["cache", "reason"],
    "Entries and markers that were pushed out of memory.",
);
pub(crate) const REVALIDATIONS: Metric = Metric::counter(
    "pitlane_revalidations_total",
    &["cache", "reason"],
    "Questions to the inner service whether what is stored is still right, by why they were asked.",
);
pub(crate) const ERRORS: Metric = Metric::counter(
    "pitlane_errors_total",
    &["cache", "reason"],
    "What went wrong within the cache, and cost no request its answer.",
);
pub(crate) const HTTP_SECONDS: Metric = Metric::seconds(
    "http_server_request_duration_seconds",
    &["method", "route", "status", "outcome"],
    "How long requests took, from their arrival to the end of the response's body.",
);

/// All metrics of this crate; `pitlane_remote_seconds` is the Redis client's own.
pub(crate) const ALL: [Metric; 14] = [
    REQUESTS,
    LOOKUPS,
    FILLS,
    FILL_SECONDS,
    BREAKER_STATE,
    INVALIDATIONS,
    LOG_LAG,
    LOG_QUEUE,
    ENTRIES,
    BYTES,
    EVICTIONS,
    REVALIDATIONS,
    ERRORS,
    HTTP_SECONDS,
];

/// Tells the recorder in place what the metrics mean.
pub(crate) fn describe(metrics: &[Metric]) {
    metrics::with_recorder(|recorder| {
        for metric in metrics {
            let (name, help) = (
                KeyName::from_const_str(metric.name),
                SharedString::const_str(metric.help),
            );
            match metric.kind {
                Kind::Counter => recorder.describe_counter(name, Some(metric.unit), help),
                Kind::Gauge => recorder.describe_gauge(name, Some(metric.unit), help),
                Kind::Histogram => recorder.describe_histogram(name, Some(metric.unit), help),
            }
        }
    });
}
