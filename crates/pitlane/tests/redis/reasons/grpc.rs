//! The reasons that only calls have. They can't be asked about: a call is a POST.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use pitlane::{Caches, GrpcCacheLayer, Outcome, Reason, ReplayBody, explain::Asking};
use tower::{Layer, ServiceExt};

use super::case::{Answer, counts, framed};

const METHOD: &str = "/test.Echo/Get";

pub(super) async fn all() -> [Reason; 6] {
    let bypass = Outcome::Bypass;
    let miss = Outcome::Miss;
    let grpc = ("content-type", "application/grpc");
    check(
        Reason::Metadata,
        bypass,
        METHOD,
        &[grpc, ("x-other", "1")],
        "a",
        "0",
        1,
    )
    .await;
    check(
        Reason::NotNamed,
        bypass,
        "/test.Echo/Put",
        &[grpc],
        "a",
        "0",
        1,
    )
    .await;
    let long = "a".repeat(80 << 10).leak();
    check(
        Reason::RequestMessage,
        bypass,
        METHOD,
        &[grpc],
        long,
        "0",
        1,
    )
    .await;
    let text = ("content-type", "text/plain");
    check(Reason::NotGrpc, bypass, METHOD, &[text], "a", "0", 1).await;
    check(Reason::GrpcStatus, miss, METHOD, &[grpc], "a", "5", 1).await;
    check(Reason::NotUnary, miss, METHOD, &[grpc], "a", "0", 2).await;
    [
        Reason::Metadata,
        Reason::NotNamed,
        Reason::RequestMessage,
        Reason::NotGrpc,
        Reason::GrpcStatus,
        Reason::NotUnary,
    ]
}

/// Calls `method`, which answers with so many messages and this status.
async fn check(
    reason: Reason,
    outcome: Outcome,
    method: &str,
    headers: &[(&str, &str)],
    text: &'static str,
    status: &'static str,
    messages: usize,
) {
    let cache = Caches::builder().build().unwrap().get("default").unwrap();
    let layer = GrpcCacheLayer::new(&cache).method(METHOD, Duration::from_secs(60));
    let inner = move |_: Request<ReplayBody<Full<Bytes>>>| answer(status, messages);
    let service = layer.layer(tower::service_fn(inner));
    let mut call = Request::post(format!("http://site.test{method}")).version(Version::HTTP_2);
    for (name, value) in headers {
        call = call.header(*name, *value);
    }
    let call = call.body(Full::new(message(text))).unwrap();
    assert!(Asking::mark(call.clone()).is_err(), "{reason}");
    let answer: Response<_> = service.oneshot(call).await.unwrap();
    let said = answer.headers().get("cache-status").cloned();
    let _ = answer.into_body().collect().await;
    // A call that the layer isn't for stays as it is.
    if reason != Reason::NotNamed {
        let said = said.unwrap();
        let said = said.to_str().unwrap();
        assert!(
            said.ends_with(&format!("detail={reason}")),
            "{reason}: {said}"
        );
    }
    let counted = counts(&cache);
    assert_eq!(counted, [(outcome, reason, 1)]);
}

fn answer(status: &'static str, messages: usize) -> Answer {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let data = (0..messages).map(|_| Ok(Frame::data(message("b"))));
    let frames = data.chain([Ok(Frame::trailers(trailers))]).collect();
    framed(&[("content-type", "application/grpc")], frames)
}

fn message(text: &str) -> Bytes {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&[0][..], &length, text.as_bytes()].concat().into()
}
