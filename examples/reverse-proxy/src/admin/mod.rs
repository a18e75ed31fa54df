//! The admin API: what the caches are doing, and a way to end what they hold.
//!
//! [`Admin`] is a Tower service over HTTP alone, for whatever server has an address of its own for
//! it. A request passes, in this order, the host it names, the token it carries, and the route.

mod failure;
mod hosts;
mod invalidate;
mod lockout;
mod stats;
mod token;

use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response};
use http_body::Body;
use http_body_util::Full;
use pitlane::{Caches, Clock};
use tower_service::Service;

use crate::Peer;
use failure::Failure;
use lockout::{Admission, Lockout};

pub use token::{AdminToken, AdminTokenError};

/// What refuses or fails on the way.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The JSON API over one registry of caches, for whoever has the token. Clones share the count of
/// failed attempts.
#[derive(Clone)]
pub struct Admin(Arc<Inner>);

struct Inner {
    caches: Caches,
    token: AdminToken,
    bound: SocketAddr,
    lockout: Lockout,
    clock: Clock,
}

impl Admin {
    /// An API for `caches` on a server that listens at `bound`, which is one of the hosts that it
    /// may be called by.
    #[must_use]
    pub fn new(caches: Caches, token: AdminToken, bound: SocketAddr) -> Self {
        Self::with_clock(caches, token, bound, Clock::system())
    }

    /// The same with the clock that lock-outs go by.
    #[must_use]
    pub fn with_clock(caches: Caches, token: AdminToken, bound: SocketAddr, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            caches,
            token,
            bound,
            lockout: Lockout::default(),
            clock,
        }))
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("bound", &self.0.bound)
            .finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for Admin
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let answer = inner.answer(request).await;
            Ok(answer.unwrap_or_else(|failure| failure.response()))
        })
    }
}

impl Inner {
    async fn answer<B>(&self, request: Request<B>) -> Result<Response<Full<Bytes>>, Failure>
    where
        B: Body<Data: Send, Error: Into<BoxError>> + Send,
    {
        hosts::check(&request, self.bound)?;
        self.admit(&request)?;
        let value = match request.uri().path() {
            "/api/stats" => {
                let request = allow(request, Method::GET)?;
                bodiless(&request)?;
                serde_json::to_vec(&stats::of(&self.caches))
            }
            "/api/invalidate" => {
                let request = allow(request, Method::POST)?;
                serde_json::to_vec(&invalidate::run(&self.caches, request).await?)
            }
            _ => return Err(Failure::NotFound),
        };
        value
            .map(json)
            .map_err(|error| Failure::Internal(error.into()))
    }

    /// Looks at the token, unless the peer has been wrong too often.
    fn admit<B>(&self, request: &Request<B>) -> Result<(), Failure> {
        let peer = request
            .extensions()
            .get()
            .map(|Peer(address): &Peer| -> IpAddr { address.ip() });
        let is_right = || self.token.is_borne_by(request.headers());
        match self.lockout.admit(peer, self.clock.now(), is_right) {
            Admission::Granted => Ok(()),
            Admission::Refused => Err(Failure::Token),
            Admission::LockedOut(rest) => Err(Failure::LockedOut(rest)),
        }
    }
}

/// Lets one method through, and no query: what is not read must not look as if it were.
fn allow<B>(request: Request<B>, method: Method) -> Result<Request<B>, Failure> {
    if request.method() != method {
        return Err(Failure::Method(method));
    }
    match request.uri().query() {
        None => Ok(request),
        Some(_) => Err(Failure::Query),
    }
}

fn bodiless<B: Body>(request: &Request<B>) -> Result<(), Failure> {
    if request.body().is_end_stream() {
        return Ok(());
    }
    Err(Failure::Body)
}

/// An answer that no browser takes for anything else and nobody keeps.
fn json(value: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(value.into()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
