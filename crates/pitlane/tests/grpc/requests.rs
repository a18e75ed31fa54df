//! Calls that have no key: they pass as they came, with whatever was read of them.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Version, header};
use http_body::Frame;
use http_body_util::{BodyExt, Channel};
use pitlane::GrpcCacheLayer;
use pitlane_testkit::{Client as PlainClient, Protocol, Server};
use tower::Layer;

use crate::client::{Client, full};
use crate::fixture::{CACHED, Echo, Seen, TTL, bench, fields, message, ok};

/// A handler that says what it got.
fn echo() -> Echo {
    let tell = |seen: &Seen| {
        format!(
            "{} {:?} {:?} {}",
            seen.head.uri,
            seen.body,
            seen.trailers,
            seen.head.headers.len()
        )
    };
    Echo::new(move |seen| {
        let text = tell(&seen);
        async move { ok(&text) }
    })
}

/// Sends frames to the method twice, and to a bare server once: all three must look alike, and
/// nothing be stored.
async fn check_passes(reason: &str, frames: Vec<Frame<Bytes>>) {
    let bench = bench();
    let echo = echo();
    let server = Server::start(bench.layer.max_message(100).layer(echo.clone())).await;
    let bare = Server::start(echo.clone()).await;
    let mut texts = Vec::new();
    for server in [&bare, &server, &server] {
        let client = Client::connect(server).await;
        let (mut sender, body) = Channel::<Bytes, &'static str>::new(1);
        let frames: Vec<_> = frames
            .iter()
            .map(|frame| match frame.data_ref() {
                Some(data) => Frame::data(data.clone()),
                None => Frame::trailers(frame.trailers_ref().unwrap().clone()),
            })
            .collect();
        tokio::spawn(async move {
            for frame in frames {
                sender.send(frame).await.unwrap();
                // Each frame arrives by itself.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let request = client.request(CACHED, &[], body.boxed_unsync());
        let answer = client.send(request).await;
        texts.push(answer.text().to_owned());
        if server.address() != bare.address() {
            assert_eq!(answer.detail(), reason);
        }
    }
    assert_eq!(texts[0], texts[1]);
    assert_eq!(texts[0], texts[2]);
    assert_eq!(echo.calls(), 3);
    assert_eq!(bench.cache.memory().entries, 0);
}

fn data(bytes: impl Into<Bytes>) -> Frame<Bytes> {
    Frame::data(bytes.into())
}

#[tokio::test]
async fn a_call_that_is_not_exactly_one_message_passes_with_all_of_it() {
    let one = || data(message("one"));
    let reason = "request-message";
    check_passes(reason, vec![]).await;
    check_passes(
        reason,
        vec![one(), data(message("two")), data(message("three"))],
    )
    .await;
    check_passes(
        reason,
        vec![data([message("one"), message("two")].concat())],
    )
    .await;
    check_passes(
        reason,
        vec![one(), Frame::trailers(fields(&[("x-a", "b")]))],
    )
    .await;
    check_passes(reason, vec![Frame::trailers(fields(&[("x-a", "b")]))]).await;
    check_passes(reason, vec![data(message("one").slice(..7))]).await;
    check_passes(reason, vec![data(&b"\0\0\0"[..])]).await;
    check_passes(reason, vec![data(&b"\x02\0\0\0\x01a"[..])]).await;
    let long = message(&"x".repeat(101));
    check_passes(reason, vec![data(long.slice(..50)), data(long.slice(50..))]).await;
}

#[tokio::test]
async fn a_message_in_pieces_is_the_same_as_in_one() {
    let bench = bench();
    let echo = echo();
    let server = Server::start(bench.layer.max_message(100).layer(echo.clone())).await;
    let client = Client::connect(&server).await;
    let whole = message(&"x".repeat(100));
    let first = client
        .send(client.request(CACHED, &[], full(whole.clone())))
        .await;
    let (mut sender, body) = Channel::<Bytes, &'static str>::new(1);
    tokio::spawn(async move {
        for at in 0..whole.len() {
            sender.send_data(whole.slice(at..=at)).await.unwrap();
        }
    });
    let pieces = client
        .send(client.request(CACHED, &[], body.boxed_unsync()))
        .await;
    assert!(pieces.is_hit(), "{pieces:?}");
    assert_eq!(pieces.text(), first.text());
    assert_eq!(echo.calls(), 1);
}

#[tokio::test]
async fn a_miss_in_pieces_reaches_the_handler_whole() {
    let bench = bench();
    let server = Server::start(bench.layer.layer(echo())).await;
    let client = Client::connect(&server).await;
    let whole = message("in pieces");
    let text = format!("{whole:?}");
    let (mut sender, body) = Channel::<Bytes, &'static str>::new(1);
    tokio::spawn(async move {
        for at in 0..whole.len() {
            sender.send_data(whole.slice(at..=at)).await.unwrap();
        }
    });
    let answer = client
        .send(client.request(CACHED, &[], body.boxed_unsync()))
        .await;
    assert_eq!(answer.detail(), "uri-miss");
    assert!(answer.text().contains(&text), "{}", answer.text());
}

#[tokio::test]
async fn a_compressed_message_has_a_key_unless_its_tags_are_in_it() {
    let compressed = || full(&b"\x01\0\0\0\x01a"[..]);
    let coding = &[("grpc-encoding", "gzip")];
    let bench = bench();
    let plain = GrpcCacheLayer::new(&bench.cache).method(CACHED, TTL);
    let plain = Server::start(plain.layer(Echo::counting())).await;
    let client = Client::connect(&plain).await;
    client
        .send(client.request(CACHED, coding, compressed()))
        .await;
    let hit = client
        .send(client.request(CACHED, coding, compressed()))
        .await;
    assert!(hit.is_hit());
    // The same bytes without the flag are another message.
    assert!(!client.call_with("a", coding).await.is_hit());
    let tagged = Server::start(bench.layer.layer(Echo::counting())).await;
    let client = Client::connect(&tagged).await;
    let passed = client
        .send(client.request(CACHED, coding, compressed()))
        .await;
    assert_eq!(passed.detail(), "request-message");
}

#[tokio::test]
async fn what_is_not_grpc_passes() {
    let bench = bench();
    let server = Server::start(bench.layer.layer(Echo::counting())).await;
    let client = Client::connect(&server).await;
    for content_type in [
        "application/grpc-web+proto",
        "application/json",
        "application/GRPC",
    ] {
        for _ in 0..2 {
            let metadata = [("content-type", content_type)];
            let answer = client.call_with("a", &metadata).await;
            assert_eq!(answer.detail(), "not-grpc", "{content_type}");
        }
    }
    let mut get = client.request(CACHED, &[], full(message("a")));
    *get.method_mut() = Method::PUT;
    assert_eq!(client.send(get).await.detail(), "not-grpc");
    let mut query = client.request(&format!("{CACHED}?a=b"), &[], full(message("a")));
    assert_eq!(query.version(), Version::HTTP_11);
    *query.version_mut() = Version::HTTP_2;
    assert_eq!(client.send(query).await.detail(), "not-grpc");
    let doubled = [
        ("content-type", "application/grpc"),
        ("content-type", "application/grpc+x"),
    ];
    assert_eq!(client.call_with("a", &doubled).await.detail(), "not-grpc");
    assert_eq!(bench.cache.memory().entries, 0);
    // Trailers can't be relied on before HTTP/2.
    let old = PlainClient::new(Protocol::Http1);
    let headers = [("content-type", "application/grpc"), ("host", "echo.test")];
    let answer = old.ask(Method::POST, &server.url(CACHED), &headers).await;
    assert_eq!(
        answer.header("cache-status"),
        "pitlane; fwd=bypass; detail=not-grpc"
    );
}

#[tokio::test]
async fn two_names_for_one_server_are_not_believed() {
    let bench = bench();
    let server = Server::start(bench.layer.layer(Echo::counting())).await;
    let client = Client::connect(&server).await;
    let same = client.call_with("a", &[("host", "echo.test")]).await;
    assert_eq!(same.detail(), "uri-miss");
    assert!(client.call("a").await.is_hit());
    for _ in 0..2 {
        let other = client
            .call_with("a", &[(header::HOST.as_str(), "evil.test")])
            .await;
        assert_eq!(other.detail(), "host");
    }
    let many = [("host", "echo.test"), ("host", "evil.test")];
    assert_eq!(client.call_with("a", &many).await.detail(), "host");
}

#[tokio::test]
async fn metadata_beyond_measure_makes_no_key() {
    let bench = bench();
    let layer = bench
        .layer
        .add_metadata(http::HeaderName::from_static("x-a"));
    let server = Server::start(layer.layer(Echo::counting())).await;
    let client = Client::connect(&server).await;
    let long = "x".repeat(9 << 10);
    let answer = client.call_with("a", &[("x-a", &long)]).await;
    assert_eq!(answer.detail(), "key-too-long");
}
