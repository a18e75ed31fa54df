//! The admin API and the dashboard, on an address of their own.
//!
//! The origin is another program, so there is nothing in this process to explain or to warm.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response};
use hyper::body::Incoming;
use pitlane::Caches;
use pitlane_admin::{Admin, AdminToken};
use tokio::sync::watch;
use tower::ServiceExt;
use tower_service::Service;

use crate::Peer;

/// What answers on the admin address. Its streams end when the proxy does.
pub(crate) fn service(
    caches: &Caches,
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
    let admin = Admin::new(caches.clone(), token)
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
