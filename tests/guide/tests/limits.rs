//! tower's ConcurrencyLimit, LoadShed, RateLimit and Buffer: what a limit inside spares, and what a
//! limit outside does to hits.

use std::time::Duration;

use http::StatusCode;
use pitlane_guide::answering_with;
use pitlane_testkit::{Gate, Origin};
use tower::{Layer, ServiceBuilder};

use crate::support::{BOTH, MINUTE, Site, TEXT, cache, check, within};

const BUSY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

/// Answers at once, but for `/slow…`.
fn handler(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::new(move |request, call| {
        let gate = gate.clone();
        async move {
            let path = request.uri().path().to_owned();
            if path.starts_with("/slow") {
                gate.pass().await;
            }
            Origin::reply(TEXT, format!("{path} {call}"))
        }
    })
}

#[tokio::test]
async fn inside_hits_take_no_permit_and_misses_over_the_limit_are_shed() {
    for protocol in BOTH {
        let gate = Gate::new();
        let limited = ServiceBuilder::new()
            .load_shed()
            .concurrency_limit(1)
            .service(handler(&gate));
        let site = Site::start(protocol, cache().layer(answering_with(limited, BUSY))).await;
        check(&site.get("/page", &[]).await, 200, "stored");
        let slow = site.begin("/slow");
        within("the handler is saturated", gate.arrival()).await;

        check(&site.get("/page", &[]).await, 200, "pitlane; hit");
        let shed = within("shed at once", site.get("/other", &[])).await;
        check(&shed, 503, "fwd=uri-miss");
        gate.open(1);
        check(&slow.await.unwrap(), 200, "stored");
        // What was shed is not remembered.
        check(&site.get("/other", &[]).await, 200, "stored");
    }
}

#[tokio::test]
async fn outside_hits_are_shed_with_the_misses() {
    for protocol in BOTH {
        let gate = Gate::new();
        let stack = ServiceBuilder::new()
            .load_shed()
            .concurrency_limit(1)
            .layer(cache())
            .service(handler(&gate));
        let site = Site::start(protocol, answering_with(stack, BUSY)).await;
        check(&site.get("/page", &[]).await, 200, "stored");
        let slow = site.begin("/slow");
        within("the handler is saturated", gate.arrival()).await;
        check(&site.get("/page", &[]).await, 503, "");
        gate.open(1);
        check(&slow.await.unwrap(), 200, "stored");
        check(&site.get("/page", &[]).await, 200, "pitlane; hit");
    }
}

/// The cache is always ready, whatever is behind it: LoadShed sees no limit through it.
#[tokio::test]
async fn shedding_around_the_cache_sheds_nothing() {
    for protocol in BOTH {
        let gate = Gate::new();
        let stack = ServiceBuilder::new()
            .load_shed()
            .layer(cache())
            .concurrency_limit(1)
            .service(handler(&gate));
        let site = Site::start(protocol, answering_with(stack, BUSY)).await;
        let slow = site.begin("/slow");
        within("the handler is saturated", gate.arrival()).await;
        let other = site.begin("/other");
        gate.open(1);
        check(&slow.await.unwrap(), 200, "stored");
        let other = within("the other waited", other).await.unwrap();
        check(&other, 200, "stored");
    }
}

#[tokio::test]
async fn a_hundred_who_ask_for_one_page_take_one_permit() {
    for protocol in BOTH {
        let gate = Gate::new();
        let origin = handler(&gate);
        let limited = ServiceBuilder::new()
            .load_shed()
            .concurrency_limit(1)
            .service(origin.clone());
        let site = Site::start(protocol, cache().layer(answering_with(limited, BUSY))).await;
        let first = site.begin("/slow");
        within("the handler begins", gate.arrival()).await;
        let others: Vec<_> = (0..100).map(|_| site.begin("/slow")).collect();
        gate.open(1);
        check(&first.await.unwrap(), 200, "stored");
        for other in others {
            let other = within("nobody hangs", other).await.unwrap();
            assert_eq!(other.text(), "/slow 1");
        }
        assert_eq!(origin.calls(), 1);
    }
}

#[tokio::test]
async fn a_buffer_works_on_both_sides() {
    for protocol in BOTH {
        let gate = Gate::new();
        // Inside it makes a service that can't be cloned one that can.
        let inside = ServiceBuilder::new()
            .buffer(16)
            .rate_limit(1000, Duration::from_millis(1))
            .service(handler(&gate));
        let stack = cache().layer(answering_with(inside, BUSY));
        check_misses_and_hits(&Site::start(protocol, stack).await).await;

        let outside = ServiceBuilder::new()
            .buffer(16)
            .layer(cache())
            .service(handler(&gate));
        let stack = answering_with(outside, BUSY);
        check_misses_and_hits(&Site::start(protocol, stack).await).await;
    }
}

async fn check_misses_and_hits(site: &Site) {
    for path in ["/a", "/b"] {
        check(&site.get(path, &[]).await, 200, "stored");
        check(&site.get(path, &[]).await, 200, "pitlane; hit");
    }
}

#[tokio::test]
async fn a_rate_limit_inside_leaves_hits_alone() {
    for protocol in BOTH {
        let limited = ServiceBuilder::new()
            .buffer(1)
            .rate_limit(1, 60 * MINUTE)
            .service(handler(&Gate::new()));
        let site = Site::start(protocol, cache().layer(answering_with(limited, BUSY))).await;
        check(&site.get("/page", &[]).await, 200, "stored");
        for _ in 0..10 {
            check(&site.get("/page", &[]).await, 200, "pitlane; hit");
        }
    }
}
