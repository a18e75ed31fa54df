//! What is stored, and what is passed on and forgotten.

use http::StatusCode;
use http_body_util::BodyExt;
use pitlane::Reason;
use pitlane_testkit::Server;
use tower::Layer;

use crate::client::{Answer, Client, full};
use crate::fixture::{CACHED, Echo, Reply, Writer, bench, ended, fields, message, open};

/// Has the handler answer in one way twice. Both calls must reach it, and the client must see what
/// it saw without a cache.
async fn check_not_stored(reason: &str, reply: impl Fn() -> Reply + Send + Sync + 'static) {
    let bench = bench();
    let echo = Echo::new(move |_| {
        let reply = reply();
        async move { reply }
    });
    let server = Server::start(bench.layer.layer(echo.clone())).await;
    let bare = Server::start(echo.clone()).await;
    let client = Client::connect(&server).await;
    let plain = Client::connect(&bare).await.call("a").await;
    let first = client.call("a").await;
    assert_eq!(first.detail(), reason, "{first:?}");
    assert!(!first.cache_status().contains("stored"), "{first:?}");
    same(&first, &plain);
    let second = client.call("a").await;
    same(&second, &plain);
    assert_eq!(second.detail(), reason, "{second:?}");
    assert_eq!(echo.calls(), 3, "{reason}");
}

#[track_caller]
fn same(seen: &Answer, plain: &Answer) {
    assert_eq!(seen.status, plain.status);
    assert_eq!(seen.own_head(), plain.own_head());
    assert_eq!(seen.body, plain.body);
    assert_eq!(seen.trailers, plain.trailers);
}

/// An answer whose frames are all there.
fn written(head: &[(&str, &str)], write: impl Fn(&Writer)) -> Reply {
    let (writer, reply) = open(head);
    write(&writer);
    reply
}

const OK: &[(&str, &str)] = &[("grpc-status", "0")];

#[tokio::test]
async fn an_error_is_not_stored_wherever_its_status_stands() {
    for status in ["1", "5", "13", "16", "", "00", "x"] {
        let trailers = move || {
            ended(
                "partial",
                &[("grpc-status", status), ("grpc-message", "no")],
            )
        };
        check_not_stored("grpc-status", trailers).await;
        let only = move || written(&[], |it| it.trailers(&[("grpc-status", status)]));
        check_not_stored("grpc-status", only).await;
        let head = move || written(&[("grpc-status", status)], |_| {});
        check_not_stored("grpc-status", head).await;
    }
    check_not_stored("grpc-status", || written(&[], |it| it.data(message("a")))).await;
    check_not_stored("grpc-status", || ended("a", &[("x-cost", "1")])).await;
    let twice = &[("grpc-status", "0"), ("grpc-status", "5")];
    check_not_stored("grpc-status", || ended("a", twice)).await;
}

#[tokio::test]
async fn an_answer_that_is_not_one_message_is_not_stored() {
    check_not_stored("not-unary", || written(&[("grpc-status", "0")], |_| {})).await;
    check_not_stored("not-unary", || written(&[], |it| it.trailers(OK))).await;
    let two = || {
        written(&[], |it| {
            it.data(message("one"));
            it.data(message("two"));
            it.trailers(OK);
        })
    };
    check_not_stored("not-unary", two).await;
    let two_in_one = || {
        written(&[], |it| {
            it.data([message("one"), message("two")].concat());
            it.trailers(OK);
        })
    };
    check_not_stored("not-unary", two_in_one).await;
    let short = || {
        written(&[], |it| {
            it.data(message("long").slice(..6));
            it.trailers(OK);
        })
    };
    check_not_stored("length-mismatch", short).await;
}

#[tokio::test]
async fn an_answer_that_is_not_grpc_or_not_for_everybody_is_not_stored() {
    check_not_stored("set-cookie", || {
        written(&[("set-cookie", "a=b")], |it| {
            it.data(message("a"));
            it.trailers(OK);
        })
    })
    .await;
    check_not_stored("set-cookie", || {
        ended("a", &[("grpc-status", "0"), ("set-cookie", "a=b")])
    })
    .await;
    for content_type in ["text/html", "application/grpc-web", "application/grpcx"] {
        check_not_stored("not-grpc", move || {
            let mut reply = ended("a", OK);
            *reply.headers_mut() = fields(&[("content-type", content_type)]);
            reply
        })
        .await;
    }
    check_not_stored("status", || {
        let mut reply = ended("a", OK);
        *reply.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        reply
    })
    .await;
    // A flag that means nothing, and a compressed message without a coding.
    check_not_stored("not-grpc", || {
        written(&[], |it| {
            it.data(&b"\x07\0\0\0\x01a"[..]);
            it.trailers(OK);
        })
    })
    .await;
    check_not_stored("not-grpc", || {
        written(&[], |it| {
            it.data(&b"\x01\0\0\0\x01a"[..]);
            it.trailers(OK);
        })
    })
    .await;
}

#[tokio::test]
async fn a_coding_that_was_not_asked_for_is_not_stored() {
    check_not_stored("not-grpc", || {
        written(&[("grpc-encoding", "gzip")], |it| {
            it.data(&b"\x01\0\0\0\x01a"[..]);
            it.trailers(OK);
        })
    })
    .await;
}

#[tokio::test]
async fn what_is_over_the_limit_passes_and_is_not_stored() {
    // One byte more than the registry's max_body of 1 MiB, and the length in the prefix.
    check_not_stored("too-large", || ended(&"x".repeat((1 << 20) + 1), OK)).await;
}

#[tokio::test]
async fn the_largest_message_is_stored() {
    let bench = bench();
    // With its metadata an entry is a little larger than its message.
    let text = "x".repeat((1 << 20) - 512);
    let echo = Echo::new(move |_| {
        let reply = ended(&text, OK);
        async move { reply }
    });
    let server = Server::start(bench.layer.layer(echo.clone())).await;
    let client = Client::connect(&server).await;
    client.call("a").await;
    assert!(client.call("a").await.is_hit());
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_stored_and_breaks_off_for_the_client() {
    let bench = bench();
    let (writer, reply) = open(&[]);
    let reply = std::sync::Mutex::new(Some(reply));
    let echo = Echo::new(move |_| {
        let reply = reply.lock().unwrap().take();
        async move { reply.unwrap_or_else(|| ended("whole", OK)) }
    });
    let server = Server::start(bench.layer.layer(echo.clone())).await;
    let client = Client::connect(&server).await;
    let request = client.request(CACHED, &[], full(message("a")));
    let response = client.open(request).await;
    writer.data(message("long").slice(..6));
    writer.fail();
    let body = response.into_body().collect().await;
    assert!(body.is_err(), "{body:?}");
    assert_eq!(bench.cache.fills(), [(Reason::BodyError, 1)]);
    let whole = client.call("a").await;
    assert_eq!((whole.text(), whole.detail()), ("whole", "uri-miss"));
}

#[tokio::test]
async fn an_answer_in_pieces_is_stored_when_its_trailers_come() {
    let bench = bench();
    let (writer, reply) = open(&[]);
    let reply = std::sync::Mutex::new(Some(reply));
    let echo = Echo::new(move |_| {
        let reply = reply.lock().unwrap().take().unwrap();
        async move { reply }
    });
    let server = Server::start(bench.layer.layer(echo.clone())).await;
    let client = Client::connect(&server).await;
    let mut response = client
        .open(client.request(CACHED, &[], full(message("a"))))
        .await;
    let whole = message("in pieces");
    for at in 0..whole.len() {
        writer.data(whole.slice(at..=at));
        let frame = response.body_mut().frame().await;
        assert_eq!(
            frame.unwrap().unwrap().into_data().unwrap(),
            whole.slice(at..=at)
        );
        assert_eq!(bench.cache.memory().entries, 0);
    }
    writer.trailers(OK);
    let last = response.body_mut().frame().await;
    assert!(last.unwrap().unwrap().is_trailers());
    let hit = client.call("a").await;
    assert!(hit.is_hit());
    assert_eq!(hit.text(), "in pieces");
}

#[tokio::test]
async fn a_stream_that_was_named_by_mistake_arrives_item_by_item() {
    let bench = bench();
    let (writer, reply) = open(&[]);
    let reply = std::sync::Mutex::new(Some(reply));
    let echo = Echo::new(move |_| {
        let reply = reply.lock().unwrap().take().unwrap();
        async move { reply }
    });
    let server = Server::start(bench.layer.layer(echo.clone())).await;
    let client = Client::connect(&server).await;
    let mut response = client
        .open(client.request(CACHED, &[], full(message("a"))))
        .await;
    for item in ["one", "two", "three"] {
        writer.data(message(item));
        let frame = response.body_mut().frame().await;
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), message(item));
    }
    writer.trailers(OK);
    let last = response.body_mut().frame().await;
    assert!(last.unwrap().unwrap().is_trailers());
    assert_eq!(bench.cache.fills(), [(Reason::NotUnary, 1)]);
    assert_eq!(bench.caches.get("default").unwrap().in_flight(), 0);
}
