//! What a request passes on its way to the origin.

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Either;
use hyper::body::Incoming;
use pitlane::{Caches, ResponseCacheLayer};
use tower::{Layer, ServiceExt};
use tower_service::Service;

use crate::{Options, Origin, RunError};

/// What stored responses may weigh unless something else is said, in bytes.
const MEMORY: u64 = 64 << 20;
/// How large a stored body may be unless something else is said, in bytes.
const MAX_BODY: u64 = 8 << 20;

/// The caches that the options and the environment describe, in that order of precedence. The
/// proxy uses the one that is called `default`. Runs inside a tokio runtime.
///
/// # Errors
///
/// When the memory cannot hold a body of the largest size, Redis cannot be used as described, a
/// namespace is given for nothing, or the environment is wrong.
pub fn caches(options: &Options) -> Result<Caches, RunError> {
    let mut builder = Caches::builder()
        .memory(MEMORY)
        .max_body(MAX_BODY)
        .cache("default")
        .environment()?;
    if let Some(bytes) = options.memory {
        builder = builder.memory(bytes);
    }
    if let Some(bytes) = options.max_body {
        builder = builder.max_body(bytes);
    }
    if let Some(url) = &options.redis {
        builder = builder.redis(url.clone());
    }
    if let Some(namespace) = &options.namespace {
        builder = builder.namespace(namespace);
    }
    let caches = builder.build()?;
    // Whoever names one means to share something.
    if options.namespace.is_some() && caches.redis().is_none() {
        return Err(RunError::NamespaceAlone);
    }
    Ok(caches)
}

/// The one layer that makes a caching proxy of a proxy. Switched off it still stands in its
/// place, so that Cache-Status says why nothing is stored.
///
/// # Errors
///
/// There is no cache called `default`.
pub fn cache_layer(caches: &Caches, options: &Options) -> Result<ResponseCacheLayer, RunError> {
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
    cache
        .layer(origin)
        .map_request(|request: Request<Incoming>| request.map(Either::Left))
}
