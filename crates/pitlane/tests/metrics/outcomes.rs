//! What a cache layer did, told to the layer around it, and counted.

use std::{convert::Infallible, future::ready, sync::Arc, task::Poll};

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::Full;
use pitlane::{MetricsLayer, ResponseCacheLayer};
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    book::Book,
    drive::{Asked, SECOND, app, bench, get, measured, request, send, site, until},
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

#[cfg(feature = "audit")]
#[tokio::test]
async fn what_an_audit_has_another_cache_do_is_no_outcome_of_the_request_that_was_answered() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let (outer, inside) = (bench(), bench());
    let audit = pitlane::audit::Audit::one_in(1);
    let audited = ResponseCacheLayer::new(&outer.cache).audit(audit);
    let inner = ResponseCacheLayer::new(&inside.cache).layer(service_fn(site));
    let app = measured().layer(audited.layer(inner));

    send(&app, get("/page")).await;
    // What the outer cache has, the inner one has no more.
    inside.clock.advance(100 * SECOND);
    let answer = app.clone().oneshot(get("/page")).await.unwrap();
    until("the audit is done", || {
        outer.cache.audit_report().same == 1 && outer.caches.background() == 0
    })
    .await;
    drop(answer);

    let hits = format!("{SECONDS}{{method=GET,route=page,status=200,outcome=hit}}");
    assert_eq!(book.samples(&hits).len(), 1, "{:?}", book.measured(SECONDS));
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

/// Cache-Status can come from anybody, and so could any header.
#[tokio::test]
async fn an_outcome_is_what_the_layer_within_says_and_never_a_header() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let liar = service_fn(|_: Asked| {
        let answer = Response::builder().header("cache-status", "pitlane; hit");
        ready(Ok::<_, Infallible>(
            answer.body(Full::<Bytes>::default()).unwrap(),
        ))
    });
    send(&measured().layer(liar), get("/page")).await;
    let none = format!("{SECONDS}{{method=GET,route=page,status=200,outcome=none}}");
    assert_eq!(book.measured(SECONDS), [(none, 1)].into());
}

#[tokio::test]
async fn layers_around_one_another_and_stacked_caches_tell_of_the_outermost_cache_that_took_part() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let (outer, inner) = (bench(), bench());
    let cached = |bench: &crate::drive::Bench| ResponseCacheLayer::new(&bench.cache);
    let stack = cached(&outer).layer(cached(&inner).layer(service_fn(site)));
    let app = MetricsLayer::new().layer(measured().layer(stack));
    let series = |route: &str, outcome: &str| {
        format!("{SECONDS}{{method=GET,route={route},status=200,outcome={outcome}}}")
    };
    // A miss of the outer one is a miss, whatever the inner one has.
    send(&cached(&inner).layer(service_fn(site)), get("/page")).await;
    send(&app, get("/page")).await;
    for route in ["page", "unmatched"] {
        assert_eq!(book.samples(&series(route, "miss")).len(), 1, "{route}");
    }
    // What the outer one leaves alone, the inner one answers.
    let bypassing = cached(&outer)
        .enabled(false)
        .layer(cached(&inner).layer(service_fn(site)));
    send(&measured().layer(bypassing), get("/page")).await;
    assert_eq!(book.samples(&series("page", "hit")).len(), 1);
}

/// A stale answer goes out while a refresh runs for nobody: what a cache within says of that is not
/// the outcome of the request.
#[tokio::test]
async fn a_refresh_in_the_background_is_nobodys_outcome() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let (outer, inner) = (bench(), bench());
    let cached = |bench: &crate::drive::Bench| ResponseCacheLayer::new(&bench.cache);
    let stack = cached(&outer).layer(cached(&inner).layer(service_fn(site)));
    let app = measured().layer(stack);
    let page = "/page?max-age=60,stale-while-revalidate=60";
    send(&app, get(page)).await;
    outer.clock.advance(70 * SECOND);
    let answer = app.clone().oneshot(get(page)).await.unwrap();
    let refreshed = outer.caches.clone();
    until("the refresh has begun", || inner.cache.counts().len() > 1).await;
    until("the refresh has ended", || refreshed.background() == 0).await;
    drop(answer);
    let stale = format!("{SECONDS}{{method=GET,route=page,status=200,outcome=stale}}");
    assert_eq!(
        book.samples(&stale).len(),
        1,
        "{:?}",
        book.measured(SECONDS)
    );
}

#[tokio::test]
async fn those_who_wait_for_one_computation_are_collapsed() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let bench = bench();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let slow = service_fn(move |request: Asked| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            site(request).await
        }
    });
    let app = measured().layer(ResponseCacheLayer::new(&bench.cache).layer(slow));
    let requests = (0..5).map(|_| send(&app, get("/page")));
    all_at_once(requests, || opened.add_permits(1)).await;
    let measured = book.measured(SECONDS);
    let of = |outcome: &str| {
        measured[&format!("{SECONDS}{{method=GET,route=page,status=200,outcome={outcome}}}")]
    };
    assert_eq!((of("miss"), of("collapsed")), (1, 4));
}

/// Runs all on this thread, which has the recorder. Once each waits, `then` is done.
async fn all_at_once<F: Future>(futures: impl Iterator<Item = F>, then: impl FnOnce()) {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut then = Some(then);
    std::future::poll_fn(|cx| {
        futures.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if let Some(then) = then.take() {
            assert_eq!(futures.len(), 5, "they all wait");
            then();
        }
        if futures.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
