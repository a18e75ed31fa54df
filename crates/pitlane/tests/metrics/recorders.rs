//! Recorders that come late, and registries that share one.

use crate::{
    book::Book,
    drive::{app, bench, get, measured, send, site},
};
use tower::{Layer, service_fn};

const HITS: &str = "pitlane_requests_total{cache=default,route=page,outcome=hit,reason=fresh}";

#[tokio::test]
async fn two_registries_add_up_and_nothing_is_told_twice() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let (one, two) = (bench(), bench());
    for bench in [&one, &two] {
        let app = app(bench);
        for _ in 0..4 {
            send(&app, get("/page")).await;
        }
    }
    for _ in 0..3 {
        one.caches.record_metrics();
        two.caches.clone().record_metrics();
    }
    assert_eq!(book.counter(HITS), 6);
    send(&app(&one), get("/page")).await;
    one.caches.record_metrics();
    assert_eq!(book.counter(HITS), 7);
}

#[tokio::test]
async fn a_recorder_that_is_installed_late_is_told_of_everything_counted_before() {
    let bench = bench();
    let app = app(&bench);
    for _ in 0..3 {
        send(&app, get("/page")).await;
    }
    // To nobody.
    bench.caches.record_metrics();
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    bench.caches.record_metrics();
    assert_eq!(book.counter(HITS), 2);
    // What is measured begins with the recorder, and the handles of before are not kept.
    assert_eq!(
        book.measured("http_server_request_duration_seconds").len(),
        0
    );
    send(&app, get("/page")).await;
    let measured = book.measured("http_server_request_duration_seconds");
    assert_eq!(measured.into_values().sum::<usize>(), 1);
}

#[tokio::test]
async fn two_recorders_are_each_told_everything_once() {
    let bench = bench();
    let app = app(&bench);
    let books = [Book::default(), Book::default()];
    for round in 1..4 {
        send(&app, get("/page")).await;
        for book in &books {
            metrics::with_local_recorder(book, || bench.caches.record_metrics());
            assert_eq!(book.counter(HITS), round - 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_layer_keeps_the_recorder_up_to_date_until_the_registry_is_gone() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let bench = bench();
    let layer = measured().caches(&bench.caches);
    let cached = pitlane::ResponseCacheLayer::new(&bench.cache).route_label(|_| Some("page"));
    let site = layer.layer(cached.layer(service_fn(site)));
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    for _ in 0..3 {
        send(&site, get("/page")).await;
    }
    // However many services and requests there are.
    send(&site.clone(), get("/page")).await;
    send(&layer.layer(service_fn(crate::drive::site)), get("/page")).await;
    assert_eq!(tasks(), 1);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(book.counter(HITS), 3);
    drop((bench, layer, cached, site));
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(tasks(), 0);
}
