//! Bodies that nobody should wait for.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use pitlane::{Caches, Claim, Clock, Reason, ResponseCacheLayer, Timestamp};
use pitlane_testkit::{Client, Origin, Protocol, Reply, Server};
use tower::Layer;

/// A body that gives one chunk and then nothing, for ever, or panics.
struct Endless {
    polls: u32,
    panics: bool,
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.polls += 1;
        if self.polls == 1 {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"first")))));
        }
        // The second poll is still the layer's look at what is there already.
        assert!(
            !self.panics || self.polls == 2,
            "the body panics, as this test wants"
        );
        Poll::Pending
    }
}

fn endless(content_type: &str, panics: bool) -> Reply {
    let headers = [
        ("cache-control", "max-age=60"),
        ("content-type", content_type),
    ];
    let polls = 0;
    Origin::reply(&headers, "").map(|_| UnsyncBoxBody::new(Endless { polls, panics }))
}

/// The head and the first chunk; the body stays open as long as it is held.
async fn begin(client: &Client, url: &str) -> (String, http::Response<hyper::body::Incoming>) {
    let request = http::Request::get(url)
        .body(http_body_util::Full::default())
        .unwrap();
    let mut response = client.begin(request).await.unwrap();
    let first = response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "first");
    let status = response.headers()["cache-status"]
        .to_str()
        .unwrap()
        .to_owned();
    (status, response)
}

#[tokio::test]
async fn followers_of_an_endless_answer_lose_patience_and_ask_for_themselves() {
    let origin = Origin::new(|_, _| async { endless("text/plain", false) });
    let caches = Caches::builder().build().unwrap();
    let cache = caches.get("default").unwrap();
    let layer = ResponseCacheLayer::new(&cache).patience(Duration::from_millis(50));
    let server = Server::start(layer.layer(origin.clone())).await;
    let client = Client::new(Protocol::Http1);
    let (first, _held) = begin(&client, &server.url("/a")).await;
    assert_eq!(first, "pitlane; fwd=uri-miss; stored; detail=uri-miss");
    let (second, _also_held) = begin(&client, &server.url("/a")).await;
    assert_eq!(second, "pitlane; fwd=uri-miss; stored; detail=uri-miss");
    assert_eq!(cache.fills(), [(Reason::SlowBody, 1)]);
    // From now on nobody waits at all.
    let (third, _held_too) = begin(&client, &server.url("/a")).await;
    assert!(third.starts_with("pitlane; fwd=bypass"), "{third}");
    assert_eq!(origin.calls(), 3);
}

#[tokio::test]
async fn an_event_stream_is_never_stored_and_never_waited_for() {
    let origin = Origin::new(|_, _| async { endless("Text/Event-Stream; charset=utf-8", false) });
    let caches = Caches::builder().build().unwrap();
    let layer = ResponseCacheLayer::new(&caches.get("default").unwrap());
    let server = Server::start(layer.ttl(Duration::from_secs(60)).layer(origin)).await;
    let client = Client::new(Protocol::Http1);
    let (first, _held) = begin(&client, &server.url("/a")).await;
    let (second, _also_held) = begin(&client, &server.url("/a")).await;
    assert_eq!(first, "pitlane; fwd=uri-miss; detail=event-stream");
    assert_eq!(second, "pitlane; fwd=bypass; detail=event-stream");
}

#[tokio::test]
async fn a_body_that_panics_while_a_task_reads_it_leaves_nobody_waiting() {
    let origin = Origin::new(|_, call| async move {
        if call == 1 {
            endless("text/plain", true)
        } else {
            Origin::reply(&[], "whole")
        }
    });
    let caches = Caches::builder().build().unwrap();
    let layer = ResponseCacheLayer::new(&caches.get("default").unwrap());
    let mut service = layer.layer(origin);
    let mut call = || {
        tower::Service::call(
            &mut service,
            http::Request::get("/a").body(String::new()).unwrap(),
        )
    };
    let leader = call().await.unwrap();
    // The follower's coming starts the task, which panics.
    let follower = tokio::time::timeout(Duration::from_secs(5), call()).await;
    let whole = follower.expect("the follower is let go").unwrap();
    assert_eq!(
        whole.into_body().collect().await.unwrap().to_bytes(),
        "whole"
    );
    let client = tokio::spawn(leader.into_body().collect());
    let client = tokio::time::timeout(Duration::from_secs(5), client).await;
    assert!(
        client.expect("the client is let go").is_err(),
        "it sees the panic"
    );
}

#[tokio::test]
async fn a_head_request_falls_back_on_something_stale_as_a_get_does() {
    let origin = Origin::new(|_, call| async move {
        let mut reply = Origin::reply(&[("cache-control", "max-age=1, stale-if-error=60")], "page");
        if call > 1 {
            *reply.status_mut() = StatusCode::BAD_GATEWAY;
        }
        reply
    });
    let clock = Clock::manual(Timestamp::from_millis(1_000_000_000_000));
    let caches = Caches::builder().clock(clock.clone()).build().unwrap();
    let layer = ResponseCacheLayer::new(&caches.get("default").unwrap());
    let server = Server::start(layer.layer(origin)).await;
    let client = Client::new(Protocol::Http1);
    let url = server.url("/a");
    client.get(&url, &[]).await;
    clock.advance(Duration::from_secs(5));
    for method in [Method::GET, Method::HEAD] {
        let answer = client.ask(method, &url, &[]).await;
        assert_eq!(
            (answer.status, answer.detail()),
            (StatusCode::OK, "stale-if-error")
        );
        assert_eq!(answer.header("content-length"), "4");
    }
}

#[tokio::test(start_paused = true)]
async fn computations_that_claim_each_others_keys_do_not_wait_for_ever() {
    let cache = Caches::builder().build().unwrap().get("default").unwrap();
    let (key_a, key_b) = (pitlane::Key::new("a"), pitlane::Key::new("b"));
    let Claim::Fill(a) = cache.claim(&key_a).await else {
        panic!("a is there");
    };
    let Claim::Fill(b) = cache.claim(&key_b).await else {
        panic!("b is there");
    };
    let (first, second) = tokio::join!(a.run(cache.claim(&key_b)), b.run(cache.claim(&key_a)));
    assert!(matches!((first, second), (Claim::Fill(_), Claim::Fill(_))));
}
