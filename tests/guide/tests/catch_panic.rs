//! tower-http's CatchPanic: inside, a panic is a failure like others; outside, it is nobody's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pitlane::{AnonymousCacheLayer, testing};
use pitlane_testkit::{Gate, Origin};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use crate::support::{BOTH, MINUTE, Site, TEXT, cache, check, until, within};

/// Panics while it is told to.
fn handler(panics: &Arc<AtomicBool>) -> Origin {
    let panics = Arc::clone(panics);
    Origin::new(move |_, call| {
        let panics = Arc::clone(&panics);
        async move {
            assert!(!panics.load(Ordering::SeqCst), "the handler fell over");
            Origin::reply(TEXT, format!("page {call}"))
        }
    })
}

#[tokio::test]
async fn inside_a_stale_page_stands_in_for_a_panic() {
    for protocol in BOTH {
        let (caches, clock) = testing::caches();
        let cache = caches.get("default").unwrap();
        let layer = AnonymousCacheLayer::new(&cache).ttl(MINUTE);
        let panics = Arc::default();
        let stack = ServiceBuilder::new()
            .layer(layer.stale_if_error(60 * MINUTE))
            .layer(CatchPanicLayer::new())
            .service(handler(&panics));
        let site = Site::start(protocol, stack).await;
        check(&site.get("/", &[]).await, 200, "stored");
        panics.store(true, Ordering::SeqCst);
        clock.advance(2 * MINUTE);
        let answer = site.get("/", &[]).await;
        check(&answer, 200, "detail=stale-if-error");
        assert_eq!(answer.text(), "page 1");
        // Without anything stored, the panic is what it is.
        check(&site.get("/other", &[]).await, 500, "fwd=uri-miss");
        panics.store(false, Ordering::SeqCst);
        check(&site.get("/other", &[]).await, 200, "stored");
        check(&site.get("/", &[]).await, 200, "stored");
    }
}

#[tokio::test]
async fn outside_a_panic_is_a_500_that_nothing_stands_in_for() {
    for protocol in BOTH {
        let (caches, clock) = testing::caches();
        let cache = caches.get("default").unwrap();
        let layer = AnonymousCacheLayer::new(&cache).ttl(MINUTE);
        let panics = Arc::default();
        let stack = ServiceBuilder::new()
            .layer(CatchPanicLayer::new())
            .layer(layer.stale_if_error(60 * MINUTE))
            .service(handler(&panics));
        let site = Site::start(protocol, stack).await;
        check(&site.get("/", &[]).await, 200, "stored");
        panics.store(true, Ordering::SeqCst);
        clock.advance(2 * MINUTE);
        check(&site.get("/", &[]).await, 500, "");
        panics.store(false, Ordering::SeqCst);
        let answer = site.get("/", &[]).await;
        check(&answer, 200, "stored");
        assert_eq!(answer.text(), "page 3");
    }
}

/// Three ask at once, the first computation panics, and nobody hangs or gets what is not whole.
#[tokio::test]
async fn those_who_wait_for_a_panic_are_let_go_in_both_orders() {
    for protocol in BOTH {
        let (gate, origin) = falls_over_once();
        let stack = ServiceBuilder::new()
            .layer(CatchPanicLayer::new())
            .layer(cache())
            .service(origin);
        check_let_go(&Site::start(protocol, stack).await, &gate).await;

        let (gate, origin) = falls_over_once();
        let stack = ServiceBuilder::new()
            .layer(cache())
            .layer(CatchPanicLayer::new())
            .service(origin);
        check_let_go(&Site::start(protocol, stack).await, &gate).await;
    }
}

fn falls_over_once() -> (Gate, Origin) {
    let gate = Gate::new();
    let waiting = gate.clone();
    let origin = Origin::new(move |_, call| {
        let gate = waiting.clone();
        async move {
            if call == 1 {
                gate.pass().await;
                panic!("the first one fell over");
            }
            Origin::reply(TEXT, format!("page {call}"))
        }
    });
    (gate, origin)
}

async fn check_let_go(site: &Site, gate: &Gate) {
    let first = site.begin("/");
    within("the handler begins", gate.arrival()).await;
    let others = [site.begin("/"), site.begin("/")];
    // Whoever is still on their way asks for themselves later, which is as well.
    tokio::time::sleep(Duration::from_millis(20)).await;
    gate.open(1);
    let first = within("the first is answered", first).await.unwrap();
    assert_eq!(first.status, 500);
    for other in others {
        let other = within("nobody hangs", other).await.unwrap();
        assert_eq!(other.status, 200);
    }
    until("the page is stored", async || {
        site.get("/", &[]).await.is_hit()
    })
    .await;
}
