//! One site in a process: a handler, a cache layer around it, and what measures both.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use pitlane::{Cache, Caches, CachesBuilder, Clock, MetricsLayer, ResponseCacheLayer, Timestamp};
use tower::{Layer, Service, ServiceExt, service_fn};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// One cache and a clock that stands still.
pub(crate) struct Bench {
    pub(crate) caches: Caches,
    pub(crate) cache: Cache,
    pub(crate) clock: Clock,
}

pub(crate) fn bench() -> Bench {
    bench_of(Caches::builder())
}

pub(crate) fn bench_of(builder: CachesBuilder) -> Bench {
    let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let caches = builder.clock(clock.clone()).build().unwrap();
    let cache = caches.get("default").unwrap();
    Bench {
        caches,
        cache,
        clock,
    }
}

pub(crate) type Asked = Request<Full<Bytes>>;

/// Answers by the path: its query is the answer's Cache-Control, `/fail` an error status, `/tagged`
/// a page that can be validated.
pub(crate) async fn site(request: Asked) -> Result<Response<Full<Bytes>>, Infallible> {
    let said = request.uri().query().unwrap_or("max-age=60");
    let status = match request.uri().path() {
        "/fail" => StatusCode::INTERNAL_SERVER_ERROR,
        "/gone" => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    };
    let answer = Response::builder().header("cache-control", said);
    if request.uri().path() != "/tagged" {
        return Ok(answer.status(status).body(Full::from("a page")).unwrap());
    }
    let answer = answer.header("etag", "\"1\"");
    Ok(if request.headers().contains_key("if-none-match") {
        let answer = answer.status(StatusCode::NOT_MODIFIED);
        answer.body(Full::default()).unwrap()
    } else {
        answer.body(Full::from("a page")).unwrap()
    })
}

/// The site as a user would build it, with the first segment of the path as its route.
pub(crate) fn app(
    bench: &Bench,
) -> impl Service<
    Asked,
    Response = Response<impl http_body::Body<Data = Bytes, Error = Infallible>>,
    Error = Infallible,
> + Clone {
    let cached = ResponseCacheLayer::new(&bench.cache).route_label(first_segment);
    measured().layer(cached.layer(service_fn(site)))
}

pub(crate) fn measured() -> MetricsLayer {
    MetricsLayer::new().route_label(first_segment)
}

pub(crate) fn first_segment(parts: &http::request::Parts) -> Option<&str> {
    parts
        .uri
        .path()
        .split('/')
        .find(|segment| !segment.is_empty())
}

pub(crate) fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Asked {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://site.test{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

pub(crate) fn get(path: &str) -> Asked {
    request(Method::GET, path, &[])
}

/// Sends a request and reads the whole answer.
pub(crate) async fn send<S, R, Q>(service: &S, request: Q) -> StatusCode
where
    S: Service<Q, Response = Response<R>> + Clone,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = Bytes>,
    R::Error: std::fmt::Debug,
{
    let answer = service.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    answer.into_body().collect().await.unwrap();
    status
}

/// Waits for what must happen soon.
#[track_caller]
pub(crate) fn until(what: &str, met: impl Fn() -> bool) -> impl Future<Output = ()> {
    let at = std::panic::Location::caller();
    let wait = async move {
        while !met() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let what = what.to_owned();
    async move {
        let waited = tokio::time::timeout(10 * SECOND, wait).await;
        assert!(waited.is_ok(), "not within 10 s: {what} (at {at})");
    }
}
