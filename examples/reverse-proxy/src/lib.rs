//! A caching reverse proxy in front of one HTTP/1.1 origin, on hyper and a Pitlane layer.
//!
//! [`Origin`] forwards a request, [`stack`] puts the layers around it, and [`serve`] answers
//! connections with the result. [`run`] is the whole program but for its command line.

mod options;
mod origin;
mod server;
mod stack;

use std::io::{self, Write};
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

pub use options::{Options, Profile};
pub use origin::{Origin, OriginUrl, OriginUrlError, Peer, ProxyBody};
pub use server::{Drained, serve};
pub use stack::{cache_layer, stack};

/// Listens, says so on standard output, and serves until SIGTERM or SIGINT.
///
/// # Errors
///
/// [`RunError`] when the address cannot be bound, signals cannot be watched, or standard output
/// is closed, or when the sizes in the options contradict each other. Nothing that happens to one
/// connection ends the program.
pub async fn run(options: &Options) -> Result<(), RunError> {
    let cache = cache_layer(options).map_err(RunError::Sizes)?;
    let service = stack(&cache, Origin::new(options.origin.clone()));
    let stop = stop_signal().map_err(RunError::Signals)?;
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|source| RunError::Bind {
            address: options.listen,
            source,
        })?;
    announce(&listener).map_err(RunError::Announce)?;
    let drained = serve(listener, service, stop).await;
    if let Drained::CutOff(connections) = drained {
        eprintln!("reverse-proxy: {connections} connections were still busy and were cut off");
    }
    Ok(())
}

/// Why the proxy could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Each of the two sizes is one, but the larger is the wrong one.
    #[error("--memory and --max-body do not fit together: {0}")]
    Sizes(#[source] pitlane::Error),
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
    /// The line that says the proxy is ready could not be written.
    #[error("cannot say that the proxy is ready: {0}")]
    Announce(#[source] io::Error),
}

impl RunError {
    /// Whether another command line would do, on the same machine at the same moment.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Sizes(_))
    }
}

/// Whoever started the proxy waits for this line, so it is flushed and names the actual port.
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
