//! The admin API and the dashboard, on an address of their own. What they explain and warm they
//! ask of the proxy within this process.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use pitlane::{Caches, ResponseCacheLayer};
use pitlane_admin::{Admin, AdminToken};
use tokio::sync::watch;
use tower::{Layer, ServiceExt};
use tower_service::Service;

use crate::{Origin, Peer};

/// What answers on the admin address. Its streams end when the proxy does.
pub(crate) fn service(
    caches: &Caches,
    proxy: (&ResponseCacheLayer, Origin),
    token: AdminToken,
    bound: SocketAddr,
    stopped: watch::Receiver<bool>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Body>,
    Error = Infallible,
    Future: Send + 'static,
> + Clone
+ Send
+ 'static {
    let (cache, origin) = proxy;
    // Only GET and HEAD are asked, and they come without a body.
    let nothing = |_| Either::Right(Empty::new());
    let proxy = cache
        .layer(origin)
        .map_request(move |request: axum::extract::Request| request.map(nothing));
    let admin = Admin::new(caches.clone(), token)
        .app(proxy)
        .any_site()
        .bound(bound)
        .stopping(stopped);
    admin
        .router()
        .map_request(|mut request: Request<Incoming>| {
            // Who guesses is told from others by their addresses.
            if let Some(Peer(address)) = request.extensions().get().copied() {
                request.extensions_mut().insert(ConnectInfo(address));
            }
            request.map(Body::new)
        })
}
