//! Forwards one request, once.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::TRANSFER_ENCODING;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, Uri, Version};
use http_body::Body;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use super::body::{Progress, RequestBody, Upload};
use super::refusal::Refusal;
use super::upgrade::{Tunnel, Wish};
use super::{OriginUrl, Peer, ProxyBody, headers};

/// A host that does not even accept a connection by then counts as down.
const CONNECT: Duration = Duration::from_secs(10);

/// An idle connection is kept for this long, below the keep-alive time of common servers.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// The server behind the proxy. Clones share one pool of connections.
#[derive(Clone, Debug)]
pub struct Origin {
    url: OriginUrl,
    client: Client<HttpConnector, Upload>,
    header_timeout: Duration,
}

impl Origin {
    /// An origin that no connection has been made to yet.
    pub fn new(url: OriginUrl) -> Self {
        Self {
            url,
            client: client(),
            header_timeout: Duration::from_secs(60),
        }
    }

    /// How long the origin may neither take from the request nor begin to answer it (60 seconds).
    #[must_use]
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout;
        self
    }
}

impl Service<Request<RequestBody>> for Origin {
    type Response = Response<ProxyBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let origin = self.clone();
        let head = *request.method() == Method::HEAD;
        Box::pin(async move {
            Ok(match origin.forward(request).await {
                Ok(response) => response,
                // hyper leaves a body out for HEAD over HTTP/1 only; over HTTP/2 it would be sent,
                // and the client would take it for a broken stream.
                Err(refusal) if head => refusal
                    .into_response()
                    .map(|_| Either::Right(Full::default())),
                Err(refusal) => refusal.into_response(),
            })
        })
    }
}

impl Origin {
    async fn forward(
        &self,
        mut request: Request<RequestBody>,
    ) -> Result<Response<ProxyBody>, Refusal> {
        if *request.method() == Method::CONNECT {
            return Err(Refusal::Connect);
        }
        let wish = Wish::take(&mut request);
        let (request, progress) = self.prepare(request, wish.as_ref())?;
        let mut response = self.send(request, &progress).await?;
        let tunnel = Tunnel::pair(wish, &mut response)?;
        relay(response, tunnel)
    }

    fn prepare(
        &self,
        request: Request<RequestBody>,
        wish: Option<&Wish>,
    ) -> Result<(Request<Upload>, Arc<Progress>), Refusal> {
        let (mut parts, body) = request.into_parts();
        let peer = parts
            .extensions
            .remove::<Peer>()
            .map(|Peer(address)| address.ip());
        headers::prepare_request(&mut parts, peer, self.url.authority().as_str())?;
        if let Some(wish) = wish {
            wish.write(&mut parts.headers);
        }
        // hyper's client takes a GET without a known length for one without a body and would
        // drop the chunks, so the framing is said aloud whenever a body is to come.
        if !body.is_end_stream() && body.size_hint().exact().is_none() {
            parts
                .headers
                .insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let (body, progress) = Upload::new(body);
        let mut outward = Request::new(body);
        *outward.method_mut() = parts.method;
        *outward.uri_mut() = self.target(parts.uri)?;
        *outward.version_mut() = Version::HTTP_11;
        *outward.headers_mut() = parts.headers;
        Ok((outward, progress))
    }

    /// The request's own path and query, byte for byte, at the origin's address. The client sends
    /// them in origin form and needs the rest to find a connection.
    fn target(&self, uri: Uri) -> Result<Uri, Refusal> {
        let mut parts = uri.into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.url.authority().clone());
        parts
            .path_and_query
            .get_or_insert(PathAndQuery::from_static("/"));
        Uri::from_parts(parts).map_err(|_| Refusal::Target)
    }

    /// Waits for the answer for as long as something moves.
    async fn send(
        &self,
        request: Request<Upload>,
        progress: &Progress,
    ) -> Result<Response<Incoming>, Refusal> {
        let mut answer = pin!(self.client.request(request));
        let mut seen = progress.frames();
        loop {
            match tokio::time::timeout(self.header_timeout, &mut answer).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(_)) if progress.is_broken() => return Err(Refusal::BrokenRequestBody),
                Ok(Err(error)) if error.is_connect() => return Err(Refusal::Unreachable),
                Ok(Err(_)) => return Err(Refusal::BadAnswer),
                // A long upload is no silence: the clock starts again when it got further.
                Err(_) if progress.frames() != seen => seen = progress.frames(),
                Err(_) => return Err(Refusal::TimedOut),
            }
        }
    }
}

fn relay(
    response: Response<Incoming>,
    tunnel: Option<Tunnel>,
) -> Result<Response<ProxyBody>, Refusal> {
    let (mut parts, body) = response.into_parts();
    headers::prepare_response(&mut parts.headers, parts.version)?;
    // The answer's version is that of the connection it goes out on, and hyper's to choose.
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    let Some(tunnel) = tunnel else {
        return Ok(Response::from_parts(parts, Either::Left(body)));
    };
    tunnel.open(&mut parts.headers);
    Ok(Response::from_parts(parts, Either::Right(Full::default())))
}

/// A pool of HTTP/1.1 connections that never sends a request twice.
///
/// What hyper does when a pooled connection turns out to be closed (hyper 1.12, hyper-util
/// 0.1.21): the request waits in the connection task's queue until that task takes it, and only
/// then is its head put into the write buffer. The client repeats a request only if it gets the
/// request itself back, which happens only to one still in that queue. From the moment it is
/// taken, whether or not a byte reached the socket, a failure comes back without the request, and
/// the client gives up: that is a 502 here, for GET as for POST. So leaving
/// `retry_canceled_requests` on costs nothing, and saves requests from connections that the
/// origin closed while they were idle.
fn client() -> Client<HttpConnector, Upload> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .retry_canceled_requests(true)
        .set_host(false)
        .build(connector)
}
