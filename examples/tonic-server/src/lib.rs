//! A gRPC service of racing clubs, on tonic and a Pitlane layer.
//!
//! [`cache_layer`] says what is cached, [`Racing`] is the service, and [`serve`] puts the one
//! around the other. [`run`] is the whole program but for its command line.

mod model;
mod options;
mod server;
mod service;

/// The service as `proto/clubs.proto` says it.
#[expect(clippy::allow_attributes, reason = "it is generated")]
pub mod proto {
    tonic::include_proto!("racing");
}

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

pub use options::Options;
pub use server::{Drained, cache_layer, caches, serve};
pub use service::Racing;

/// How long telling other servers of the last renames may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Listens, says so on standard output, and serves until SIGTERM or SIGINT.
///
/// # Errors
///
/// [`RunError`] when Redis cannot be used as described, the address cannot be bound, signals cannot
/// be watched, or standard output is closed. Redis need not be there.
pub async fn run(options: &Options) -> Result<(), RunError> {
    let caches = caches(options)?;
    let service = Racing::new(&caches, options)?;
    let layer = cache_layer(&caches)?;
    let stop = stop_signal().map_err(RunError::Signals)?;
    let address = options.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| RunError::Bind { address, source })?;
    announce(&listener).map_err(RunError::Announce)?;
    if serve(listener, layer, service, stop).await? == Drained::CutOff {
        eprintln!("tonic-server: some calls were still busy and were cut off");
    }
    if !caches.shutdown(FAREWELL).await {
        eprintln!("tonic-server: Redis was not told of the last renames");
    }
    Ok(())
}

/// Why the server could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Redis cannot be used as described.
    #[error("cannot set up the cache: {0}")]
    Caches(#[from] pitlane::Error),
    /// The address to listen on is taken, not ours, or not allowed.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// What `--listen` said.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system does not let us watch for SIGTERM and SIGINT.
    #[error("cannot watch for signals: {0}")]
    Signals(#[source] io::Error),
    /// The line that says the server is ready could not be written.
    #[error("cannot say that the server is ready: {0}")]
    Announce(#[source] io::Error),
    /// The server gave up.
    #[error("cannot serve: {0}")]
    Serve(#[from] tonic::transport::Error),
}

impl RunError {
    /// Whether another command line would do, on the same machine at the same moment.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        matches!(self, Self::Caches(_))
    }
}

/// Whoever started the server waits for the line, which names the actual port.
fn announce(listener: &TcpListener) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {}", listener.local_addr()?)?;
    out.flush()
}

/// The handlers are in place when this returns, before anyone can know that we are up.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
