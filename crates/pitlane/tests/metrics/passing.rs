//! What passes through the layer unchanged: bodies, trailers, errors, readiness.

use std::{
    future::{Ready, poll_fn, ready},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use pitlane::MetricsLayer;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::{book::Book, drive::get};

const SECONDS: &str = "http_server_request_duration_seconds";

/// A body that gives what it is told to, and says of itself what it is told to.
#[derive(Debug, Default)]
struct Script {
    frames: Vec<Result<Frame<Bytes>, &'static str>>,
    hint: Option<u64>,
    /// Whether it knows its last frame when it gives it.
    knows: bool,
}

impl Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        if self.frames.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(self.frames.remove(0)))
    }

    fn is_end_stream(&self) -> bool {
        self.knows && self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.hint.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

fn data(text: &'static str) -> Result<Frame<Bytes>, &'static str> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

async fn answer(script: Script) -> Response<impl Body<Data = Bytes, Error = &'static str>> {
    let mut script = Some(script);
    let site = service_fn(move |_: Request<_>| {
        let mut response = Response::new(script.take().unwrap());
        response.extensions_mut().insert("kept");
        ready(Ok::<_, &'static str>(response))
    });
    let response = MetricsLayer::new()
        .layer(site)
        .oneshot(get("/"))
        .await
        .unwrap();
    assert_eq!(response.extensions().get::<&str>(), Some(&"kept"));
    response
}

#[tokio::test]
async fn frames_trailers_and_hints_pass_and_the_end_is_recorded_at_the_end() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    for knows in [false, true] {
        let before = book.measured(SECONDS).into_values().sum::<usize>();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let frames = vec![data("a"), data("b"), Ok(Frame::trailers(trailers.clone()))];
        let response = answer(Script {
            frames,
            hint: Some(2),
            knows,
        })
        .await;
        let mut body = Box::pin(response.into_body());
        assert_eq!(body.size_hint().exact(), Some(2));
        for expected in ["a", "b"] {
            assert!(!body.is_end_stream());
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), expected);
        }
        let recorded = || book.measured(SECONDS).into_values().sum::<usize>() - before;
        assert_eq!(recorded(), 0, "it goes on");
        let last = body.frame().await.unwrap().unwrap();
        assert_eq!(last.into_trailers().unwrap(), trailers);
        assert_eq!(
            (body.is_end_stream(), recorded()),
            (knows, usize::from(knows))
        );
        assert!(body.frame().await.is_none());
        drop(body);
        assert_eq!(recorded(), 1, "once");
    }
}

#[tokio::test]
async fn an_error_of_the_body_passes_and_ends_the_measuring() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let frames = vec![data("a"), Err("broken"), data("more")];
    let response = answer(Script {
        frames,
        ..Script::default()
    })
    .await;
    let mut body = Box::pin(response.into_body());
    body.frame().await.unwrap().unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap_err(), "broken");
    let measured = book.measured(SECONDS);
    let series = format!("{SECONDS}{{method=GET,route=unmatched,status=200,outcome=none}}");
    assert_eq!(measured, [(series, 1)].into());
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_recorded_when_it_is_dropped() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let response = answer(Script::default()).await;
    assert_eq!(book.measured(SECONDS).len(), 0);
    drop(response);
    assert_eq!(book.measured(SECONDS).len(), 1);
}

/// A service that isn't ready twice, and fails.
#[derive(Debug, Default)]
struct Reluctant(usize);

impl<Q> Service<Request<Q>> for Reluctant {
    type Response = Response<Empty<Bytes>>;
    type Error = &'static str;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        self.0 += 1;
        match self.0 {
            1 | 2 => Poll::Pending,
            3 => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err("over")),
        }
    }

    fn call(&mut self, _: Request<Q>) -> Self::Future {
        assert_eq!(self.0, 3, "called when it was ready");
        ready(Err("refused"))
    }
}

#[tokio::test]
async fn readiness_and_errors_are_the_inner_services_own() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    // It is no Clone, and nobody asks it to be.
    let mut service = MetricsLayer::new().layer(Reluctant::default());
    let mut polls = Vec::new();
    poll_fn(|cx| {
        let ready = Service::<Request<()>>::poll_ready(&mut service, cx);
        polls.push(ready.is_pending());
        cx.waker().wake_by_ref();
        ready
    })
    .await
    .unwrap();
    assert_eq!(polls, [true, true, false]);
    assert_eq!(service.call(get("/")).await.unwrap_err(), "refused");
    let over = poll_fn(|cx| Service::<Request<()>>::poll_ready(&mut service, cx)).await;
    assert_eq!(over, Err("over"));
    let series = format!("{SECONDS}{{method=GET,route=unmatched,status=error,outcome=none}}");
    assert_eq!(book.measured(SECONDS), [(series, 1)].into());
}

#[tokio::test]
async fn whoever_leaves_before_the_answer_is_recorded_as_dropped() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let never = service_fn(|_: Request<_>| {
        std::future::pending::<Result<Response<Empty<Bytes>>, &'static str>>()
    });
    let mut service = MetricsLayer::new().layer(never);
    let mut waiting = Box::pin(service.call(get("/")));
    let polled = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await;
    assert!(polled && book.measured(SECONDS).is_empty());
    drop(waiting);
    let series = format!("{SECONDS}{{method=GET,route=unmatched,status=dropped,outcome=none}}");
    assert_eq!(book.measured(SECONDS), [(series, 1)].into());
}

#[test]
fn services_bodies_and_futures_are_send_and_sync_where_what_they_wrap_is() {
    fn check<T: Send + Sync + std::fmt::Debug>(_: &T) {}
    let mut service = MetricsLayer::new().layer(Reluctant(3));
    check(&service);
    let future = Service::call(&mut service, get("/"));
    check(&future);
}
