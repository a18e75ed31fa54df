//! Where the cache goes: this file is all that a server without one would not have.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use pitlane::{AnonymousCacheLayer, Caches, Error, ResponseBody};
use secrecy::SecretString;
use tower::{Layer, service_fn};
use tower_service::Service;

use crate::{Body, Site};

/// A page is computed again after this long, even if nobody has driven a lap.
const TTL: Duration = Duration::from_secs(60);

/// The caches that the command line and the environment describe. Runs inside a tokio runtime.
///
/// # Errors
///
/// When Redis cannot be used as described, or the environment is wrong.
pub fn caches(redis: Option<SecretString>) -> Result<Caches, Error> {
    let mut builder = Caches::builder().cache("default").environment()?;
    if let Some(url) = redis {
        builder = builder.redis(url);
    }
    builder.build()
}

/// The site with its pages cached.
///
/// # Errors
///
/// When there is no cache called `default`.
pub fn stack(
    caches: &Caches,
    site: Site,
) -> Result<
    impl Service<
        Request<Incoming>,
        Response = Response<ResponseBody<Body>>,
        Error = Infallible,
        Future: Send + 'static,
    >
    + Clone
    + Send
    + 'static
    + use<>,
    Error,
> {
    let layer = AnonymousCacheLayer::new(&caches.get("default")?).ttl(TTL);
    Ok(layer.layer(service_fn(move |request: Request<Incoming>| {
        let site = site.clone();
        async move { Ok::<_, Infallible>(site.answer(request).await) }
    })))
}
