//! The layer between other people's layers and servers.

use std::{
    cell::Cell,
    convert::Infallible,
    future::{Ready, ready},
    marker::PhantomPinned,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, routing::get as get_route};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use pitlane::{AnonymousCacheLayer, ResponseCacheLayer};
use pitlane_testkit::{Client, Gate, Origin, Protocol, Server};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt, buffer::BufferLayer, limit::ConcurrencyLimitLayer,
};

use crate::drive::{FRESH, NO_STORE, ask, bench, bounded, get, poll_once, request, until};

/// A body as tonic's: neither `Sync` nor `Unpin`, neither `Clone` nor `Default`.
struct Awkward {
    left: Cell<Option<Bytes>>,
    _pinned: PhantomPinned,
}

impl Body for Awkward {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(self.left.take().map(|data| Ok(Frame::data(data))))
    }
}

#[tokio::test]
async fn a_body_that_is_neither_sync_nor_unpin_is_served_by_hyper_and_cached() {
    let bench = bench();
    let inner = tower::service_fn(|_| async {
        let body = Awkward {
            left: Cell::new(Some(Bytes::from_static(b"awkward"))),
            _pinned: PhantomPinned,
        };
        let response = Response::builder().header("cache-control", "max-age=60");
        Ok::<_, Infallible>(response.body(body).unwrap())
    });
    // `Server` hands the service to hyper by `TowerToHyperService`.
    let server = Server::start(bench.layer.layer(inner)).await;
    let client = Client::new(Protocol::Http2);
    for hit in [false, true] {
        let answer = client.get(&server.url("/a"), &[]).await;
        assert_eq!((answer.text(), answer.is_hit()), ("awkward", hit));
    }
}

#[tokio::test]
async fn axum_takes_the_layer_on_routers_and_routes_without_handle_error() {
    let bench = bench();
    let layer = AnonymousCacheLayer::new(&bench.cache).ttl(Duration::from_secs(60));
    let app: Router = Router::new()
        .route("/route", get_route(|| async { "route" }))
        .route_layer(layer.clone())
        .merge(
            Router::new()
                .route("/router", get_route(|| async { "router" }))
                .layer(layer),
        );
    for path in ["/route", "/router"] {
        for hit in [false, true] {
            let request = request(Method::GET, path, &[]).map(axum::body::Body::new);
            let response = app.clone().oneshot(request).await.unwrap();
            let told = response.headers()["cache-status"]
                .to_str()
                .unwrap()
                .to_owned();
            assert_eq!(told.starts_with("pitlane; hit"), hit, "{path}: {told}");
        }
    }
}

/// Panics when it is called without having been asked whether it is ready, as some services do.
struct Strict(bool);

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self(false)
    }
}

impl<B> Service<Request<B>> for Strict {
    type Response = pitlane_testkit::Reply;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0 = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.0), "called without poll_ready");
        let headers = match request.uri().path() {
            "/no-store" => NO_STORE,
            _ => FRESH,
        };
        ready(Ok(Origin::reply(headers, "strict")))
    }
}

#[tokio::test]
async fn the_inner_service_is_never_called_before_it_said_that_it_is_ready() {
    let bench = bench();
    let service = bench.layer.layer(Strict(false));
    for (method, path) in [
        (Method::GET, "/a"),
        (Method::GET, "/a"),
        (Method::HEAD, "/b"),
        (Method::POST, "/a"),
        (Method::GET, "/a"),
        (Method::GET, "/no-store"),
        (Method::GET, "/no-store"),
    ] {
        let answer = ask(&service, method.clone(), path, &[]).await;
        assert!(answer.status.is_success(), "{method} {path}");
    }
}

#[tokio::test]
async fn a_hit_is_served_while_the_one_place_behind_a_limit_is_taken() {
    let bench = bench();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::new(move |request, _| {
        let gate = held.clone();
        async move {
            if request.uri().path() == "/slow" {
                gate.pass().await;
            }
            Origin::reply(FRESH, request.uri().path().to_owned())
        }
    });
    let limited = ServiceBuilder::new()
        .layer(&bench.layer)
        .layer(ConcurrencyLimitLayer::new(1))
        .service(origin.clone());
    get(&limited, "/warm").await;
    let mut slow = pin!(get(&limited, "/slow"));
    assert!(poll_once(slow.as_mut()).is_pending());
    gate.arrival().await;
    let mut queued = pin!(get(&limited, "/queued"));
    assert!(poll_once(queued.as_mut()).is_pending());
    let mut hit = pin!(get(&limited, "/warm"));
    let Poll::Ready(hit) = poll_once(hit.as_mut()) else {
        panic!("a hit waited for the limit");
    };
    assert!(hit.is_hit());
    gate.open(1);
    assert_eq!(bounded(slow).await.text(), "/slow");
    assert_eq!(bounded(queued).await.text(), "/queued");
    assert_eq!(origin.calls(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_buffer_nothing_panics_and_nothing_waits_for_ever() {
    let bench = bench();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::new(move |request, _| {
        let gate = held.clone();
        async move {
            if request.uri().path() == "/slow" {
                gate.pass().await;
            }
            Origin::reply(FRESH, "x")
        }
    });
    let buffered = ServiceBuilder::new()
        .layer(&bench.layer)
        .layer(BufferLayer::new(4))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(origin);
    bounded(get(&buffered, "/warm")).await;
    let slow = tokio::spawn(get(&buffered, "/slow"));
    gate.arrival().await;
    assert!(bounded(get(&buffered, "/warm")).await.is_hit());
    let others: Vec<_> = (0..50)
        .map(|number| tokio::spawn(get(&buffered, &format!("/{}", number % 10))))
        .collect();
    gate.open(1);
    for other in others {
        assert_eq!(bounded(other).await.unwrap().text(), "x");
    }
    assert_eq!(bounded(slow).await.unwrap().text(), "x");
}

#[tokio::test]
async fn the_same_cache_stacked_twice_does_not_wait_for_itself() {
    let bench = bench();
    let origin = Origin::counting(FRESH);
    let twice = ServiceBuilder::new()
        .layer(&bench.layer)
        .layer(ResponseCacheLayer::new(&bench.cache))
        .service(origin.clone());
    let miss = bounded(get(&twice, "/a")).await;
    assert_eq!(miss.text(), "/a 1");
    let hit = bounded(get(&twice, "/a")).await;
    let told = hit.headers.get_all("cache-status").iter().next_back();
    assert_eq!(told.unwrap(), "pitlane; hit; ttl=60; detail=fresh");
    assert_eq!(hit.text(), "/a 1");
    assert_eq!(origin.calls(), 1);
}

#[tokio::test]
async fn the_inner_service_sees_the_requests_extensions_and_its_own_are_never_stored() {
    #[derive(Clone, Debug, PartialEq)]
    struct Mark(u8);
    let bench = bench();
    let service = bench.layer.layer(Origin::new(|request, _| async move {
        let seen = request.extensions().get::<Mark>().cloned();
        let mut reply = Origin::reply(FRESH, format!("{seen:?}"));
        reply.extensions_mut().insert(Mark(9));
        reply
    }));
    let mut first = request(Method::GET, "/a", &[]);
    first.extensions_mut().insert(Mark(1));
    let first = service.clone().oneshot(first).await.unwrap();
    assert_eq!(first.extensions().get::<Mark>(), Some(&Mark(9)));
    drop(first);
    let hit = service
        .clone()
        .oneshot(request(Method::GET, "/a", &[]))
        .await
        .unwrap();
    assert_eq!(hit.extensions().get::<Mark>(), None);
    assert_eq!(get(&service, "/a").await.text(), "Some(Mark(1))");
}

#[tokio::test]
async fn a_hit_is_ready_at_the_first_poll_and_calls_nothing() {
    let bench = bench();
    let origin = Origin::counting(FRESH);
    let mut service = bench.layer.layer(origin.clone());
    get(&service, "/a").await;
    for _ in 0..100 {
        let mut hit = pin!(service.call(request(Method::GET, "/a", &[])));
        assert!(poll_once(hit.as_mut()).is_ready());
    }
    until(|| origin.calls() == 1).await;
    assert_eq!(origin.calls(), 1);
}
