//! A dry run beside layers that answer: what it stored is nobody's, and what they stored is
//! nothing to it: class 38.

use pitlane::Cache;
use pitlane_e2e::{Answer, Ask, Fixture, send};
use pitlane_testkit::{Protocol, RedisServer};

use crate::runner::{MARKER, Subject, in_memory, over_redis, serve, settled};

const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// Runs a dry run and a layer that answers over one cache, in turns.
async fn check(protocol: Protocol, cache: &Cache) {
    let fixture = Fixture::new(|_, _| Answer::default());
    let dry = serve(Subject::Trying, cache, fixture.clone()).await;
    let live = serve(Subject::Anonymous, cache, fixture.clone()).await;
    let planted = || Ask::get("/page").header("x-any", MARKER);
    let clean = || Ask::get("/page");
    let steps = [
        (&dry, planted(), "fwd=uri-miss; stored", 1),
        (&dry, planted(), "dry-run", 2),
        // Nothing is there for those who are answered.
        (&live, clean(), "fwd=uri-miss; stored", 3),
        (&live, clean(), "pitlane; hit", 3),
        // The dry run has its own, and doesn't show it.
        (&dry, clean(), "dry-run", 4),
        (&dry, planted(), "dry-run", 5),
        (&live, clean(), "pitlane; hit", 5),
    ];
    for (number, (server, ask, told, calls)) in steps.into_iter().enumerate() {
        let heard = send(protocol, server.address(), &ask).await.unwrap();
        let status = heard.header("cache-status");
        assert!(status.contains(told), "{protocol:?} {number}: {status}");
        assert_eq!(fixture.calls(), calls, "{protocol:?} {number}");
        let marked = ask.headers.iter().any(|(name, _)| name == "x-any");
        assert_eq!(heard.contains(MARKER), marked, "{protocol:?} {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dry_run_stored_is_shown_to_nobody() {
    for protocol in PROTOCOLS {
        let cache = in_memory().get("default").unwrap();
        check(protocol, &cache).await;
    }
}

/// The layers of another node look into Redis.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_dry_run_stored_is_shown_to_nobody_on_another_node() {
    let redis = RedisServer::start();
    let (one, other) = (over_redis(&redis, 2).await, over_redis(&redis, 2).await);
    for (protocol, (one_cache, other_cache)) in
        PROTOCOLS.into_iter().zip(one.iter().zip(other.iter()))
    {
        let fixture = Fixture::new(|_, _| Answer::default());
        let dry = serve(Subject::Trying, one_cache, fixture.clone()).await;
        let live = serve(Subject::Anonymous, other_cache, fixture.clone()).await;
        let planted = Ask::get("/page").header("x-any", MARKER);
        for _ in 0..2 {
            send(protocol, dry.address(), &planted).await.unwrap();
            settled(&one).await;
        }
        let before = fixture.calls();
        let heard = send(protocol, live.address(), &Ask::get("/page"))
            .await
            .unwrap();
        assert!(!heard.contains(MARKER), "{protocol:?}: {heard:?}");
        assert_eq!(fixture.calls(), before + 1, "{protocol:?}");
        settled(&other).await;
        let again = send(protocol, live.address(), &Ask::get("/page"))
            .await
            .unwrap();
        // What a live layer stored is there: the test is about a cache that works.
        assert!(
            again.header("cache-status").starts_with("pitlane; hit"),
            "{again:?}"
        );
        assert_eq!(fixture.calls(), before + 1, "{protocol:?}");
    }
}
