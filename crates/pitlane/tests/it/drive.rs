//! Drives a layer without sockets: whole answers, and futures polled by hand.

use std::{
    fmt::Debug,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use pitlane::{Cache, Caches, Clock, ResponseCacheLayer, Timestamp};
use pitlane_testkit::Answer;
use tower::{Service, ServiceExt};

pub(crate) const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];
pub(crate) const NO_STORE: &[(&str, &str)] = &[("cache-control", "no-store")];

/// One cache, a clock that stands still, and the plain layer over it.
pub(crate) struct Bench {
    pub(crate) caches: Caches,
    pub(crate) cache: Cache,
    pub(crate) clock: Clock,
    pub(crate) layer: ResponseCacheLayer,
}

pub(crate) fn bench() -> Bench {
    let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let caches = Caches::builder().clock(clock.clone()).build().unwrap();
    let cache = caches.get("default").unwrap();
    let layer = ResponseCacheLayer::new(&cache);
    Bench {
        caches,
        cache,
        clock,
        layer,
    }
}

pub(crate) fn request(
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Request<Empty<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://site.test{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Empty::new()).unwrap()
}

/// Sends one request and reads the whole answer; trailers are added to its headers.
pub(crate) fn try_send<S, R>(service: S, request: Request<Empty<Bytes>>) -> Tried
where
    S: Service<Request<Empty<Bytes>>, Response = Response<R>> + Send + 'static,
    S::Future: Send,
    S::Error: Debug + Send,
    R: Body<Data = Bytes> + Send,
    R::Error: Debug + Send,
{
    Box::pin(async move {
        let answer = service.oneshot(request).await;
        let (head, body) = answer.map_err(|error| format!("{error:?}"))?.into_parts();
        let body = body.collect().await;
        let body = body.map_err(|error| format!("body: {error:?}"))?;
        let mut headers = head.headers;
        headers.extend(body.trailers().cloned().unwrap_or_default());
        Ok(Answer {
            status: head.status,
            headers,
            body: body.to_bytes(),
        })
    })
}

pub(crate) type Tried = Pin<Box<dyn Future<Output = Result<Answer, String>> + Send>>;
pub(crate) type Asked = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Borrows nothing, so that it can be spawned.
pub(crate) fn ask<S, R>(service: &S, method: Method, path: &str, headers: &[(&str, &str)]) -> Asked
where
    S: Service<Request<Empty<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Debug + Send,
    R: Body<Data = Bytes> + Send,
    R::Error: Debug + Send,
{
    let (service, request) = (service.clone(), request(method, path, headers));
    Box::pin(async move { try_send(service, request).await.unwrap() })
}

pub(crate) fn get<S, R>(service: &S, path: &str) -> Asked
where
    S: Service<Request<Empty<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Debug + Send,
    R: Body<Data = Bytes> + Send,
    R::Error: Debug + Send,
{
    ask(service, Method::GET, path, &[])
}

/// Polls once, by hand. Who is woken is nobody: the caller polls again when it wants to.
pub(crate) fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits for something that must come: a hang fails the test instead of blocking it.
#[track_caller]
pub(crate) fn bounded<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let at = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(Duration::from_secs(20), work).await {
            Ok(output) => output,
            Err(_) => panic!("hung at {at}"),
        }
    }
}

/// Lets other tasks run until something holds.
#[track_caller]
pub(crate) fn until(mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    bounded(async move {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
}

/// Pending exactly once: an await point.
#[derive(Default)]
pub(crate) struct Pause(bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
