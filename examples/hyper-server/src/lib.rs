//! A board of lap times on plain hyper, without a framework, cached by Pitlane.
//!
//! [`Site`] answers requests, [`stack`] puts the cache around it, and [`serve`] answers
//! connections with the result. [`run`] is the whole program but for its command line.

mod laps;
mod live;
mod options;
mod server;
mod site;
mod stack;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

pub use laps::{Lap, Laps};
pub use live::Live;
pub use options::Options;
pub use server::{Drained, serve};
pub use site::{Body, Site};
pub use stack::{caches, stack};

/// How long telling other servers of the last invalidations may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Listens, says so on standard output, and serves until SIGTERM or SIGINT.
///
/// # Errors
///
/// [`RunError`] when Redis cannot be used as described, the address cannot be bound, signals
/// cannot be watched, or standard output is closed. Redis need not be there.
pub async fn run(options: Options) -> Result<(), RunError> {
    let caches = caches(options.redis)?;
    let laps = options.data.map_or_else(Laps::demo, Laps::in_file);
    if caches.redis().is_some() && !laps.are_shared() {
        eprintln!(
            "hyper-server: without --data the laps are this server's own; no other may share its \
             pages through the same Redis"
        );
    }
    let site = Site::new(laps, caches.clone());
    let service = stack(&caches, site.clone())?;
    let stop = stop_signal().map_err(RunError::Signals)?;
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|source| RunError::Bind {
            address: options.listen,
            source,
        })?;
    announce(&listener).map_err(RunError::Announce)?;

    let stop = async move {
        stop.await;
        // Nobody waits for the end of a stream that has none.
        site.live().close();
    };
    if let Drained::CutOff(connections) = serve(listener, service, stop).await {
        eprintln!("hyper-server: {connections} connections were still busy and were cut off");
    }
    if !caches.shutdown(FAREWELL).await {
        eprintln!("hyper-server: Redis was not told of the last invalidations");
    }
    Ok(())
}

/// Why the server could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Redis or the environment is wrong.
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
}

/// Whoever started the server waits for this line, so it is flushed and names the actual port.
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
