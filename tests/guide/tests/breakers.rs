//! Pitlane's own circuit breaker: inside, what is stored outlives what has failed.

use http::{Response, StatusCode};
use pitlane::{AnonymousCacheLayer, CircuitBreakerLayer, ResponseBody, testing};
use pitlane_testkit::{Origin, Reply};
use tower::ServiceBuilder;

use crate::support::{BOTH, MINUTE, Site, TEXT, check};

/// Answers the first call, and no other.
fn handler() -> Origin {
    Origin::new(|_, call| async move {
        let mut answer = Origin::reply(TEXT, format!("page {call}"));
        if call > 1 {
            *answer.status_mut() = StatusCode::BAD_GATEWAY;
        }
        answer
    })
}

fn unavailable() -> Reply {
    let mut answer = Origin::reply(TEXT, "busy");
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer
}

#[tokio::test]
async fn inside_hits_and_stale_pages_go_on_while_the_circuit_is_open() {
    for protocol in BOTH {
        let (caches, clock) = testing::caches();
        let cache = caches.get("default").unwrap();
        let layer = AnonymousCacheLayer::new(&cache).ttl(MINUTE);
        let breaker = CircuitBreakerLayer::new()
            .clock(testing::caches().1)
            .count_server_errors()
            .respond_with(|_| unavailable());
        let origin = handler();
        let circuit = breaker.circuit();
        let stack = ServiceBuilder::new()
            .layer(layer.stale_if_error(60 * MINUTE))
            .layer(breaker)
            .service(origin.clone());
        let site = Site::start(protocol, stack).await;
        check(&site.get("/", &[]).await, 200, "stored");
        circuit.trip();
        check(&site.get("/", &[]).await, 200, "pitlane; hit");
        check(&site.get("/other", &[]).await, 503, "fwd=uri-miss");
        clock.advance(2 * MINUTE);
        let stale = site.get("/", &[]).await;
        check(&stale, 200, "detail=stale-if-error");
        assert_eq!(origin.calls(), 1);
    }
}

#[tokio::test]
async fn outside_hits_are_refused_while_the_circuit_is_open() {
    for protocol in BOTH {
        let (caches, _clock) = testing::caches();
        let cache = caches.get("default").unwrap();
        let breaker = CircuitBreakerLayer::new()
            .clock(testing::caches().1)
            .respond_with(|_| Response::new(ResponseBody::default()));
        let circuit = breaker.circuit();
        let stack = ServiceBuilder::new()
            .layer(breaker)
            .layer(AnonymousCacheLayer::new(&cache).ttl(MINUTE))
            .service(handler());
        let site = Site::start(protocol, stack).await;
        check(&site.get("/", &[]).await, 200, "stored");
        check(&site.get("/", &[]).await, 200, "pitlane; hit");
        circuit.trip();
        let refused = site.get("/", &[]).await;
        assert_eq!((refused.text(), refused.header("cache-status")), ("", ""));
    }
}
