//! Class 34 of the design's attacks: a call that carries something of its caller's own warms the
//! cache, and then somebody else makes a clean one; and the other way round.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use pitlane::GrpcCacheLayer;
use pitlane_testkit::Server;
use tower::{Layer, Service};

use crate::client::{Answer, Client, full};
use crate::fixture::{CACHED, Echo, bench, message, ok, open};
use crate::naive::Naive;

/// What no clean call may ever see.
const EVIL: &str = "ZXZpbA";

/// What somebody's own call carries.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Own {
    Metadata(&'static str, &'static str),
    Authority(&'static str),
}

pub(crate) const ATTACKS: &[Own] = &[
    Own::Metadata("authorization", "Bearer ZXZpbA"),
    Own::Metadata("proxy-authorization", "Basic ZXZpbA"),
    Own::Metadata("cookie", "session=ZXZpbA"),
    Own::Metadata("x-user-bin", EVIL),
    Own::Metadata("grpc-trace-bin", EVIL),
    Own::Metadata("grpc-tags-bin", EVIL),
    Own::Metadata("x-user", EVIL),
    Own::Metadata("x-forwarded-host", EVIL),
    Own::Metadata("forwarded", "host=ZXZpbA"),
    Own::Metadata("x-envoy-original-path", "/ZXZpbA"),
    Own::Metadata("accept-language", EVIL),
    Own::Metadata("origin", "http://ZXZpbA"),
    Own::Metadata("cache-control", "max-age=0, ZXZpbA"),
    Own::Metadata("baggage", "user=ZXZpbA"),
    // What clients send by themselves, with something else in it.
    Own::Metadata("user-agent", EVIL),
    Own::Metadata("accept-encoding", EVIL),
    Own::Metadata("grpc-accept-encoding", "gzip, ZXZpbA"),
    Own::Metadata("grpc-accept-encoding", "gzip"),
    Own::Metadata("grpc-encoding", EVIL),
    Own::Metadata("content-type", "application/grpc+ZXZpbA"),
    Own::Metadata("content-type", "application/grpc; charset=ZXZpbA"),
    Own::Metadata("grpc-timeout", "26969886S"),
    Own::Metadata("traceparent", "00-ZXZpbA"),
    Own::Metadata("tracestate", "v=ZXZpbA"),
    Own::Metadata("host", EVIL),
    Own::Authority("ZXZpbA.test"),
    // Named by the operator, as a part of the key and as harmless.
    Own::Metadata("x-tenant", EVIL),
    Own::Metadata("x-request-id", EVIL),
];

pub(crate) fn layered(layer: GrpcCacheLayer) -> GrpcCacheLayer {
    layer
        .add_metadata(HeaderName::from_static("x-tenant"))
        .add_harmless_metadata(HeaderName::from_static("x-request-id"))
}

/// A handler that shows whatever it sees, in a coding that the client takes.
pub(crate) fn echo() -> Echo {
    Echo::new(|seen| async move {
        let text = seen.reflection();
        let accepted = seen.head.headers.get("grpc-accept-encoding");
        if !accepted.is_some_and(|value| value.to_str().unwrap().contains("gzip")) {
            return ok(&text);
        }
        let (writer, reply) = open(&[("grpc-encoding", "gzip")]);
        let mut coded = message(&text).to_vec();
        coded[0] = 1;
        writer.data(coded);
        writer.trailers(&[("grpc-status", "0")]);
        reply
    })
}

impl Own {
    pub(crate) async fn call(self, client: &Client, text: &str) -> Answer {
        match self {
            Self::Metadata(name, value) => client.call_with(text, &[(name, value)]).await,
            Self::Authority(name) => client.named(name).call(text).await,
        }
    }
}

/// Whether a clean answer has something in it that a clean call can't have caused.
pub(crate) fn is_poisoned(answer: &Answer) -> bool {
    let text = String::from_utf8_lossy(&answer.body);
    let shown = text.contains(EVIL) || text.contains("26969886S");
    shown || answer.head.contains_key("grpc-encoding") || answer.body.first() == Some(&1)
}

/// The attacks that worked: a clean call was answered by somebody's own.
async fn successes<S, B>(make: impl Fn() -> S, shown_to_handler: bool) -> Vec<Own>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut worked = Vec::new();
    for own in ATTACKS {
        let server = Server::start(make()).await;
        let client = Client::connect(&server).await;
        let attacker = own.call(&client, "a").await;
        assert!(
            is_poisoned(&attacker) || !shown_to_handler,
            "the handler does not show {own:?}: {attacker:?}"
        );
        let victim = client.call("a").await;
        if is_poisoned(&victim) {
            worked.push(*own);
        }
    }
    worked
}

#[tokio::test]
async fn no_clean_call_is_answered_by_somebodys_own() {
    let make = || layered(bench().layer).layer(echo());
    let worked = successes(make, false).await;
    assert!(worked.is_empty(), "{worked:?}");
}

#[tokio::test]
async fn the_naive_cache_is_caught_by_every_attack() {
    let worked = successes(|| Naive::new(echo()), true).await;
    assert_eq!(worked.len(), ATTACKS.len(), "{worked:?}");
}

/// What is somebody's own is never answered by what is stored for everybody.
#[tokio::test]
async fn somebodys_own_call_reaches_the_handler_although_a_clean_answer_is_stored() {
    for own in ATTACKS {
        let bench = bench();
        let echo = echo();
        let server = Server::start(layered(bench.layer.clone()).layer(echo.clone())).await;
        let client = Client::connect(&server).await;
        client.call("a").await;
        let answer = own.call(&client, "a").await;
        // What the handler can't see can't matter to it.
        let hidden = matches!(
            own,
            Own::Metadata(
                "user-agent"
                    | "accept-encoding"
                    | "grpc-timeout"
                    | "traceparent"
                    | "tracestate"
                    | "x-request-id",
                _
            )
        );
        assert_eq!(answer.is_hit(), hidden, "{own:?}: {answer:?}");
        assert_eq!(echo.calls(), if hidden { 1 } else { 2 }, "{own:?}");
    }
}

#[tokio::test]
async fn credentials_bypass_although_they_are_named() {
    let bench = bench();
    let echo = echo();
    let layer = bench
        .layer
        .add_metadata(http::header::AUTHORIZATION)
        .add_harmless_metadata(http::header::COOKIE);
    let server = Server::start(layer.layer(echo.clone())).await;
    let client = Client::connect(&server).await;
    for _ in 0..2 {
        let bearer = client
            .call_with("a", &[("authorization", "Bearer x")])
            .await;
        assert_eq!(
            bearer.cache_status(),
            "pitlane; fwd=bypass; detail=authorization"
        );
        let cookie = client.call_with("a", &[("cookie", "a=b")]).await;
        assert_eq!(cookie.detail(), "cookie");
    }
    assert_eq!(echo.calls(), 4);
    assert_eq!(bench.cache.memory().entries, 0);
}

#[tokio::test]
async fn a_handler_of_a_cached_method_sees_nothing_that_is_not_in_the_key() {
    let bench = bench();
    let layer = layered(bench.layer).any_authority();
    let server = Server::start(layer.layer(Echo::reflecting())).await;
    let client = Client::connect(&server).await;
    let metadata = [
        ("user-agent", "grpc-test/1"),
        ("grpc-timeout", "1S"),
        ("traceparent", "00-1"),
        ("accept-encoding", "identity"),
        ("grpc-accept-encoding", "identity,zstd, gzip,unheard-of"),
        ("x-request-id", "7"),
        ("x-tenant", "blue"),
    ];
    let answer = client.call_with("a", &metadata).await;
    let seen = "[content-type=application/grpc grpc-accept-encoding=gzip,zstd te=trailers \
                x-tenant=blue] a";
    assert_eq!(answer.text(), format!("{CACHED} {seen}"));
    // By another name, and with another order of codings, it is the same call.
    let metadata = [("x-tenant", "blue"), ("grpc-accept-encoding", "gzip,zstd")];
    let hit = client.named("other.test").call_with("a", &metadata).await;
    assert!(hit.is_hit(), "{hit:?}");
}

/// Keys that differ in where one part ends and the next begins.
#[tokio::test]
async fn parts_of_the_key_do_not_run_into_each_other() {
    let bench = bench();
    let names = ["x-a", "x-ab"].map(HeaderName::from_static);
    let layer = names
        .into_iter()
        .fold(bench.layer, GrpcCacheLayer::add_metadata);
    let echo = Echo::counting();
    let server = Server::start(layer.layer(echo.clone())).await;
    let client = Client::connect(&server).await;
    let calls: [&[(&str, &str)]; 8] = [
        &[("x-a", "b")],
        &[("x-ab", "b")],
        &[("x-a", ""), ("x-ab", "b")],
        &[("x-a", "b"), ("x-ab", "")],
        &[("x-a", "b"), ("x-a", "b")],
        &[("x-a", "b, b")],
        &[("grpc-encoding", "b")],
        &[("x-a", "1"), ("x-ab", "b")],
    ];
    for (number, metadata) in (1..).zip(calls) {
        let answer = client.call_with("a", metadata).await;
        assert_eq!(answer.text(), format!("{number}"), "{metadata:?}");
    }
    let request = client.request(CACHED, &[("x-a", "b")], full(message("a")));
    assert_eq!(client.send(request).await.text(), "1");
}
