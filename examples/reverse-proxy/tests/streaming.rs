//! Bodies pass as they come, in bounded memory, with their trailers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::support::client::{ask, http1, http2, text};
use crate::support::origin::{Counting, full};
use crate::support::pipe::{Sender, pipe};
use crate::support::{proxy, proxy_with};

const CHUNK: usize = 64 << 10;
const CHUNKS: usize = 1024;
/// Less than half of the 64 MiB, and more than all socket buffers and windows together.
const BOUND: usize = CHUNKS / 2;

fn empty() -> Empty<Bytes> {
    Empty::new()
}

fn get() -> Request<Empty<Bytes>> {
    Request::get("http://x/")
        .header("host", "x")
        .body(empty())
        .expect("a request")
}

/// What takes this long has failed.
const HANGS: Duration = Duration::from_secs(30);

/// The cache's part in a body: none, or a copy of what may be stored.
const FLAGS: [&[&str]; 3] = [&["--no-cache"], &[], &["--ttl", "60s"]];

/// An origin that hands the sending half of each answer's body to the test.
async fn held_origin(content_type: &'static str) -> (Counting, mpsc::Receiver<Sender>) {
    let (senders, receiver) = mpsc::channel(1);
    let origin = Counting::start(move |_| {
        let senders = senders.clone();
        async move {
            let (sender, body) = pipe(1);
            senders.send(sender).await.expect("the test waits for it");
            let mut response = Response::new(body.boxed());
            let content_type = HeaderValue::from_static(content_type);
            response.headers_mut().insert("content-type", content_type);
            response
        }
    })
    .await;
    (origin, receiver)
}

#[tokio::test]
async fn an_event_arrives_while_the_stream_is_open() {
    for flags in FLAGS {
        for content_type in ["text/event-stream", "Text/Event-Stream ; charset=utf-8"] {
            check_events(content_type, flags).await;
        }
    }
}

/// Two subscribers, and the second does not wait for the end of what the first one gets.
async fn check_events(content_type: &'static str, flags: &[&str]) {
    let (origin, mut senders) = held_origin(content_type).await;
    let proxy = proxy_with(origin.address, flags).await;
    let first = http1(proxy)
        .await
        .send_request(get())
        .await
        .expect("a header section");
    let over_1 = (first, senders.recv().await.expect("a body"));
    // Whoever waited for the first stream would wait for ever.
    let second = tokio::time::timeout(HANGS, http2(proxy).await.send_request(get()))
        .await
        .expect("the second stream begins")
        .expect("a header section");
    let over_2 = (second, senders.recv().await.expect("a body"));
    for (mut response, mut events) in [over_1, over_2] {
        for event in ["data: 1\n\n", "data: 2\n\n"] {
            assert!(events.data(event).await);
            let frame = response.frame().await.expect("an event").expect("no error");
            assert_eq!(frame.into_data().expect("data"), event);
        }
        drop(events);
        let rest = response
            .into_body()
            .collect()
            .await
            .expect("an orderly end");
        assert!(rest.to_bytes().is_empty());
    }
}

#[tokio::test]
async fn a_body_that_is_recorded_arrives_while_it_is_made() {
    let (origin, mut senders) = held_origin("text/plain").await;
    let proxy = proxy_with(origin.address, &["--ttl", "60s"]).await;
    let mut response = http1(proxy)
        .await
        .send_request(get())
        .await
        .expect("a header section");
    assert_eq!(
        response.headers()["cache-status"],
        "pitlane; fwd=uri-miss; stored; detail=uri-miss"
    );
    let mut lines = senders.recv().await.expect("a body");
    for line in ["1\n", "2\n"] {
        assert!(lines.data(line).await);
        let frame = response.frame().await.expect("a line").expect("no error");
        assert_eq!(frame.into_data().expect("data"), line);
    }
    drop(lines);
    let rest = response.into_body().collect().await;
    assert!(rest.expect("an orderly end").to_bytes().is_empty());
    let again = http2(proxy).await.send_request(get()).await;
    assert_eq!(text(again.expect("an answer")).await, "1\n2\n");
    assert_eq!(origin.calls(), 1);
}

#[tokio::test]
async fn an_abandoned_stream_is_given_up_at_the_origin() {
    for flags in FLAGS {
        for content_type in ["text/event-stream", "text/plain"] {
            let (origin, mut senders) = held_origin(content_type).await;
            let mut client = http1(proxy_with(origin.address, flags).await).await;
            let response = client.send_request(get()).await.expect("a header section");
            let mut events = senders.recv().await.expect("a body");
            drop((response, client));
            // Ends when the proxy has closed its connection, else never.
            while events.data(&[b'x'; 1024][..]).await {
                tokio::task::yield_now().await;
            }
            assert_eq!(origin.calls(), 1);
        }
    }
}

/// Sends 64 MiB and counts the chunks that the other side was ready to take.
fn pour(mut sender: Sender) -> Arc<AtomicUsize> {
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        let chunk = Bytes::from(vec![7; CHUNK]);
        for _ in 0..CHUNKS {
            assert!(
                sender.data(chunk.clone()).await,
                "the body is read to its end"
            );
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    taken
}

/// Waits until nothing moves any more. Looking too early makes the test weaker, never red.
async fn settled(taken: &AtomicUsize) -> usize {
    let (mut seen, mut quiet) = (0, 0);
    while quiet < 10 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = taken.load(Ordering::SeqCst);
        quiet = if now == seen && now > 0 { quiet + 1 } else { 0 };
        seen = now;
    }
    seen
}

async fn check_download(response: Response<Incoming>, sender: Sender) {
    let taken = pour(sender);
    let held = settled(&taken).await;
    assert!(
        held < BOUND,
        "{held} chunks were taken from the origin for a client that reads none"
    );
    let mut body = response.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let data = frame.expect("no error").into_data().expect("data");
        assert!(data.iter().all(|byte| *byte == 7));
        length += data.len();
    }
    assert_eq!(length, CHUNK * CHUNKS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_holds_the_origin_back() {
    for flags in FLAGS {
        let (origin, mut senders) = held_origin("application/octet-stream").await;
        let proxy = proxy_with(origin.address, flags).await;
        let mut client = http1(proxy).await;
        let response = client.send_request(get()).await.expect("a header section");
        check_download(response, senders.recv().await.expect("a body")).await;
        let mut client = http2(proxy).await;
        let response = client.send_request(get()).await.expect("a header section");
        check_download(response, senders.recv().await.expect("a body")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_origin_holds_the_upload_back() {
    let (go, gate) = tokio::sync::watch::channel(false);
    let origin = Counting::start(move |request: Request<Incoming>| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open)
                .await
                .expect("the test opens the gate");
            let mut body = request.into_body();
            let mut length = 0;
            while let Some(frame) = body.frame().await {
                length += frame.expect("no error").into_data().expect("data").len();
            }
            full(length.to_string())
        }
    })
    .await;
    let proxy = proxy(origin.address).await;

    let post = |body| {
        Request::post("http://x/")
            .header("host", "x")
            .body(body)
            .expect("a request")
    };
    let (over_1, body_1) = pipe(1);
    let (over_2, body_2) = pipe(1);
    let (mut client_1, mut client_2) = (http1(proxy).await, http2(proxy).await);
    let answers = [
        tokio::spawn(async move { client_1.send_request(post(body_1)).await }),
        tokio::spawn(async move { client_2.send_request(post(body_2)).await }),
    ];
    for sender in [over_1, over_2] {
        let held = settled(&pour(sender)).await;
        assert!(
            held < BOUND,
            "{held} chunks were taken for an origin that reads none"
        );
    }
    go.send_replace(true);
    for answer in answers {
        let response = answer.await.expect("no panic").expect("an answer");
        assert_eq!(text(response).await, (CHUNK * CHUNKS).to_string());
    }
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let origin = Counting::start(|request: Request<Incoming>| async {
        let collected = request
            .into_body()
            .collect()
            .await
            .expect("a complete body");
        let sum = collected
            .trailers()
            .and_then(|trailers| trailers.get("x-sum"))
            .cloned();
        let (mut sender, body) = pipe(2);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", sum.expect("the request's trailer"));
        assert!(sender.data(&b"body"[..]).await);
        assert!(sender.trailers(trailers).await);
        let mut response = Response::new(body.boxed());
        response
            .headers_mut()
            .insert("trailer", HeaderValue::from_static("x-sum"));
        response
    })
    .await;
    let proxy = proxy(origin.address).await;

    let request = "POST / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: te\r\nTrailer: x-sum\r\n\
        Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-sum: 42\r\n\r\n";
    let answer = ask(proxy, request).await;
    assert!(
        answer.ends_with("\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n"),
        "{answer}"
    );

    let (mut sender, body) = pipe(2);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("43"));
    assert!(sender.data(&b"a"[..]).await);
    assert!(sender.trailers(trailers).await);
    let request = Request::post("http://x/")
        .header("te", "trailers")
        .header("trailer", "x-sum");
    let request = request.body(body).expect("a request");
    let response = http2(proxy)
        .await
        .send_request(request)
        .await
        .expect("an answer");
    let collected = response
        .into_body()
        .collect()
        .await
        .expect("a complete body");
    assert_eq!(collected.trailers().expect("trailers")["x-sum"], "43");
}

#[tokio::test]
async fn trailers_are_there_for_the_second_client_as_well() {
    let origin = Counting::start(|_| async {
        let (mut sender, body) = pipe(2);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("42"));
        assert!(sender.data(&b"body"[..]).await);
        assert!(sender.trailers(trailers).await);
        let mut response = Response::new(body.boxed());
        let x_sum = HeaderValue::from_static("x-sum");
        response.headers_mut().insert("trailer", x_sum);
        response
    })
    .await;
    let proxy = proxy_with(origin.address, &["--ttl", "60s"]).await;
    for _ in 0..2 {
        let mut request = get();
        let te = HeaderValue::from_static("trailers");
        request.headers_mut().insert("te", te);
        let answer = http2(proxy).await.send_request(request).await;
        let answer = answer.expect("an answer").into_body().collect().await;
        let answer = answer.expect("a complete body");
        assert_eq!(answer.trailers().expect("trailers")["x-sum"], "42");
        assert_eq!(answer.to_bytes(), "body");
    }
    assert_eq!(origin.calls(), 2);
}

/// A client that did not ask for trailers gets the same body without them.
#[tokio::test]
async fn trailers_are_for_those_who_asked() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
        4\r\nbody\r\n0\r\nx-sum: 42\r\n\r\n";
    let seen = crate::support::exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n", answer).await;
    assert!(
        seen.client.ends_with("\r\n\r\n4\r\nbody\r\n0\r\n\r\n"),
        "{}",
        seen.client
    );
}
