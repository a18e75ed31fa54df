//! Pitlane's own MetricsLayer: outside it measures every request, inside what is computed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use pitlane::MetricsLayer;
use pitlane_testkit::Origin;
use tower::ServiceBuilder;

use crate::support::{BOTH, Site, TEXT, cache, until};

/// How many requests were measured, by their outcome.
#[derive(Clone, Debug, Default)]
struct Measured(Arc<Mutex<BTreeMap<String, usize>>>);

struct Outcome(Measured, String);

impl HistogramFn for Outcome {
    fn record(&self, _: f64) {
        let Self(Measured(all), outcome) = self;
        *all.lock().unwrap().entry(outcome.clone()).or_default() += 1;
    }
}

impl Recorder for Measured {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        if key.name() != "http_server_request_duration_seconds" {
            return Histogram::noop();
        }
        let mut labels = key.labels();
        let outcome = labels.find(|label| label.key() == "outcome").unwrap();
        let outcome = outcome.value().to_owned();
        Histogram::from_arc(Arc::new(Outcome(self.clone(), outcome)))
    }
}

impl Measured {
    async fn becomes(&self, expected: &[(&str, usize)]) {
        let expected = expected.iter();
        let expected: BTreeMap<_, _> = expected
            .map(|(outcome, count)| ((*outcome).to_owned(), *count))
            .collect();
        until("the requests are measured", async || {
            *self.0.lock().unwrap() == expected
        })
        .await;
    }
}

#[tokio::test]
async fn outside_every_request_is_measured_by_its_outcome() {
    for protocol in BOTH {
        let measured = Measured::default();
        let _here = metrics::set_default_local_recorder(&measured);
        let stack = ServiceBuilder::new()
            .layer(MetricsLayer::new())
            .layer(cache())
            .service(Origin::counting(TEXT));
        let site = Site::start(protocol, stack).await;
        for _ in 0..3 {
            site.get("/", &[]).await;
        }
        site.get("/", &[("cookie", "session=1")]).await;
        measured
            .becomes(&[("miss", 1), ("hit", 2), ("bypass", 1)])
            .await;
    }
}

#[tokio::test]
async fn inside_what_is_computed_is_measured_without_an_outcome() {
    for protocol in BOTH {
        let measured = Measured::default();
        let _here = metrics::set_default_local_recorder(&measured);
        let stack = ServiceBuilder::new()
            .layer(cache())
            .layer(MetricsLayer::new())
            .service(Origin::counting(TEXT));
        let site = Site::start(protocol, stack).await;
        for _ in 0..3 {
            site.get("/", &[]).await;
        }
        site.get("/", &[("cookie", "session=1")]).await;
        measured.becomes(&[("none", 2)]).await;
    }
}
