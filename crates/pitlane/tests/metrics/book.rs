//! A recorder that tests read like a book. It is installed for one thread, so that no test sees
//! another's numbers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Book(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    described: BTreeMap<String, (Option<Unit>, String)>,
    counters: BTreeMap<String, Arc<Cell>>,
    gauges: BTreeMap<String, Arc<Cell>>,
    histograms: BTreeMap<String, Arc<Samples>>,
}

#[derive(Debug, Default)]
struct Cell(AtomicU64);

#[derive(Debug, Default)]
struct Samples(Mutex<Vec<f64>>);

impl Book {
    pub(crate) fn counter(&self, series: &str) -> u64 {
        let pages = self.0.lock().unwrap();
        let cell = pages.counters.get(series);
        cell.map_or(0, |cell| cell.0.load(Ordering::SeqCst))
    }

    /// The value of a gauge that has one.
    pub(crate) fn gauge(&self, series: &str) -> Option<f64> {
        let pages = self.0.lock().unwrap();
        let cell = pages.gauges.get(series)?;
        Some(f64::from_bits(cell.0.load(Ordering::SeqCst)))
    }

    pub(crate) fn samples(&self, series: &str) -> Vec<f64> {
        let pages = self.0.lock().unwrap();
        let samples = pages.histograms.get(series);
        samples.map_or_else(Vec::new, |samples| samples.0.lock().unwrap().clone())
    }

    /// The counters of a metric that are not zero.
    pub(crate) fn counted(&self, name: &str) -> BTreeMap<String, u64> {
        let pages = self.0.lock().unwrap();
        let all = pages.counters.iter();
        let all = all.map(|(series, cell)| (series.clone(), cell.0.load(Ordering::SeqCst)));
        all.filter(|(series, count)| is_of(series, name) && *count > 0)
            .collect()
    }

    /// How many samples each histogram of a metric has.
    pub(crate) fn measured(&self, name: &str) -> BTreeMap<String, usize> {
        let pages = self.0.lock().unwrap();
        let all = pages.histograms.iter();
        all.filter(|(series, _)| is_of(series, name))
            .map(|(series, samples)| (series.clone(), samples.0.lock().unwrap().len()))
            .collect()
    }

    /// All series, however many values they have.
    pub(crate) fn series(&self) -> BTreeSet<String> {
        let pages = self.0.lock().unwrap();
        let counters = pages.counters.keys().chain(pages.gauges.keys());
        counters.chain(pages.histograms.keys()).cloned().collect()
    }

    pub(crate) fn unit(&self, name: &str) -> Option<Unit> {
        let pages = self.0.lock().unwrap();
        let (unit, help) = pages.described.get(name)?;
        assert!(help.ends_with('.'), "{name}: {help}");
        *unit
    }
}

fn is_of(series: &str, name: &str) -> bool {
    series.split('{').next() == Some(name)
}

fn render(key: &Key) -> String {
    let labels: Vec<String> = key
        .labels()
        .map(|label| format!("{}={}", label.key(), label.value()))
        .collect();
    format!("{}{{{}}}", key.name(), labels.join(","))
}

impl Recorder for Book {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        let described = (unit, help.into_owned());
        let mut pages = self.0.lock().unwrap();
        pages.described.insert(name.as_str().to_owned(), described);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe_counter(name, unit, help);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe_counter(name, unit, help);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let mut pages = self.0.lock().unwrap();
        let cell = pages.counters.entry(render(key)).or_default();
        Counter::from_arc(Arc::clone(cell))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let mut pages = self.0.lock().unwrap();
        let cell = pages.gauges.entry(render(key)).or_default();
        Gauge::from_arc(Arc::clone(cell))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let mut pages = self.0.lock().unwrap();
        let samples = pages.histograms.entry(render(key)).or_default();
        Histogram::from_arc(Arc::clone(samples))
    }
}

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::SeqCst);
    }

    fn absolute(&self, value: u64) {
        self.0.fetch_max(value, Ordering::SeqCst);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, _: f64) {
        unreachable!("gauges are set")
    }

    fn decrement(&self, _: f64) {
        unreachable!("gauges are set")
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::SeqCst);
    }
}

impl HistogramFn for Samples {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}
