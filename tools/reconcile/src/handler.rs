//! What the nodes have to answer with.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header, response::Builder};
use http_body_util::{BodyExt, Channel, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;

/// Any body.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Longer than a client waits.
const FOR_EVER: Duration = Duration::from_secs(600);

/// The slow requests that have arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrivals(Arc<Mutex<HashSet<String>>>);

impl Arrivals {
    fn note(&self, path: &str) {
        let mut arrived = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.insert(path.to_owned());
    }

    /// Whether a request has arrived. It is told once.
    pub(crate) fn take(&self, path: &str) -> bool {
        let mut arrived = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.remove(path)
    }
}

/// The handler behind the cache.
pub(crate) async fn handle(
    request: Request<Incoming>,
    arrivals: Arrivals,
) -> io::Result<Response<Body>> {
    let path = request.uri().path().to_owned();
    let kind = path.split('/').nth(1).unwrap_or_default();
    match kind {
        "page" => answer(
            Response::builder(),
            "max-age=1, stale-while-revalidate=1",
            &path,
        ),
        "slow-page" => {
            tokio::time::sleep(Duration::from_millis(5)).await;
            answer(Response::builder(), "max-age=1", &path)
        }
        "private" => answer(Response::builder(), "no-store", &path),
        "tagged" => tagged(&request, &path),
        "shaky" => shaky(&path),
        "refused" => Err(io::Error::other("refused")),
        "panic" => panic!("a handler that panics"),
        "cut" => {
            let (mut sender, body) = Channel::<Bytes, io::Error>::new(1);
            tokio::spawn(async move {
                let _ = sender.send_data(Bytes::from_static(b"begun")).await;
                tokio::time::sleep(FOR_EVER).await;
            });
            let response = Response::builder().header(header::CACHE_CONTROL, "max-age=60");
            response.body(body.boxed_unsync()).map_err(io::Error::other)
        }
        "slow" => {
            arrivals.note(&path);
            tokio::time::sleep(FOR_EVER).await;
            answer(Response::builder(), "max-age=60", &path)
        }
        _ => answer(
            Response::builder().status(StatusCode::NOT_FOUND),
            "no-cache",
            &path,
        ),
    }
}

fn answer(response: Builder, cache_control: &str, body: &str) -> io::Result<Response<Body>> {
    let body = Full::new(Bytes::from(body.to_owned()));
    let body = body.map_err(|never| match never {}).boxed_unsync();
    let response = response.header(header::CACHE_CONTROL, cache_control);
    response.body(body).map_err(io::Error::other)
}

/// Fresh for nobody who has not asked again.
fn tagged(request: &Request<Incoming>, path: &str) -> io::Result<Response<Body>> {
    const TAG: HeaderValue = HeaderValue::from_static("\"tag\"");
    let same = request.headers().get(header::IF_NONE_MATCH) == Some(&TAG);
    let status = if same {
        StatusCode::NOT_MODIFIED
    } else {
        StatusCode::OK
    };
    let response = Response::builder().status(status).header(header::ETAG, TAG);
    answer(response, "max-age=1", if same { "" } else { path })
}

/// Well every other second.
fn shaky(path: &str) -> io::Result<Response<Body>> {
    let second = std::time::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .as_secs();
    if second.is_multiple_of(2) {
        return answer(Response::builder(), "max-age=1, stale-if-error=60", path);
    }
    let response = Response::builder().status(StatusCode::SERVICE_UNAVAILABLE);
    answer(response, "no-store", path)
}
