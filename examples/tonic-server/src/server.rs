//! What is cached, and the server around it.

use std::pin::pin;
use std::time::Duration;

use pitlane::{Caches, GrpcCacheLayer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::proto::clubs_server::ClubsServer;
use crate::{Options, Racing};

/// What stored answers may weigh, in bytes.
const MEMORY: u64 = 64 << 20;
/// How long calls in flight may take once the server was asked to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// The caches that the options and the environment describe. Runs inside a tokio runtime.
///
/// # Errors
///
/// When Redis cannot be used as described, or the environment is wrong.
pub fn caches(options: &Options) -> Result<Caches, pitlane::Error> {
    let mut builder = Caches::builder()
        .memory(MEMORY)
        .max_body(1 << 20)
        .cache("default")
        .environment()?;
    if let Some(url) = &options.redis {
        builder = builder.redis(url.clone());
    }
    builder.build()
}

/// Which methods are cached, and for how long.
///
/// Servers that share a Redis share what they store by whatever name each is called.
///
/// # Errors
///
/// There is no cache called `default`.
pub fn cache_layer(caches: &Caches) -> Result<GrpcCacheLayer, pitlane::Error> {
    Ok(GrpcCacheLayer::new(&caches.get("default")?)
        .method("/racing.Clubs/GetClub", Duration::from_secs(60))
        .method("/racing.Clubs/ListDrivers", Duration::from_secs(300))
        .any_authority())
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Drained {
    /// Every call in flight was answered.
    Completely,
    /// Some were still busy after ten seconds.
    CutOff,
}

/// Serves from `listener` until `stop`, then lets calls in flight finish for at most ten seconds.
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    layer: GrpcCacheLayer,
    service: Racing,
    stop: impl Future<Output = ()>,
) -> Result<Drained, tonic::transport::Error> {
    let (stopping, stopped) = oneshot::channel();
    let stop = async move {
        stop.await;
        let _ = stopping.send(());
    };
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let serving = Server::builder()
        .layer(layer)
        .add_service(ClubsServer::new(service))
        .serve_with_incoming_shutdown(incoming, stop);
    let mut serving = pin!(serving);
    let overdue = async {
        // An error means that serving is over, and then nobody looks here any more.
        let _ = stopped.await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = &mut serving => served.map(|()| Drained::Completely),
        () = overdue => Ok(Drained::CutOff),
    }
}
