//! Requests that only ask why are no requests to those who measure.

use pitlane::explain::Asking;

use crate::{
    book::Book,
    drive::{app, bench, get, send},
};

#[tokio::test]
async fn a_question_is_measured_and_counted_by_nobody() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let bench = bench();
    let app = app(&bench);
    for path in ["/page", "/page?no-store", "/fail"] {
        let (request, asked) = Asking::mark(get(path)).unwrap();
        send(&app, request).await;
        assert_eq!(asked.explanations().len(), 1);
    }
    bench.caches.record_metrics();
    assert!(
        book.measured("http_server_request_duration_seconds")
            .is_empty()
    );
    assert!(book.measured("pitlane_fill_seconds").is_empty());
    for counter in [
        "pitlane_requests_total",
        "pitlane_lookups_total",
        "pitlane_fills_total",
    ] {
        let counted = book.counted(counter);
        assert!(counted.values().all(|count| *count == 0), "{counted:?}");
    }
    // One that asks for the page itself is the first.
    send(&app, get("/page")).await;
    bench.caches.record_metrics();
    let series = "pitlane_requests_total{cache=default,route=page,outcome=miss,reason=uri-miss}";
    assert_eq!(book.counter(series), 1);
}
