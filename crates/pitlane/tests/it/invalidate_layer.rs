//! Requests to routes that are not cached, and what they end of those that are.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::{
    Extension, Router,
    extract::{OriginalUri, Path},
    response::IntoResponse,
    routing::{get as get_route, post},
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use pitlane::{CacheHint, InvalidateLayer, Invalidation, Profile, ResponseCacheLayer, Tag};
use pitlane_testkit::{Client, Gate, Origin, Protocol, Reply, Steps};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer};

use crate::drive::{Bench, FRESH, Pause, ask, bench, bounded, get, poll_once, request};

/// What is cached: each page is tagged with its last segment, and `/b` is in the group "g".
fn pages(
    bench: &Bench,
) -> impl Service<
    Request<Empty<Bytes>>,
    Response = Response<pitlane::ResponseBody<pitlane_testkit::ReplyBody>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ use<> {
    let layer = ResponseCacheLayer::new(&bench.cache).profile(Profile::Rfc);
    layer.layer(Origin::new(|request, call| async move {
        let path = request.uri().path().to_owned();
        let mut headers = FRESH.to_vec();
        if path == "/b" {
            headers.push(("cache-groups", "\"g\""));
        }
        let mut reply = Origin::reply(&headers, format!("{path} {call}"));
        let tag = path.rsplit('/').next().unwrap_or_default().to_owned();
        reply.extensions_mut().insert(CacheHint::tags([tag]));
        reply
    }))
}

const PATHS: [&str; 4] = ["/a", "/b", "/clubs/42", "/clubs/43"];

/// Which of [`PATHS`] a request ends.
async fn ended(
    bench: &Bench,
    layer: &InvalidateLayer,
    request: Request<Empty<Bytes>>,
    answer: impl Fn() -> Reply + Clone + Send + Sync + 'static,
) -> Vec<&'static str> {
    let pages = pages(bench);
    for path in PATHS {
        get(&pages, path).await;
        assert!(get(&pages, path).await.is_hit());
    }
    let answering = Origin::new(move |_, _| ready(answer()));
    let answered = layer.layer(answering).oneshot(request).await;
    answered.unwrap().into_body().collect().await.unwrap();
    let mut ended = Vec::new();
    for path in PATHS {
        if !get(&pages, path).await.is_hit() {
            ended.push(path);
        }
    }
    ended
}

fn answer(status: u16, headers: &'static [(&'static str, &'static str)]) -> Reply {
    let mut reply = Origin::reply(headers, "done");
    *reply.status_mut() = StatusCode::from_u16(status).unwrap();
    reply
}

#[tokio::test]
async fn writes_end_their_uri_and_what_their_answer_names_and_nothing_else_does() {
    type Fields = &'static [(&'static str, &'static str)];
    const GROUP: Fields = &[("cache-group-invalidation", "\"g\"")];
    const LOCATION: Fields = &[("location", "/clubs/42"), ("content-location", "43")];
    let odd = Method::from_bytes(b"ODD").unwrap();
    let table: [(Method, &str, u16, Fields, &[&str]); 12] = [
        (Method::POST, "/a", 200, &[], &["/a"]),
        (odd, "/a", 204, &[], &["/a"]),
        (Method::DELETE, "/x", 200, &[], &[]),
        (Method::PUT, "/x", 200, GROUP, &["/b"]),
        (
            Method::PATCH,
            "/clubs/1",
            303,
            LOCATION,
            &["/clubs/42", "/clubs/43"],
        ),
        (Method::POST, "/a", 404, LOCATION, &[]),
        (Method::POST, "/a", 500, GROUP, &["/a"]),
        (
            Method::POST,
            "/a",
            200,
            &[("location", "http://other.test/b")],
            &["/a"],
        ),
        (Method::GET, "/a", 200, GROUP, &[]),
        (Method::HEAD, "/a", 200, LOCATION, &[]),
        (Method::OPTIONS, "/a", 200, GROUP, &[]),
        (Method::QUERY, "/a", 200, GROUP, &[]),
    ];
    for (method, path, status, headers, expected) in table {
        let bench = bench();
        let layer = InvalidateLayer::new(&bench.caches);
        let request = request(method.clone(), path, &[]);
        let ended = ended(&bench, &layer, request, move || answer(status, headers)).await;
        assert_eq!(ended, expected, "{method} {path} {status} {headers:?}");
    }
}

fn by_club(request: &http::request::Parts) -> Vec<Tag> {
    let club = request.uri.path().strip_prefix("/api/clubs/");
    club.map(Tag::from).into_iter().collect()
}

#[tokio::test]
async fn tags_that_follow_from_the_request_end_with_its_uri_unless_it_fails() {
    for (method, path, status, expected) in [
        (Method::PATCH, "/api/clubs/42", 200, &["/clubs/42"][..]),
        (Method::PATCH, "/api/other/42", 200, &[]),
        (Method::PATCH, "/api/clubs/42", 409, &[]),
        (Method::PATCH, "/api/clubs/42", 504, &["/clubs/42"]),
        (Method::GET, "/api/clubs/42", 200, &[]),
    ] {
        let bench = bench();
        let layer = InvalidateLayer::new(&bench.caches).tags(by_club);
        let request = request(method.clone(), path, &[]);
        let ended = ended(&bench, &layer, request, move || answer(status, &[])).await;
        assert_eq!(ended, expected, "{method} {path} {status}");
    }
    // A URI that nothing can be stored under has tags all the same.
    let bench = bench();
    let layer = InvalidateLayer::new(&bench.caches).tags(by_club);
    let hosts = [("host", "a.test"), ("host", "b.test")];
    let mut request = request(Method::PATCH, "/api/clubs/42", &[]);
    *request.uri_mut() = "/api/clubs/42".parse().unwrap();
    for (_, host) in hosts {
        request.headers_mut().append("host", host.parse().unwrap());
    }
    let named = || {
        answer(
            200,
            &[("location", "/b"), ("cache-group-invalidation", "\"g\"")],
        )
    };
    assert_eq!(ended(&bench, &layer, request, named).await, ["/clubs/42"]);
}

#[tokio::test]
async fn what_a_handler_names_ends_whatever_the_method_and_the_status() {
    for (method, status, expected) in [
        (Method::GET, 200, &["/b", "/clubs/43"][..]),
        (Method::POST, 500, &["/a", "/b", "/clubs/43"]),
        (Method::POST, 409, &["/b", "/clubs/43"]),
        (Method::POST, 200, &["/a", "/b", "/clubs/43"]),
    ] {
        let bench = bench();
        let layer = InvalidateLayer::new(&bench.caches);
        let named = move || {
            let mut reply = answer(status, &[]);
            let named = Invalidation::tags(["b", "43"]);
            reply.extensions_mut().insert(named);
            reply
        };
        let request = request(method.clone(), "/a", &[]);
        let ended = ended(&bench, &layer, request, named).await;
        assert_eq!(ended, expected, "{method} {status}");
    }
}

#[tokio::test]
async fn a_soft_invalidation_makes_stale_and_the_rest_of_the_write_stays_hard() {
    let bench = bench();
    let minute = std::time::Duration::from_secs(60);
    let cached = ResponseCacheLayer::new(&bench.cache).stale_while_revalidate(minute);
    let pages = cached.layer(Origin::new(|request, call| async move {
        let mut reply = Origin::reply(FRESH, call.to_string());
        let tag = request.uri().path()[1..].to_owned();
        reply.extensions_mut().insert(CacheHint::tags([tag]));
        reply
    }));
    for path in ["/a", "/b"] {
        get(&pages, path).await;
    }
    let write = InvalidateLayer::new(&bench.caches).layer(Origin::new(|_, _| async {
        let mut reply = Origin::reply(&[], "done");
        reply
            .extensions_mut()
            .insert(Invalidation::tags(["b"]).soft());
        reply
    }));
    ask(&write, Method::POST, "/a", &[]).await;
    assert_eq!(get(&pages, "/a").await.detail(), "invalidated");
    assert_eq!(get(&pages, "/b").await.detail(), "stale-while-revalidate");
}

/// How often the handler of a write waits.
const WAITS: usize = 3;

#[tokio::test]
async fn a_write_that_is_dropped_or_panics_or_fails_without_an_answer_ends_what_it_owes() {
    for polls in 0..=WAITS {
        let bench = bench();
        let pages = pages(&bench);
        for path in PATHS {
            get(&pages, path).await;
        }
        let layer = InvalidateLayer::new(&bench.caches).tags(|_| vec![Tag::from("42")]);
        let write = layer.layer(Origin::new(|_, _| async {
            for _ in 0..WAITS {
                Pause::default().await;
            }
            Origin::reply(&[], "")
        }));
        {
            let mut write = pin!(write.oneshot(request(Method::POST, "/a", &[])));
            for _ in 0..polls {
                assert!(poll_once(write.as_mut()).is_pending());
            }
        }
        let hits = [
            get(&pages, "/a").await.is_hit(),
            get(&pages, "/clubs/42").await.is_hit(),
        ];
        // `oneshot` calls the service when it is first polled.
        assert_eq!(hits, [polls == 0; 2], "after {polls} polls");
        assert!(get(&pages, "/b").await.is_hit());
    }
    for panics in [false, true] {
        let bench = bench();
        let pages = pages(&bench);
        get(&pages, "/a").await;
        let write =
            InvalidateLayer::new(&bench.caches).layer(tower::service_fn(move |_| async move {
                if panics {
                    std::panic::resume_unwind(Box::new("after the commit"));
                }
                Err::<Reply, _>("the connection broke")
            }));
        let write = write.oneshot(request(Method::POST, "/a", &[]));
        let ended = tokio::spawn(write).await;
        assert_eq!(ended.is_err(), panics);
        assert!(!get(&pages, "/a").await.is_hit(), "{panics}");
    }
}

/// Pending until it is told otherwise, and panics when it is called without having been asked.
#[derive(Clone)]
struct Strict(bool);

impl<B> Service<Request<B>> for Strict {
    type Response = Reply;
    type Error = Infallible;
    type Future = Ready<Result<Reply, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if std::mem::replace(&mut self.0, true) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.0), "called without poll_ready");
        ready(Ok(Origin::reply(&[], "strict")))
    }
}

#[tokio::test]
async fn readiness_is_the_inner_services_own() {
    let bench = bench();
    let mut service = InvalidateLayer::new(&bench.caches).layer(Strict(false));
    let mut cx = Context::from_waker(Waker::noop());
    let mut is_ready =
        |service: &mut _| Service::<Request<Empty<Bytes>>>::poll_ready(service, &mut cx).is_ready();
    assert!(!is_ready(&mut service));
    assert!(is_ready(&mut service));
    let call = service.call(request(Method::POST, "/a", &[]));
    assert!(poll_once(pin!(call)).is_ready());
    // A place behind a limit is given back as the limit has it.
    let gate = Gate::new();
    let held = gate.clone();
    let limited = ServiceBuilder::new()
        .layer(InvalidateLayer::new(&bench.caches))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(Origin::new(move |_, _| {
            let gate = held.clone();
            async move {
                gate.pass().await;
                Origin::reply(&[], "")
            }
        }));
    let mut first = pin!(ask(&limited, Method::POST, "/a", &[]));
    assert!(poll_once(first.as_mut()).is_pending());
    let mut second = pin!(ask(&limited, Method::POST, "/b", &[]));
    assert!(poll_once(second.as_mut()).is_pending());
    gate.open(2);
    bounded(first).await;
    bounded(second).await;
}

#[tokio::test]
async fn a_body_streams_on_as_it_is_after_the_uri_has_ended() {
    let bench = bench();
    let pages = pages(&bench);
    get(&pages, "/a").await;
    let gate = Gate::new();
    let held = gate.clone();
    let write = InvalidateLayer::new(&bench.caches).layer(Origin::new(move |_, _| {
        let body = Steps::new()
            .data("first ")
            .gated(&held, "last")
            .trailer("x-end", "yes");
        ready(body.reply(&[("x-own", "kept")]))
    }));
    let answer = write
        .oneshot(request(Method::POST, "/a", &[]))
        .await
        .unwrap();
    // The rest of the body is still being made.
    assert!(!get(&pages, "/a").await.is_hit());
    assert_eq!(answer.headers().len(), 1);
    gate.open(1);
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["x-end"], "yes");
    assert_eq!(body.to_bytes(), "first last");
}

#[tokio::test]
async fn around_and_inside_of_a_response_cache_each_write_ends_its_uri_and_hits_go_on() {
    for outside in [true, false] {
        let bench = bench();
        let origin = Origin::counting(FRESH);
        let invalidate = InvalidateLayer::new(&bench.caches);
        let mut send: Box<dyn FnMut(Method, &'static str) -> crate::drive::Asked> = if outside {
            let service = invalidate.layer(bench.layer.layer(origin));
            Box::new(move |method, path| ask(&service, method, path, &[]))
        } else {
            let service = bench.layer.layer(invalidate.layer(origin));
            Box::new(move |method, path| ask(&service, method, path, &[]))
        };
        for path in ["/a", "/b"] {
            send(Method::GET, path).await;
            assert!(send(Method::GET, path).await.is_hit());
        }
        send(Method::POST, "/a").await;
        assert_eq!(send(Method::GET, "/a").await.detail(), "invalidated");
        assert!(send(Method::GET, "/a").await.is_hit());
        assert!(send(Method::GET, "/b").await.is_hit());
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_a_write_names_the_host_that_the_client_asked_for() {
    for trusted in [true, false] {
        let bench = bench();
        let pages = pages(&bench);
        get(&pages, "/a").await;
        let layer = InvalidateLayer::new(&bench.caches).trusted_proxy(move |_| trusted);
        let write = layer.layer(Origin::new(|request, _| async move {
            // What the handler sees is not changed.
            assert_eq!(request.headers()["x-forwarded-host"], "site.test");
            assert_eq!(request.uri().path(), "/a");
            Origin::reply(&[], "")
        }));
        let mut post = request(Method::POST, "/a", &[]);
        *post.uri_mut() = "/a".parse().unwrap();
        for (name, value) in [("host", "inner.test"), ("x-forwarded-host", "site.test")] {
            post.headers_mut().insert(name, value.parse().unwrap());
        }
        write.oneshot(post).await.unwrap();
        assert_eq!(get(&pages, "/a").await.is_hit(), !trusted);
    }
}

async fn merge(Path(club): Path<u32>) -> impl IntoResponse {
    (
        Extension(Invalidation::tags([format!("club:{club}")])),
        "merged",
    )
}

#[tokio::test]
async fn in_axum_an_admin_api_ends_pages_over_both_versions_of_http() {
    let bench = bench();
    let tagged = |Path(id): Path<u32>| async move {
        let hint = CacheHint::tags([format!("club:{id}")]);
        (
            [("cache-control", "max-age=60")],
            Extension(hint),
            format!("club {id}"),
        )
    };
    let admin = Router::new()
        .route("/clubs/{id}/merge", post(merge))
        .route("/clubs/{id}", post(|| async { "written" }))
        .layer(
            InvalidateLayer::new(&bench.caches)
                .original_uri(|parts| Some(&parts.extensions.get::<OriginalUri>()?.0)),
        );
    let app: Router = Router::new()
        .route("/clubs/{id}", get_route(tagged))
        .route("/admin/clubs/{id}", get_route(tagged))
        .layer(bench.layer)
        .nest("/admin/v1", admin.clone())
        .nest("/admin", admin);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let client = Client::new(protocol);
        let url = |path: &str| format!("http://{address}{path}");
        let page = async |path: &str| client.get(&url(path), &[]).await.is_hit();
        let send = async |path: &str| client.ask(Method::POST, &url(path), &[]).await.status;
        for path in ["/clubs/42", "/clubs/43"] {
            page(path).await;
            assert!(page(path).await);
        }
        assert_eq!(send("/admin/v1/clubs/42/merge").await, StatusCode::OK);
        assert!(!page("/clubs/42").await);
        assert!(page("/clubs/43").await);
        // By its URI, as the client wrote it: another one's pages stay.
        assert_eq!(send("/admin/v1/clubs/43").await, StatusCode::OK);
        assert!(page("/clubs/43").await);
    }
    server.abort();
}
