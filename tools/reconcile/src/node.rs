//! One node: a process with a server, caches in memory and in Redis, and statistics.

use std::{convert::Infallible, io, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use pitlane::{Caches, ResponseCacheLayer, stats::StatsOptions};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, ServiceExt};

use crate::handler::{Arrivals, Body, handle};

/// The first argument of a process that serves. Then come Redis and the name.
pub const SERVE: &str = "serve";

/// All nodes are one site.
pub(crate) const NAMESPACE: &str = "reconcile";

/// What asks whether a slow request has arrived begins with this, and passes the cache by.
pub(crate) const ARRIVED: &str = "/arrived";

/// Serves until the process is killed. Says on standard output where.
///
/// # Panics
///
/// When there is no port to listen on.
pub async fn serve(redis: &str, name: &str) {
    let caches = caches(redis);
    let options = StatsOptions::new()
        .name(name)
        .publish_every(Duration::from_millis(250));
    let _keeper = caches.keep_stats(options);
    let arrivals = Arrivals::default();
    let cache = caches.get("default").expect("the cache");
    let layer = ResponseCacheLayer::new(&cache).route_label(|parts| kind(parts.uri.path()));
    let service = {
        let arrivals = arrivals.clone();
        tower::service_fn(move |request| handle(request, arrivals.clone()))
    };
    let service = layer.layer(service);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    announce(&listener);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (service, arrivals) = (service.clone(), arrivals.clone());
        let answer = move |request: Request<Incoming>| {
            let (service, arrivals) = (service.clone(), arrivals.clone());
            async move {
                if let Some(path) = request.uri().path().strip_prefix(ARRIVED) {
                    return Ok(arrived(&arrivals, path).map(BodyExt::boxed_unsync));
                }
                let response = service.oneshot(request).await?;
                Ok::<_, io::Error>(
                    response.map(|body| body.map_err(io::Error::other).boxed_unsync()),
                )
            }
        };
        tokio::spawn(connection(stream, answer));
    }
}

#[expect(clippy::print_stdout, reason = "whoever started the process reads it")]
fn announce(listener: &TcpListener) {
    println!("{}", listener.local_addr().expect("an address"));
}

/// The caches of a node, and of whoever reads what nodes tell.
pub(crate) fn caches(redis: &str) -> Caches {
    let builder = Caches::builder()
        .redis(redis)
        .namespace(NAMESPACE)
        .memory(16 << 20);
    builder.build().expect("caches")
}

/// What a path begins with: one of few words.
fn kind(path: &str) -> Option<&str> {
    path.split('/').nth(1)
}

fn arrived(
    arrivals: &Arrivals,
    path: &str,
) -> Response<http_body_util::combinators::BoxBody<Bytes, io::Error>> {
    let status = if arrivals.take(path) {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    };
    let empty = Full::default()
        .map_err(|never: Infallible| match never {})
        .boxed();
    let mut response = Response::new(empty);
    *response.status_mut() = status;
    response
}

async fn connection<F, Fut>(stream: TcpStream, answer: F)
where
    F: Fn(Request<Incoming>) -> Fut + Send + 'static,
    Fut: Future<Output = io::Result<Response<Body>>> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
    // What breaks here is what some clients came for.
    let _ = served.await;
}
