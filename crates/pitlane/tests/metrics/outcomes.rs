//! What a cache layer did, told to the layer around it, and counted.

use http::Method;

use crate::{
    book::Book,
    drive::{SECOND, app, bench, get, request, send},
};

const SECONDS: &str = "http_server_request_duration_seconds";

#[tokio::test]
async fn every_outcome_of_the_cache_reaches_the_measured_request() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let bench = bench();
    let app = app(&bench);

    send(&app, get("/page?max-age=60,stale-while-revalidate=60")).await;
    send(&app, get("/page?max-age=60,stale-while-revalidate=60")).await;
    bench.clock.advance(70 * SECOND);
    send(&app, get("/page?max-age=60,stale-while-revalidate=60")).await;
    send(&app, request(Method::POST, "/page", &[])).await;
    send(&app, get("/fail")).await;

    let expected = [
        ("GET", "page", 200, "miss"),
        ("GET", "page", 200, "hit"),
        ("GET", "page", 200, "stale"),
        ("POST", "page", 200, "bypass"),
        ("GET", "fail", 500, "miss"),
    ];
    for (method, route, status, outcome) in expected {
        let labels = format!("method={method},route={route},status={status},outcome={outcome}");
        let samples = book.samples(&format!("{SECONDS}{{{labels}}}"));
        assert_eq!(samples.len(), 1, "{labels}: {:?}", book.measured(SECONDS));
        assert!(
            samples[0] >= 0.0 && samples[0] < 60.0,
            "{labels}: {samples:?}"
        );
    }
    assert_eq!(book.measured(SECONDS).len(), expected.len());
}

#[tokio::test]
async fn requests_and_looks_are_counted_with_their_reasons() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let bench = bench();
    let app = app(&bench);

    for _ in 0..3 {
        send(&app, get("/page")).await;
    }
    send(&app, get("/none?no-store")).await;
    send(&app, get("/none?no-store")).await;
    bench.clock.advance(70 * SECOND);
    send(&app, get("/page")).await;
    bench.caches.record_metrics();

    let check = |name: &str, expected: &[(&str, u64)]| {
        let expected = expected.iter();
        let expected = expected.map(|(labels, count)| (format!("{name}{{{labels}}}"), *count));
        assert_eq!(book.counted(name), expected.collect());
    };
    check(
        "pitlane_requests_total",
        &[
            ("cache=default,route=page,outcome=hit,reason=fresh", 2),
            ("cache=default,route=page,outcome=miss,reason=uri-miss", 1),
            ("cache=default,route=page,outcome=miss,reason=expired", 1),
            ("cache=default,route=none,outcome=miss,reason=no-store", 2),
        ],
    );
    check(
        "pitlane_lookups_total",
        &[
            ("cache=default,tier=memory,outcome=hit,reason=fresh", 2),
            ("cache=default,tier=memory,outcome=miss,reason=uri-miss", 2),
            (
                "cache=default,tier=memory,outcome=unusable,reason=expired",
                1,
            ),
            (
                "cache=default,tier=memory,outcome=unusable,reason=hit-for-miss",
                1,
            ),
        ],
    );
    check(
        "pitlane_fills_total",
        &[
            ("cache=default,outcome=stored", 2),
            ("cache=default,outcome=uncacheable", 2),
        ],
    );
    let durations = book.measured("pitlane_fill_seconds");
    let stored = &durations["pitlane_fill_seconds{cache=default,outcome=stored}"];
    assert_eq!((durations.len(), *stored), (2, 2));
}
