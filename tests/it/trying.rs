//! A dry run beside layers that answer: what it stored is nobody's, and what they stored is
//! nothing to it: class 38.

use std::time::Duration;

use pitlane::{ApiCacheLayer, Cache, Encoding};
use pitlane_e2e::{Answer, Ask, Fixture, send};
use pitlane_testkit::{Protocol, RedisServer, Server};
use tower_layer::Layer;

use crate::naive::Flaw;
use crate::runner::{MARKER, Subject, in_memory, over_redis, serve, settled};

const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// Runs a dry run and a layer that answers over one cache, in turns.
async fn check(dry: Subject, protocol: Protocol, cache: &Cache) -> Result<(), String> {
    let fixture = Fixture::new(|_, _| Answer::default());
    let dry = serve(dry, cache, fixture.clone()).await;
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
        let marked = ask.headers.iter().any(|(name, _)| name == "x-any");
        let right = heard.header("cache-status").contains(told)
            && fixture.calls() == calls
            && heard.contains(MARKER) == marked;
        if !right {
            return Err(format!("{protocol:?} {number}: {heard:?}"));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dry_run_stored_is_shown_to_nobody() {
    for protocol in PROTOCOLS {
        let cache = in_memory().get("default").unwrap();
        let checked = check(Subject::Trying, protocol, &cache).await;
        checked.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The positive control: layers that answer, or store without care, in its place.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_dry_run_is_caught() {
    for protocol in PROTOCOLS {
        for subject in [Subject::Anonymous, Subject::Naive(Flaw::All)] {
            let cache = in_memory().get("default").unwrap();
            assert!(check(subject, protocol, &cache).await.is_err());
        }
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

/// Whatever the layer would do to answers, it only says what it would do.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_adds_nothing_to_answers_but_what_it_says_of_them() {
    let answers = |_: &_, _| {
        let answer = Answer::default().header("cache-tag", "page");
        answer.header("surrogate-key", "page").header("x-own", "1")
    };
    for protocol in PROTOCOLS {
        let cache = in_memory().get("default").unwrap();
        let layer = ApiCacheLayer::new(&cache).ttl(Duration::from_secs(60));
        let layer = layer.encodings([Encoding::Gzip]).strip_tags().dry_run();
        let bare = Server::start(Fixture::new(answers)).await;
        let dry = Server::start(layer.layer(Fixture::new(answers))).await;
        let marked = Ask::get("/page")
            .header("x-any", "1")
            .header("cookie", "session=1");
        for ask in [Ask::get("/page"), Ask::get("/page"), marked] {
            let usual = send(protocol, bare.address(), &ask).await.unwrap();
            let mut heard = send(protocol, dry.address(), &ask).await.unwrap();
            assert!(heard.headers.remove("cache-status").is_some(), "{heard:?}");
            let own =
                |name: &&http::HeaderName| !["date", "content-length"].contains(&name.as_str());
            let names = |heard: &pitlane_e2e::Heard| -> std::collections::BTreeSet<String> {
                heard
                    .headers
                    .keys()
                    .filter(own)
                    .map(|name| name.to_string())
                    .collect()
            };
            assert_eq!(names(&heard), names(&usual), "{protocol:?}");
            assert_eq!(heard.body, usual.body, "{protocol:?}");
        }
    }
}
