//! What an invalidation ends while it is being computed, and what may be served stale.

use std::time::Duration;

use pitlane::Invalidation;
use pitlane_testkit::{Gate, Server};
use tokio::time::timeout;
use tower::Layer;

use crate::client::Client;
use crate::fixture::{DEADLINE, Echo, TTL, bench, ok, until};
use pitlane::CacheHint;

/// A handler that reads first and answers when it is let through, with the tag `club`.
fn gated(gate: &Gate) -> Echo {
    let gate = gate.clone();
    Echo::new(move |seen| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            let mut reply = ok(&seen.call.to_string());
            reply.extensions_mut().insert(CacheHint::tags(["club"]));
            reply
        }
    })
}

/// The handler has read the old data, then the write happens, then the handler answers: the one
/// who asked before the write gets it, and nobody who asks after it.
#[tokio::test]
async fn a_value_computed_before_an_invalidation_and_stored_after_it_is_never_served() {
    let bench = bench();
    let gate = Gate::new();
    let echo = gated(&gate);
    let server = Server::start(bench.layer.layer(echo.clone())).await;
    let client = Client::connect(&server).await;
    let early = client.clone();
    let early = tokio::spawn(async move { early.call("a").await });
    gate.arrival().await;
    let _ = bench.caches.invalidate(["club"]).await.unwrap();
    gate.open(2);
    assert_eq!(early.await.unwrap().text(), "1");
    let after = client.call("a").await;
    assert_eq!((after.text(), after.detail()), ("2", "invalidated"));
    assert!(client.call("a").await.is_hit());
}

/// Its tags are known only when the handler has answered, so the one who came before the write
/// may wait for it, and judges what it is handed.
#[tokio::test]
async fn a_follower_does_not_take_what_was_invalidated_while_it_waited() {
    let bench = bench();
    let gate = Gate::new();
    let echo = gated(&gate);
    let server = Server::start(bench.layer.layer(echo.clone())).await;
    let client = Client::connect(&server).await;
    let call = || {
        let client = client.clone();
        tokio::spawn(async move { client.call("a").await })
    };
    let leader = call();
    gate.arrival().await;
    let _ = bench.caches.invalidate(["club"]).await.unwrap();
    // This call begins after an invalidation that was acknowledged.
    let follower = call();
    bench.until_asked(2).await;
    gate.open(1);
    assert_eq!(leader.await.unwrap().text(), "1");
    gate.open(1);
    assert_eq!(follower.await.unwrap().text(), "2");
}

/// Where the request itself names the tag, nobody even waits.
#[tokio::test]
async fn a_call_behind_an_invalidation_does_not_wait_for_one_before_it() {
    let bench = bench();
    let gate = Gate::new();
    let echo = gated(&gate);
    let layer = bench.layer.tags(|_, _| vec!["club".into()]);
    let server = Server::start(layer.layer(echo.clone())).await;
    let client = Client::connect(&server).await;
    let call = || {
        let client = client.clone();
        tokio::spawn(async move { client.call("a").await })
    };
    let before = call();
    gate.arrival().await;
    let _ = bench.caches.invalidate(["club"]).await.unwrap();
    let behind = call();
    timeout(DEADLINE, gate.arrival())
        .await
        .expect("it computes by itself");
    gate.open(2);
    let mut texts = [
        before.await.unwrap().text().to_owned(),
        behind.await.unwrap().text().to_owned(),
    ];
    texts.sort();
    assert_eq!(texts, ["1", "2"]);
    // Whichever of them was stored last, the first one's is not served any more.
    gate.open(1);
    assert_ne!(client.call("a").await.text(), "1");
}

#[tokio::test]
async fn one_call_computes_and_the_others_get_what_is_stale_within_the_window() {
    for soft in [false, true] {
        let bench = bench();
        let gate = Gate::new();
        let echo = gated(&gate);
        let layer = bench.layer.stale_while_revalidate(Duration::from_secs(30));
        let server = Server::start(layer.layer(echo.clone())).await;
        let client = Client::connect(&server).await;
        gate.open(1);
        client.call("a").await;
        gate.arrival().await;
        if soft {
            let softly = Invalidation::tags(["club"]).soft();
            let _ = bench.caches.publish(softly).await.unwrap();
        } else {
            bench.clock.advance(TTL);
        }
        let computing = client.clone();
        let computing = tokio::spawn(async move { computing.call("a").await });
        timeout(DEADLINE, gate.arrival())
            .await
            .expect("somebody computes");
        let stale = client.call("a").await;
        assert_eq!(
            (stale.text(), stale.detail()),
            ("1", "stale-while-revalidate")
        );
        gate.open(1);
        assert_eq!(computing.await.unwrap().text(), "2");
        assert_eq!(client.call("a").await.detail(), "fresh");
        // Past the window nothing stale is served.
        bench.clock.advance(TTL + Duration::from_secs(30));
        gate.open(1);
        assert_eq!(client.call("a").await.text(), "3");
        until("nobody computes", || bench.cache.in_flight() == 0).await;
    }
}
