//! Bodies that end otherwise than a cache would like.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use pitlane::{Caches, Reason, ResponseCacheLayer};
use pitlane_testkit::{Client, Gate, Origin, Protocol, Reply, Server, Steps};
use tower::{Layer, ServiceExt};

use crate::drive::{FRESH, bench, bounded, get, poll_once, request, try_send};

const LIMIT: usize = 64 << 10;

fn small() -> Caches {
    let limit = u64::try_from(LIMIT).unwrap();
    Caches::builder().max_body(limit).build().unwrap()
}

/// Asks twice over real sockets; both times the client must get all of it, from the handler.
async fn check_whole_and_not_stored(reply: fn() -> Reply, size: usize, reason: Reason) {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let caches = small();
        let cache = caches.get("default").unwrap();
        let origin = Origin::new(move |_, _| async move { reply() });
        let server = Server::start(ResponseCacheLayer::new(&cache).layer(origin.clone())).await;
        let client = Client::new(protocol);
        for call in 1..=2 {
            let answer = bounded(client.get(&server.url("/"), &[])).await;
            assert_eq!((answer.body.len(), answer.is_hit()), (size, false));
            assert_eq!(origin.calls(), call);
        }
        let fills = cache.fills();
        assert!(!fills.iter().any(|(reason, _)| *reason == Reason::Stored));
        if reason != Reason::TooLarge || !fills.is_empty() {
            assert_eq!(fills.first().map(|(reason, _)| *reason), Some(reason));
        }
    }
}

fn chunks(count: usize) -> Steps {
    let chunk = Bytes::from(vec![b'x'; LIMIT / 4]);
    (0..count).fold(Steps::new(), |steps, _| steps.data(chunk.clone()))
}

#[tokio::test]
async fn a_body_over_the_limit_reaches_the_client_whole_and_is_not_stored() {
    let whole = || Origin::reply(FRESH, vec![b'x'; LIMIT + 1]);
    check_whole_and_not_stored(whole, LIMIT + 1, Reason::TooLarge).await;
    check_whole_and_not_stored(|| chunks(40).reply(FRESH), 10 * LIMIT, Reason::TooLarge).await;
    check_whole_and_not_stored(
        || chunks(4).data("x").reply(FRESH),
        LIMIT + 1,
        Reason::TooLarge,
    )
    .await;
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_stored() {
    for reply in [
        || Origin::reply(FRESH, vec![b'x'; LIMIT]),
        || chunks(4).reply(FRESH),
    ] {
        let caches = small();
        let layer = ResponseCacheLayer::new(&caches.get("default").unwrap());
        let service = layer.layer(Origin::new(move |_, _| async move { reply() }));
        get(&service, "/").await;
        let hit = get(&service, "/").await;
        assert_eq!((hit.is_hit(), hit.body.len()), (true, LIMIT));
    }
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_claims_is_not_stored() {
    let kib = || Bytes::from(vec![b'x'; 1024]);
    let replies: [(&str, Reply); 5] = [
        (
            "less",
            Steps::new()
                .data("x")
                .reply(&[FRESH[0], ("content-length", "1024")]),
        ),
        (
            "none",
            Steps::new().reply(&[FRESH[0], ("content-length", "1024")]),
        ),
        (
            "more in one frame",
            Steps::new()
                .data(vec![b'x'; 1025])
                .reply(&[FRESH[0], ("content-length", "1024")]),
        ),
        (
            "more in the next frame",
            Steps::new()
                .data(kib())
                .data(kib())
                .reply(&[FRESH[0], ("content-length", "1024")]),
        ),
        (
            "less than its own hint",
            Steps::new().data("x").claiming(9).reply(FRESH),
        ),
    ];
    for (what, reply) in replies {
        let bench = bench();
        let reply = std::sync::Mutex::new(Some(reply));
        let origin = Origin::new(move |_, _| {
            let reply = reply.lock().unwrap().take();
            async move { reply.unwrap_or_else(|| Origin::reply(FRESH, "another")) }
        });
        let service = bench.layer.layer(origin);
        get(&service, "/").await;
        assert_eq!(get(&service, "/").await.text(), "another", "{what}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_is_an_error_to_its_client_and_is_not_stored() {
    let bench = bench();
    let origin = Origin::new(|_, call| async move {
        match call {
            1 => Steps::new().data("half").error().reply(FRESH),
            2 => Steps::new().error().reply(FRESH),
            _ => Origin::reply(FRESH, "whole"),
        }
    });
    let service = bench.layer.layer(origin.clone());
    for _ in 0..2 {
        let broken = try_send(service.clone(), request(Method::GET, "/", &[])).await;
        assert!(broken.unwrap_err().contains("the body broke"));
    }
    assert_eq!(get(&service, "/").await.text(), "whole");
    assert!(get(&service, "/").await.is_hit());
    assert_eq!(origin.calls(), 3);
}

#[tokio::test]
async fn a_body_that_breaks_breaks_the_connection_instead_of_looking_complete() {
    let bench = bench();
    let origin = Origin::new(|_, _| async { Steps::new().data("half").error().reply(FRESH) });
    let server = Server::start(bench.layer.layer(origin)).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let request = Request::get(server.url("/")).body(Default::default());
        let client = Client::new(protocol);
        let answer = bounded(client.begin(request.unwrap())).await;
        // Depending on what was flushed the client sees the head or not even that.
        if let Ok(answer) = answer {
            assert!(bounded(answer.into_body().collect()).await.is_err());
        }
    }
}

#[tokio::test]
async fn trailers_reach_the_client_and_their_answer_is_not_stored() {
    let bench = bench();
    let reply = || Steps::new().data("x").trailer("x-sum", "1").reply(FRESH);
    let service = bench
        .layer
        .layer(Origin::new(move |_, _| async move { reply() }));
    for _ in 0..3 {
        let answer = get(&service, "/").await;
        assert_eq!((answer.text(), answer.header("x-sum")), ("x", "1"));
        assert!(!answer.is_hit());
    }
}

async fn begin<S, R>(service: &S) -> Response<R>
where
    S: tower::Service<Request<Empty<Bytes>>, Response = Response<R>> + Clone,
    S::Error: std::fmt::Debug,
{
    let request = request(Method::GET, "/", &[]);
    service.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_client_that_leaves_mid_body_alone_leaves_nothing_stored() {
    let bench = bench();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::new(move |_, call| {
        let body = match call {
            1 => Steps::new().data("half").gated(&held, "rest"),
            _ => Steps::new().data("whole"),
        };
        async move { body.reply(FRESH) }
    });
    let service = bench.layer.layer(origin.clone());
    let mut answer = begin(&service).await;
    let frame = answer.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "half");
    assert!(poll_once(std::pin::pin!(answer.frame())).is_pending());
    drop(answer);
    assert_eq!(bench.cache.fills(), [(Reason::Abandoned, 1)]);
    assert_eq!(get(&service, "/").await.text(), "whole");
    assert_eq!(origin.calls(), 2);
}

#[tokio::test]
async fn a_streamed_miss_passes_frame_by_frame_and_is_hit_as_a_whole() {
    let bench = bench();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::new(move |_, _| {
        let body = Steps::new().data("one ").gated(&held, "two ").data("three");
        async move { body.reply(FRESH) }
    });
    let service = bench.layer.layer(origin);
    let mut answer = begin(&service).await;
    let first = answer.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "one ");
    assert!(poll_once(std::pin::pin!(answer.frame())).is_pending());
    gate.open(1);
    let rest = bounded(answer.into_body().collect()).await.unwrap();
    assert_eq!(rest.to_bytes(), "two three");
    let hit = get(&service, "/").await;
    assert_eq!((hit.is_hit(), hit.text()), (true, "one two three"));
}

#[tokio::test]
async fn what_is_told_to_be_stored_is_stored() {
    // A nonce is found in the body only, when the head has been judged already.
    let bench = bench();
    let headers = [FRESH[0], ("content-type", "text/html")];
    let origin =
        Origin::new(
            move |_, _| async move { Origin::reply(&headers, "<script nonce=\"1\"></script>") },
        );
    let service = bench.layer.layer(origin);
    for _ in 0..2 {
        let answer = get(&service, "/").await;
        assert!(
            !answer.header("cache-status").contains("stored"),
            "{answer:?}"
        );
    }
}
