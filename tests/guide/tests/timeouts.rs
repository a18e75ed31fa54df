//! Timeouts, of tower-http and of tower: inside, a timeout is a failure like others; outside, it
//! is one client's patience.

use std::time::Duration;

use http::StatusCode;
use pitlane::{AnonymousCacheLayer, testing};
use pitlane_guide::answering_with;
use pitlane_testkit::{Gate, Origin};
use tower::{Layer, ServiceBuilder};
use tower_http::timeout::TimeoutLayer;

use crate::support::{BOTH, MINUTE, Site, TEXT, cache, check, within};

/// Longer than what is ready at once takes on a busy machine.
const SHORT: Duration = Duration::from_secs(1);

/// Answers the first call at once, and all others when the gate lets them.
fn handler(gate: &Gate, prompt: usize) -> Origin {
    let gate = gate.clone();
    Origin::new(move |_, call| {
        let gate = gate.clone();
        async move {
            if call > prompt {
                gate.pass().await;
            }
            Origin::reply(TEXT, format!("page {call}"))
        }
    })
}

fn timeout(status: StatusCode) -> TimeoutLayer {
    TimeoutLayer::with_status_code(status, SHORT)
}

#[tokio::test]
async fn inside_a_stale_page_stands_in_for_a_handler_that_takes_too_long() {
    for protocol in BOTH {
        // 408 says that the client was slow: nothing stands in for that.
        for (status, seen) in [(504, 200), (503, 200), (408, 408)] {
            let (caches, clock) = testing::caches();
            let cache = caches.get("default").unwrap();
            let layer = AnonymousCacheLayer::new(&cache).ttl(MINUTE);
            let gate = Gate::new();
            let stack = ServiceBuilder::new()
                .layer(layer.stale_if_error(60 * MINUTE))
                .layer(timeout(StatusCode::from_u16(status).unwrap()))
                .service(handler(&gate, 1));
            let site = Site::start(protocol, stack).await;
            check(&site.get("/", &[]).await, 200, "stored");
            clock.advance(2 * MINUTE);
            let answer = within("the timeout", site.get("/", &[])).await;
            assert_eq!(answer.status, seen, "{status}");
            let stands_in = answer.detail() == "stale-if-error";
            assert_eq!(stands_in, seen == 200, "{status}");
            gate.open(10);
            let answer = site.get("/", &[]).await;
            assert_eq!(answer.text(), "page 3", "{status}");
        }
    }
}

#[tokio::test]
async fn outside_a_handler_that_takes_too_long_is_ended_with_whoever_waits() {
    for protocol in BOTH {
        let gate = Gate::new();
        let origin = handler(&gate, 0);
        let stack = ServiceBuilder::new()
            .layer(timeout(StatusCode::GATEWAY_TIMEOUT))
            .layer(cache())
            .service(origin.clone());
        let site = Site::start(protocol, stack).await;
        let first = site.begin("/");
        within("the handler begins", gate.arrival()).await;
        let second = site.begin("/");
        for asked in [first, second] {
            let answer = within("nobody hangs", asked).await.unwrap();
            check(&answer, 504, "");
        }
        gate.open(10);
        check(&site.get("/", &[]).await, 200, "stored");
        check(&site.get("/", &[]).await, 200, "pitlane; hit");
    }
}

#[tokio::test]
async fn inside_those_who_wait_for_a_timeout_are_let_go() {
    for protocol in BOTH {
        let gate = Gate::new();
        let stack = ServiceBuilder::new()
            .layer(cache())
            .layer(timeout(StatusCode::GATEWAY_TIMEOUT))
            .service(handler(&gate, 0));
        let site = Site::start(protocol, stack).await;
        let first = site.begin("/");
        within("the handler begins", gate.arrival()).await;
        let second = site.begin("/");
        for asked in [first, second] {
            check(&within("nobody hangs", asked).await.unwrap(), 504, "");
        }
        gate.open(10);
        check(&site.get("/", &[]).await, 200, "stored");
    }
}

/// tower's own timeout is an error, which a server can't send: it is made an answer inside.
#[tokio::test]
async fn towers_timeout_inside_becomes_an_answer_before_the_cache() {
    for protocol in BOTH {
        let gate = Gate::new();
        let timed = ServiceBuilder::new()
            .timeout(SHORT)
            .service(handler(&gate, 0));
        let timed = answering_with(timed, StatusCode::GATEWAY_TIMEOUT);
        let site = Site::start(protocol, cache().layer(timed)).await;
        let slow = within("the timeout", site.get("/", &[])).await;
        check(&slow, 504, "fwd=uri-miss");
        gate.open(10);
        check(&site.get("/", &[]).await, 200, "stored");
    }
}
