//! What a request passes on its way to the origin.

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use pitlane::{CacheHint, Caches, ResponseCacheLayer};
use tower::ServiceBuilder;
use tower_service::Service;

use crate::{Options, Origin, ProxyBody};

/// The one layer that makes a caching proxy of a proxy. Switched off it still stands in its
/// place, so that Cache-Status says why nothing is stored.
///
/// # Errors
///
/// When the memory in the options cannot hold a body of the largest size in them.
pub fn cache_layer(options: &Options) -> Result<ResponseCacheLayer, pitlane::Error> {
    let caches = Caches::builder()
        .memory(options.memory)
        .max_body(options.max_body)
        .build()?;
    let layer = ResponseCacheLayer::new(&caches.get("default")?)
        .profile(options.profile.into())
        .enabled(!options.no_cache);
    Ok(match options.ttl {
        Some(ttl) => layer.ttl(ttl),
        None => layer,
    })
}

/// Everything between a connection and the origin.
///
/// The body's type is left open, so that a layer with a body of its own changes nothing outside
/// this function.
pub fn stack(
    cache: ResponseCacheLayer,
    origin: Origin,
) -> impl Service<
    Request<Incoming>,
    Response = Response<
        impl Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    >,
    Error = Infallible,
    Future: Send + 'static,
> + Clone
+ Send
+ Sync
+ 'static {
    ServiceBuilder::new()
        .layer(cache)
        .map_response(leave_events_alone)
        .service(origin)
}

/// With `--ttl` an event stream would be stored like anything else that states no freshness, and
/// whoever asks for it next would wait for an end that never comes.
fn leave_events_alone(mut response: Response<ProxyBody>) -> Response<ProxyBody> {
    if response.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.as_bytes().split(|byte| *byte == b';').next();
        kind.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
    }) {
        response.extensions_mut().insert(CacheHint::no_store());
    }
    response
}
