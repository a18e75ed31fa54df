//! The layer without sockets: what a server would hide.

use std::{
    future::{pending, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Full;
use pitlane::{Outcome, Reason, ReplayBody};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::fixture::{CACHED, Frames, bench, message};

type Call = Request<ReplayBody<Full<Bytes>>>;

fn request() -> Request<Full<Bytes>> {
    Request::post(CACHED)
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .body(Full::new(message("a")))
        .unwrap()
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_the_callers_and_is_asked_for_again() {
    let bench = bench();
    let calls = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&calls);
    let inner = service_fn(move |_: Call| {
        counting.fetch_add(1, Ordering::SeqCst);
        ready(Err::<Response<Frames>, _>("the service is down"))
    });
    let service = bench.layer.layer(inner);
    for _ in 0..2 {
        let error = service.clone().oneshot(request()).await.unwrap_err();
        assert_eq!(error, "the service is down");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(bench.cache.fills(), [(Reason::Failed, 2)]);
    let counts = bench.cache.counts();
    assert_eq!(counts.len(), 1, "{counts:?}");
    assert_eq!((counts[0].outcome, counts[0].count), (Outcome::Miss, 2));
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_nothing_behind() {
    let bench = bench();
    let inner = service_fn(|_: Call| pending::<Result<Response<Frames>, &str>>());
    let mut service = bench.layer.layer(inner);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let mut call = Box::pin(service.call(request()));
    assert!(matches!(call.as_mut().poll(&mut cx), Poll::Pending));
    assert_eq!(bench.cache.in_flight(), 1);
    drop(call);
    assert_eq!(bench.cache.in_flight(), 0);
}
