//! Requests that try to make labels of what they send, and many at once.

use std::collections::BTreeSet;

use http::Method;
use pitlane::{AnonymousCacheLayer, MetricsLayer};
use tower::{Layer, service_fn};

use crate::{
    book::Book,
    drive::{app, bench, get, measured, request, send, site},
};

const REQUESTS: usize = 100_000;

#[tokio::test]
async fn labels_stay_within_fixed_sets_whatever_is_requested() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let bench = bench();
    let cached = AnonymousCacheLayer::new(&bench.cache);
    let app = MetricsLayer::new().layer(cached.layer(service_fn(site)));
    for number in 0..REQUESTS {
        let method: Method = match number % 4 {
            0 => format!("M{number}").parse().unwrap(),
            1 => Method::POST,
            _ => Method::GET,
        };
        let path = format!("/{number}/pitlane?{number}");
        let cookie = number.to_string();
        let status = (number % 3 == 0).then_some(("cookie", cookie.as_str()));
        send(&app, request(method, &path, status.as_slice())).await;
        if number == REQUESTS / 10 {
            bench.caches.record_metrics();
        }
    }
    let early = book.series();
    bench.caches.record_metrics();
    assert_eq!(book.series(), early, "all that can be said was said early");
    let methods: BTreeSet<String> = early
        .iter()
        .filter_map(|series| {
            Some(
                series
                    .split_once("method=")?
                    .1
                    .split(',')
                    .next()?
                    .to_owned(),
            )
        })
        .collect();
    assert_eq!(methods, ["GET", "POST", "_OTHER"].map(str::to_owned).into());
    assert!(!early.iter().any(|series| series.contains("site.test")));
    let counted = book.counted("pitlane_requests_total");
    assert_eq!(counted.into_values().sum::<u64>(), REQUESTS as u64);
}

#[tokio::test]
async fn routes_that_are_paths_after_all_are_bounded() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let bench = bench();
    let app = app(&bench);
    for number in 0..2_000 {
        send(&app, get(&format!("/{number}"))).await;
    }
    bench.caches.record_metrics();
    for name in [
        "pitlane_requests_total",
        "http_server_request_duration_seconds",
    ] {
        let series = book.series();
        let of_metric = series.iter().filter(|series| series.starts_with(name));
        assert_eq!(of_metric.count(), 513, "{name}");
        assert!(series.iter().any(|series| series.contains("route=other")));
    }
}

/// Threads see no local recorder: what they measured is nobody's, and what they counted is told
/// here.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_counts_of_a_storm_add_up_to_the_requests() {
    let bench = bench();
    let layer = measured();
    let cached = pitlane::ResponseCacheLayer::new(&bench.cache);
    let app = layer.layer(cached.layer(service_fn(site)));
    let mut storm = Vec::new();
    for task in 0..16 {
        let app = app.clone();
        storm.push(tokio::spawn(async move {
            for number in 0..500 {
                let path = match number % 5 {
                    0 => format!("/page/{number}"),
                    1 => format!("/own/{task}/{number}"),
                    2 => "/never?no-store".to_owned(),
                    _ => "/hot".to_owned(),
                };
                send(&app, get(&path)).await;
            }
        }));
    }
    for task in storm {
        task.await.unwrap();
    }
    let book = Book::default();
    metrics::with_local_recorder(&book, || bench.caches.record_metrics());
    let sum = |name| book.counted(name).into_values().sum::<u64>();
    assert_eq!(sum("pitlane_requests_total"), 16 * 500);
    assert_eq!(sum("pitlane_lookups_total"), 16 * 500);
    let hot: u64 = (book.counted("pitlane_lookups_total").into_iter())
        .filter(|(series, _)| series.contains("reason=fresh"))
        .map(|(_, count)| count)
        .sum();
    assert!(hot > 2_000, "{hot}");
}
