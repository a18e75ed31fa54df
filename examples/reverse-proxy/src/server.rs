//! Accepts connections, speaks HTTP/1.1 or HTTP/2 on them, and drains them at the end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service;

use crate::Peer;

/// How long requests in flight may take once the proxy was asked to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// A client that has not finished its header section by then is not served (HTTP/1 only).
const HEADER_READ: Duration = Duration::from_secs(30);

/// Accepting goes on after this pause when the system refuses it (no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Drained {
    /// Every request in flight was answered.
    Completely,
    /// So many connections were still busy after ten seconds.
    CutOff(usize),
}

/// Serves connections from `listener` with `service` until `stop`, then lets requests in flight
/// finish for at most ten seconds. Tunnels (upgraded connections) are not waited for.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    stop: impl Future<Output = ()>,
) -> Drained
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let graceful = GracefulShutdown::new();
    // Each connection holds a clone, so that its count is how many are left.
    let busy = Arc::new(());
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let connection = connection(stream, peer, service.clone(), &graceful);
                    let busy = Arc::clone(&busy);
                    tokio::spawn(async move {
                        connection.await;
                        drop(busy);
                    });
                }
                Err(error) => pause(&error).await,
            },
        }
    }
    // New connections are refused while the old ones drain, so that a balancer goes elsewhere.
    drop(listener);
    drain(graceful, &busy).await
}

fn connection<S, B>(
    stream: TcpStream,
    peer: SocketAddr,
    service: S,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + use<S, B>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    // Without it the last small segment of an answer could wait for an acknowledgement. It can
    // only fail on a socket that is gone, which serving it finds out as well.
    let _ = stream.set_nodelay(true);
    let inner = TowerToHyperService::new(service);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        inner.call(request)
    });
    let builder = connection_builder();
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let watched = graceful.watch(connection.into_owned());
    async move {
        // What ends a connection early (a client that left, a malformed request, an origin that
        // broke off) was already told to the client in the only way that was left.
        let _ = watched.await;
    }
}

fn connection_builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ);
    builder.http2().timer(TokioTimer::new());
    builder
}

async fn pause(error: &io::Error) {
    eprintln!("reverse-proxy: cannot accept a connection: {error}");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn drain(graceful: GracefulShutdown, busy: &Arc<()>) -> Drained {
    match tokio::time::timeout(DRAIN, graceful.shutdown()).await {
        Ok(()) => Drained::Completely,
        Err(_) => Drained::CutOff(Arc::strong_count(busy).saturating_sub(1)),
    }
}
