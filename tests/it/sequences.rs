//! Where more than one request leads up to the attack: class 8 with a path normaliser, class 20
//! with a Vary that changes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use pitlane::{Caches, Clock, ResponseCacheLayer, Timestamp};
use pitlane_e2e::{Answer, Ask, Fixture, send};
use pitlane_testkit::{Origin, Protocol, Server};
use tower::{ServiceExt, util::MapRequestLayer};
use tower_layer::Layer;

/// Folds `//` and `/./`, as a router's own layer would.
fn normalise<B>(mut request: Request<B>) -> Request<B> {
    let path = request.uri().path().to_owned();
    let segments = path
        .split('/')
        .filter(|segment| !matches!(*segment, "" | "."));
    let path = segments.fold(String::new(), |path, segment| path + "/" + segment);
    *request.uri_mut() = path.parse::<Uri>().unwrap();
    request
}

#[tokio::test]
async fn paths_that_are_normalised_outside_share_an_entry_and_inside_they_do_not() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for (outside, calls) in [(true, 1), (false, 3)] {
            let cache = Caches::builder().build().unwrap().get("default").unwrap();
            let fixture = Fixture::new(|_, _| Answer::default()).cache_control(Some("max-age=60"));
            let cached = ResponseCacheLayer::new(&cache);
            let normaliser = MapRequestLayer::new(normalise);
            let server = if outside {
                Server::start(normaliser.layer(cached.layer(fixture.clone()))).await
            } else {
                Server::start(cached.layer(normaliser.layer(fixture.clone()))).await
            };
            for path in ["/a//b", "/a/./b", "/a/b"] {
                let heard = send(protocol, server.address(), &Ask::get(path)).await;
                let echo = heard.unwrap().body;
                assert!(echo.starts_with(b"GET /a/b\n"), "{path}: {echo:?}");
            }
            assert_eq!(fixture.calls(), calls);
        }
    }
}

/// A handler that is deployed again and again, each time with another idea of what its answer
/// depends on, and honest about it.
#[tokio::test]
async fn nobody_gets_a_wrong_variant_while_vary_changes() {
    const MODES: [&str; 6] = ["", "x-a", "x-b", "x-a, x-b", "*", "x-b, x-c"];
    let mode = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&mode);
    let origin = Origin::new(move |request, _| {
        let vary = MODES[now.load(Ordering::SeqCst)];
        async move {
            let body = depend(vary, |name| request.headers().get(name).cloned());
            let fresh = [("cache-control", "max-age=60"), ("vary", vary)];
            Origin::reply(&fresh, body)
        }
    });
    let clock = Clock::manual(Timestamp::from_millis(1_000_000_000_000));
    let caches = Caches::builder().clock(clock.clone()).build().unwrap();
    let cache = caches.get("default").unwrap();
    let service = ResponseCacheLayer::new(&cache).layer(origin.clone());
    let mut random = 1_u64;
    let mut pick = |of: usize| {
        // Knuth's MMIX generator: the same sequence in every run.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % of
    };
    const REQUESTS: usize = 20_000;
    for _ in 0..REQUESTS {
        match pick(100) {
            0 => mode.store(pick(MODES.len()), Ordering::SeqCst),
            1 => clock.advance(Duration::from_secs(40)),
            _ => {}
        }
        let mut request = Request::builder().uri("http://v.example/page");
        for name in ["x-a", "x-b", "x-c"] {
            match pick(3) {
                0 => {}
                n => request = request.header(name, n),
            }
        }
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let headers = request.headers().clone();
        let reply = service.clone().oneshot(request).await.unwrap();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let (vary, _) = body.split_once('|').unwrap();
        assert_eq!(body, depend(vary, |name| headers.get(name).cloned()));
    }
    // Most of them were hits: the test is about the cache.
    assert!(
        origin.calls() < REQUESTS * 3 / 4,
        "{} calls",
        origin.calls()
    );
}

fn depend(vary: &str, value: impl Fn(&str) -> Option<http::HeaderValue>) -> String {
    let names = vary.split(", ").filter(|name| name.starts_with('x'));
    let values: Vec<_> = names.map(value).collect();
    format!("{vary}|{values:?}")
}
