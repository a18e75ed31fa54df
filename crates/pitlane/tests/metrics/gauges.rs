//! What the memory tier holds, what it lets go, and what finds no room elsewhere.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use metrics::Unit;
use pitlane::{Caches, Key, ResponseCacheLayer};
use tower::{Layer, service_fn};

use crate::{
    book::Book,
    drive::{Asked, SECOND, app, bench, get, measured, send, site},
};

const MINUTE: Duration = Duration::from_secs(60);

async fn store(cache: &pitlane::Cache, key: Key, size: usize) {
    let pitlane::Claim::Fill(fill) = cache.claim(&key).await else {
        panic!("{key:?} is there already");
    };
    fill.store(Bytes::from(vec![7; size]), MINUTE);
}

#[tokio::test]
async fn caches_that_share_a_tier_show_what_each_has_in_it() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let caches = Caches::builder()
        .cache("big")
        .cache("small")
        .build()
        .unwrap();
    let [big, small] = ["big", "small"].map(|name| caches.get(name).unwrap());
    for number in 0..3 {
        store(&big, Key::new("big").child(number), 10_000).await;
    }
    store(&small, Key::new("small"), 100).await;
    caches.record_metrics();

    let gauge = |metric: &str, cache: &str| {
        let series = format!("{metric}{{cache={cache},tier=memory}}");
        book.gauge(&series).unwrap()
    };
    assert_eq!(gauge("pitlane_entries", "big"), 3.0);
    assert_eq!(gauge("pitlane_entries", "small"), 1.0);
    let (in_big, in_small) = (
        gauge("pitlane_bytes", "big"),
        gauge("pitlane_bytes", "small"),
    );
    assert!(in_big > 30_000.0 && in_small > 100.0 && in_small < 1_000.0);
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let whole = big.memory().bytes as f64;
    assert_eq!(in_big + in_small, whole);
    assert_eq!(book.unit("pitlane_bytes"), Some(Unit::Bytes));
}

#[tokio::test]
async fn what_is_replaced_is_not_counted_twice_and_no_eviction() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let bench = bench();
    let app = app(&bench);
    for _ in 0..5 {
        send(&app, get("/page")).await;
        bench.clock.advance(70 * SECOND);
    }
    bench.caches.record_metrics();
    let entries = book.gauge("pitlane_entries{cache=default,tier=memory}");
    assert_eq!(entries, Some(1.0));
    assert_eq!(book.counted("pitlane_evictions_total").len(), 0);
}

#[tokio::test]
async fn what_is_pushed_out_is_counted_and_the_gauges_stay_true() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let caches = Caches::builder()
        .memory(1 << 20)
        .max_body(64 << 10)
        .build()
        .unwrap();
    let cache = caches.get("default").unwrap();
    for number in 0..1000 {
        store(&cache, Key::new("page").child(number), 10_000).await;
    }
    caches.record_metrics();
    let entries = book
        .gauge("pitlane_entries{cache=default,tier=memory}")
        .unwrap();
    let bytes = book
        .gauge("pitlane_bytes{cache=default,tier=memory}")
        .unwrap();
    let evicted = book.counter("pitlane_evictions_total{cache=default,reason=capacity}");
    let there = cache.memory();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let (held, weight, evicted) = (there.entries as f64, there.bytes as f64, evicted as f64);
    assert_eq!((entries, bytes), (held, weight));
    assert_eq!(entries + evicted, 1000.0);
}

#[tokio::test]
async fn what_is_too_large_for_the_tier_never_enters_and_is_counted() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let builder = Caches::builder().memory(1 << 20);
    let caches = builder.max_body(64 << 10).build().unwrap();
    let cache = caches.get("default").unwrap();
    store(&cache, Key::new("huge"), 2 << 20).await;
    caches.record_metrics();
    let series = "pitlane_evictions_total{cache=default,reason=too-large}";
    assert_eq!(
        book.counted("pitlane_evictions_total"),
        [(series.to_owned(), 1)].into()
    );
    for metric in ["pitlane_entries", "pitlane_bytes"] {
        let held = book.gauge(&format!("{metric}{{cache=default,tier=memory}}"));
        assert_eq!(held, Some(0.0), "{metric}");
    }
}

/// 256 refreshes may run at once. Whoever comes behind them gets the stale page all the same.
#[tokio::test]
async fn a_refresh_that_there_is_no_room_for_is_an_error_that_costs_nobody_an_answer() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let bench = bench();
    let fresh = Arc::new(AtomicBool::new(true));
    let answers = Arc::clone(&fresh);
    let slow = service_fn(move |request: Asked| {
        let answers = answers.load(Ordering::SeqCst);
        async move {
            if !answers {
                std::future::pending::<()>().await;
            }
            site(request).await
        }
    });
    let app = measured().layer(ResponseCacheLayer::new(&bench.cache).layer(slow));
    let page = |number: usize| get(&format!("/{number}?max-age=60,stale-while-revalidate=60"));
    for number in 0..300 {
        send(&app, page(number)).await;
    }
    fresh.store(false, Ordering::SeqCst);
    bench.clock.advance(70 * SECOND);
    for number in 0..300 {
        send(&app, page(number)).await;
    }
    bench.caches.record_metrics();
    let stale = "pitlane_requests_total{cache=default,route=unmatched,outcome=stale,\
                 reason=stale-while-revalidate}";
    assert_eq!(book.counter(stale), 300);
    let full = "pitlane_errors_total{cache=default,reason=background-full}";
    assert_eq!(book.counter(full), 300 - 256);
}
