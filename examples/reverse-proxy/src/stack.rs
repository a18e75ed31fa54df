//! What a request passes on its way to the origin.

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use pitlane::{Caches, ResponseCacheLayer};
use tower::Layer;
use tower_service::Service;

use crate::{Options, Origin};

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
    cache: &ResponseCacheLayer,
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
    cache.layer(origin)
}
