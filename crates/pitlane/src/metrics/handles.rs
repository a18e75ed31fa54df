use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    ptr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use metrics::{Histogram, Key};

use super::spec::{METADATA, Metric, describe};

/// Which recorder is in place. Handles lead to the one they were made by, and one that was made
/// before a recorder was installed leads nowhere, for ever: so they are made anew for each.
pub(crate) fn recorder() -> usize {
    metrics::with_recorder(|recorder| ptr::from_ref(recorder).cast::<()>().addr())
}

pub(crate) fn histogram(series: &Key) -> Histogram {
    metrics::with_recorder(|recorder| recorder.register_histogram(series, &METADATA))
}

/// One metric's histograms, each made once for a recorder.
pub(crate) struct Histograms<K> {
    metric: Metric,
    made: Mutex<Made<K>>,
}

struct Made<K> {
    recorder: Option<usize>,
    handles: HashMap<K, Histogram>,
}

impl<K: Copy + Eq + Hash> Histograms<K> {
    pub(crate) fn new(metric: Metric) -> Self {
        Self {
            metric,
            made: Mutex::new(Made {
                recorder: None,
                handles: HashMap::new(),
            }),
        }
    }

    /// Records in the series of `key`, which is named by `name` when it is first used.
    pub(crate) fn record(&self, key: K, took: Duration, name: impl FnOnce(&Metric) -> Key) {
        let recorder = recorder();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.recorder != Some(recorder) {
            describe(&[self.metric]);
            made.recorder = Some(recorder);
            made.handles.clear();
        }
        let handle = made
            .handles
            .entry(key)
            .or_insert_with(|| histogram(&name(&self.metric)))
            .clone();
        drop(made);
        handle.record(took);
    }
}

impl<K> fmt::Debug for Histograms<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histograms")
            .field("metric", &self.metric.name)
            .finish_non_exhaustive()
    }
}
