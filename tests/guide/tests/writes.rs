//! Writes that have changed something and then fail: what ends the page, in which order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use pitlane::{AnonymousCacheLayer, CacheHint, Caches, InvalidateLayer, testing};
use pitlane_testkit::Origin;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::validate_request::ValidateRequestHeaderLayer;

use crate::support::{BOTH, MINUTE, Site, TEXT, check, within};

fn timeout() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(1))
}

fn pages(caches: &Caches) -> AnonymousCacheLayer {
    AnonymousCacheLayer::new(&caches.get("default").unwrap()).ttl(MINUTE)
}

/// A page that shows a number. A write adds to it, and then hangs or falls over.
fn counter(owes: Option<Caches>, falls_over: bool) -> Origin {
    let number = Arc::new(AtomicUsize::new(0));
    Origin::new(move |request: Request<()>, _| {
        let (number, owes) = (Arc::clone(&number), owes.clone());
        async move {
            if request.method() == Method::POST {
                // Stated before the commit: it holds however this ends.
                let _owed = owes.map(|caches| caches.owe(["number"]));
                number.fetch_add(1, Ordering::SeqCst);
                assert!(!falls_over, "after the commit");
                std::future::pending::<()>().await;
            }
            let mut answer = Origin::reply(TEXT, number.load(Ordering::SeqCst).to_string());
            answer.extensions_mut().insert(CacheHint::tags(["number"]));
            answer
        }
    })
}

async fn check_ended(site: &Site) {
    assert_eq!(site.get("/", &[]).await.text(), "0");
    check(&site.get("/", &[]).await, 200, "pitlane; hit");
    let url = site.server.url("/");
    let written = site.client.ask(Method::POST, &url, &[]);
    let written = within("an answer", written).await;
    assert!(written.status.is_server_error());
    assert_eq!(site.get("/", &[]).await.text(), "1");
}

#[tokio::test]
async fn outside_a_write_that_is_cut_off_or_falls_over_ends_its_page() {
    for protocol in BOTH {
        let caches = testing::caches().0;
        let stack = ServiceBuilder::new()
            .layer(timeout())
            .layer(pages(&caches))
            .service(counter(None, false));
        check_ended(&Site::start(protocol, stack).await).await;

        let caches = testing::caches().0;
        let stack = ServiceBuilder::new()
            .layer(CatchPanicLayer::new())
            .layer(pages(&caches))
            .service(counter(None, true));
        check_ended(&Site::start(protocol, stack).await).await;
    }
}

/// Nobody knows what has become of it: what is stored is not used again without asking.
#[tokio::test]
async fn inside_a_write_that_fails_makes_its_page_stale() {
    for protocol in BOTH {
        let caches = testing::caches().0;
        let stack = ServiceBuilder::new()
            .layer(pages(&caches))
            .layer(timeout())
            .service(counter(None, false));
        check_ended(&Site::start(protocol, stack).await).await;

        let caches = testing::caches().0;
        let stack = ServiceBuilder::new()
            .layer(pages(&caches))
            .layer(CatchPanicLayer::new())
            .service(counter(None, true));
        check_ended(&Site::start(protocol, stack).await).await;
    }
}

#[tokio::test]
async fn inside_what_is_stated_before_is_ended_though_stale_answers_are_allowed() {
    for protocol in BOTH {
        let caches = testing::caches().0;
        let stack = ServiceBuilder::new()
            .layer(pages(&caches).stale_while_revalidate(60 * MINUTE))
            .layer(timeout())
            .service(counter(Some(caches), false));
        check_ended(&Site::start(protocol, stack).await).await;

        let caches = testing::caches().0;
        let stack = ServiceBuilder::new()
            .layer(pages(&caches).stale_while_revalidate(60 * MINUTE))
            .layer(CatchPanicLayer::new())
            .service(counter(Some(caches), true));
        check_ended(&Site::start(protocol, stack).await).await;
    }
}

/// A route that isn't cached, and changes what another one shows.
fn write_elsewhere(caches: &Caches) -> InvalidateLayer {
    InvalidateLayer::new(caches).tags(|request| match request.uri.path() {
        "/api/number" => vec!["number".into()],
        _ => Vec::new(),
    })
}

/// Writes are answered at once, or refused when they bring no token.
fn api() -> Origin {
    let number = Arc::new(AtomicUsize::new(0));
    Origin::new(move |request: Request<()>, _| {
        let number = Arc::clone(&number);
        async move {
            if request.method() == Method::POST {
                number.fetch_add(1, Ordering::SeqCst);
            }
            let mut answer = Origin::reply(TEXT, number.load(Ordering::SeqCst).to_string());
            answer.extensions_mut().insert(CacheHint::tags(["number"]));
            answer
        }
    })
}

async fn check_elsewhere(site: &Site) {
    assert_eq!(site.get("/", &[]).await.text(), "0");
    check(&site.get("/", &[]).await, 200, "pitlane; hit");
    let url = site.server.url("/api/number");
    let written = site.client.ask(Method::POST, &url, &[]).await;
    check(&written, 200, "detail=method");
    let page = site.get("/", &[]).await;
    check(&page, 200, "detail=invalidated");
    assert_eq!(page.text(), "1");
}

#[tokio::test]
async fn an_invalidate_layer_ends_what_other_routes_show_on_either_side_of_the_cache() {
    for protocol in BOTH {
        let caches = testing::caches().0;
        let stack = ServiceBuilder::new()
            .layer(write_elsewhere(&caches))
            .layer(pages(&caches))
            .service(api());
        check_elsewhere(&Site::start(protocol, stack).await).await;

        let caches = testing::caches().0;
        let stack = ServiceBuilder::new()
            .layer(pages(&caches))
            .layer(write_elsewhere(&caches))
            .service(api());
        check_elsewhere(&Site::start(protocol, stack).await).await;
    }
}

/// Sends whoever has no token to a page where they can get one: that is no error.
fn login<B: Default>(request: &mut Request<Incoming>) -> Result<(), Response<B>> {
    if request.method() != Method::POST || request.headers().contains_key("authorization") {
        return Ok(());
    }
    let mut there = Response::new(B::default());
    *there.status_mut() = StatusCode::SEE_OTHER;
    Err(there)
}

#[tokio::test]
async fn a_check_that_redirects_keeps_strangers_from_ending_pages_when_it_is_outside() {
    for protocol in BOTH {
        let caches = testing::caches().0;
        let outside = ServiceBuilder::new()
            .layer(ValidateRequestHeaderLayer::custom(login))
            .layer(pages(&caches))
            .service(api());
        let outside = Site::start(protocol, outside).await;
        let inside = ServiceBuilder::new()
            .layer(pages(&caches))
            .layer(ValidateRequestHeaderLayer::custom(login))
            .service(api());
        let inside = Site::start(protocol, inside).await;
        for (site, told) in [(outside, "pitlane; hit"), (inside, "detail=invalidated")] {
            site.get("/", &[]).await;
            let url = site.server.url("/");
            let sent_away = site.client.ask(Method::POST, &url, &[]).await;
            assert_eq!(sent_away.status, 303);
            check(&site.get("/", &[]).await, 200, told);
        }
    }
}
