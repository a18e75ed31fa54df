//! What a flood or a bad body may cost: classes 21 and 30. Class 29 has a process of its own.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use pitlane::{Caches, Reason, ResponseCacheLayer};
use pitlane_e2e::{Ask, send};
use pitlane_testkit::{Origin, Protocol, Server};
use tower::ServiceExt;
use tower_layer::Layer;
use tower_service::Service;

use crate::bodies::{End, streamed};

const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// Sends a GET in process.
pub(crate) async fn get<S, R>(service: &S, uri: &str, header: Option<(&str, &str)>) -> (bool, Bytes)
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>, Error = Infallible> + Clone,
    R: Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let mut request = Request::builder().uri(uri);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let request = request.body(Full::default()).unwrap();
    let (head, body) = service.clone().oneshot(request).await.unwrap().into_parts();
    let status = head.headers.get("cache-status").unwrap().to_str().unwrap();
    let hit = status.starts_with("pitlane; hit");
    (hit, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn a_hundred_thousand_variants_are_kept_to_32_and_nobody_gets_a_wrong_one() {
    let caches = Caches::builder().build().unwrap();
    let cache = caches.get("default").unwrap();
    let origin = Origin::new(|request, _| async move {
        let lang = request.headers().get("x-lang").cloned();
        let headers = [("cache-control", "max-age=60"), ("vary", "x-lang")];
        Origin::reply(&headers, format!("{lang:?}"))
    });
    let service = ResponseCacheLayer::new(&cache).layer(origin);
    let known = Some(("x-lang", "fr"));
    let expected = get(&service, "/page", known).await.1;
    for n in 0..100_000 {
        let value = n.to_string();
        let (hit, body) = get(&service, "/page", Some(("x-lang", &value))).await;
        assert!(!hit);
        assert_eq!(body, format!("Some({value:?})"));
    }
    assert_eq!(get(&service, "/page", known).await, (true, expected));
    assert_eq!(get(&service, "/page", None).await, (false, "None".into()));
    let stored: u64 = cache
        .fills()
        .iter()
        .filter(|(reason, _)| *reason == Reason::Stored)
        .map(|(_, count)| count)
        .sum();
    assert_eq!(stored, 32);
}

/// Asks twice and checks that nothing of the first answer was kept.
async fn check_never_stored(declared: Option<&'static str>, chunks: usize, size: usize, end: End) {
    for protocol in PROTOCOLS {
        let caches = Caches::builder().memory(4 << 20).max_body(64 << 10);
        let cache = caches.build().unwrap().get("default").unwrap();
        let origin = Origin::new(move |_, call| async move {
            let declared = declared.map(|length| ("content-length", length));
            match call {
                1 => streamed(declared.as_slice(), chunks, size, end),
                _ => Origin::reply(&[("cache-control", "max-age=60")], "clean"),
            }
        });
        let server = Server::start(ResponseCacheLayer::new(&cache).layer(origin.clone())).await;
        // Over some protocols the bad body is an error: that is the attacker's business.
        let _ = send(protocol, server.address(), &Ask::get("/page")).await;
        for _ in 0..2 {
            let heard = send(protocol, server.address(), &Ask::get("/page"))
                .await
                .unwrap();
            assert_eq!(heard.body, "clean", "{declared:?} {chunks} {size} {end:?}");
        }
        assert_eq!(origin.calls(), 2);
        assert!(cache.memory().bytes < 64 << 10);
    }
}

#[tokio::test]
async fn a_body_longer_than_it_declares_is_never_stored() {
    check_never_stored(Some("1024"), 64 << 10, 1000, End::Fine).await;
    check_never_stored(Some("1024"), 2, 1000, End::Error).await;
}

#[tokio::test]
async fn a_body_past_the_cap_is_passed_on_and_never_stored() {
    check_never_stored(None, 64 << 10, 1000, End::Fine).await;
    check_never_stored(Some("65536000"), 64 << 10, 1000, End::Fine).await;
}

#[tokio::test]
async fn a_truncated_body_is_never_stored() {
    check_never_stored(Some("1024"), 1, 1000, End::Fine).await;
    check_never_stored(Some("1024"), 1, 1000, End::Error).await;
    check_never_stored(None, 3, 1000, End::Error).await;
}

#[tokio::test]
async fn a_body_with_trailers_is_never_stored() {
    check_never_stored(None, 3, 1000, End::Trailers).await;
}

#[tokio::test]
async fn a_whole_body_past_the_cap_reaches_the_client_as_it_is() {
    let caches = Caches::builder().memory(4 << 20).max_body(64 << 10);
    let cache = caches.build().unwrap().get("default").unwrap();
    let origin = Origin::new(|_, _| async { streamed(&[], 64 << 10, 1000, End::Fine) });
    let server = Server::start(ResponseCacheLayer::new(&cache).layer(origin)).await;
    for protocol in PROTOCOLS {
        let heard = send(protocol, server.address(), &Ask::get("/page"))
            .await
            .unwrap();
        assert_eq!(heard.body.len(), 1000 * (64 << 10));
    }
}
