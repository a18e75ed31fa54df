//! A caching reverse proxy in front of one HTTP/1.1 origin, on hyper and a Pitlane layer.
//!
//! [`Origin`] forwards a request, [`stack`] puts the layers around it, and [`serve`] answers
//! connections with the result. [`run`] is the whole program but for its command line.

mod admin;
mod metrics;
mod options;
mod origin;
mod server;
mod stack;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use metrics::Scrapes;
use pitlane::stats::StatsOptions;
use pitlane::{Caches, ResponseCacheLayer};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tower::Layer;

pub use options::{Options, Profile};
pub use origin::{Origin, OriginUrl, OriginUrlError, Peer, ProxyBody, RequestBody};
pub use pitlane_admin::{AdminToken, AdminTokenError};
pub use server::{Drained, serve};
pub use stack::{cache_layer, caches, stack};

/// How long telling other proxies of the last invalidations may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Listens, says so on standard output, and serves until SIGTERM or SIGINT.
///
/// # Errors
///
/// [`RunError`] when the options or the environment contradict themselves, there is no token for
/// the admin API, an address cannot be bound, signals cannot be watched, or standard output is
/// closed. Nothing that happens to one connection ends the program, and Redis need not be there.
pub async fn run(options: &Options) -> Result<(), RunError> {
    let token = options.admin_token_file.as_ref();
    let token = token.map(|file| AdminToken::from_file(file)).transpose()?;
    let caches = caches(options)?;
    let stats = caches.keep_stats(StatsOptions::new());
    let layer = cache_layer(&caches, options)?;
    let origin = Origin::new(options.origin.clone());
    let service = stack(&layer, origin.clone());
    let stop = stop_signal().map_err(RunError::Signals)?;
    let listener = bind(options.listen).await?;
    let admin = match options.admin.zip(token) {
        Some((address, token)) => Some((bind(address).await?, token)),
        None => None,
    };
    let scrapes = match options.metrics {
        Some(address) => Some((bind(address).await?, Scrapes::install(&caches)?)),
        None => None,
    };
    let others = [
        ("admin API", admin.as_ref().map(|(listener, _)| listener)),
        ("metrics", scrapes.as_ref().map(|(listener, _)| listener)),
    ];
    announce(&listener, others).map_err(RunError::Announce)?;

    let (stopping, stopped) = watch::channel(false);
    let stop = async move {
        stop.await;
        stopping.send_replace(true);
    };
    let measures = scrapes.as_ref().map(|(_, scrapes)| scrapes.layer());
    let proxy = async {
        match measures {
            Some(measures) => serve(listener, measures.layer(service), stop).await,
            None => serve(listener, service, stop).await,
        }
    };
    let (drained, (), ()) = tokio::join!(
        proxy,
        serve_admin(admin, &caches, (&layer, origin), stopped.clone()),
        serve_metrics(scrapes, stopped)
    );
    if let Drained::CutOff(connections) = drained {
        eprintln!("reverse-proxy: {connections} connections were still busy and were cut off");
    }
    stats.end().await;
    if !caches.shutdown(FAREWELL).await {
        eprintln!("reverse-proxy: Redis was not told of the last invalidations");
    }
    Ok(())
}

/// Serves the admin API, if there is to be one, as long as the proxy accepts connections.
async fn serve_admin(
    admin: Option<(TcpListener, AdminToken)>,
    caches: &Caches,
    proxy: (&ResponseCacheLayer, Origin),
    stopped: watch::Receiver<bool>,
) {
    let Some((listener, token)) = admin else {
        return;
    };
    let Ok(bound) = listener.local_addr() else {
        return;
    };
    if !bound.ip().is_loopback() {
        eprintln!("reverse-proxy: the admin token crosses the network unencrypted to {bound}");
    }
    let service = admin::service(caches, proxy, token, bound, stopped.clone());
    // What an admin still waits for is not worth a word.
    let _ = serve(listener, service, stop_of(stopped)).await;
}

/// Answers scrapes, if there are to be any, as long as the proxy accepts connections.
async fn serve_metrics(scrapes: Option<(TcpListener, Scrapes)>, stopped: watch::Receiver<bool>) {
    if let Some((listener, scrapes)) = scrapes {
        scrapes.serve(listener, stop_of(stopped)).await;
    }
}

async fn stop_of(mut stopped: watch::Receiver<bool>) {
    // An error means that the proxy is gone, which is an end as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Why the proxy could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Each option is one, but together they make no cache; or Redis or the environment is wrong.
    #[error("cannot set up the cache: {0}")]
    Caches(#[from] pitlane::Error),
    /// Nothing is shared without Redis, so there is nothing to name.
    #[error("--namespace needs Redis: give --redis or PITLANE_REDIS_URL as well")]
    NamespaceAlone,
    /// No admin API without a token that cannot be guessed.
    #[error(transparent)]
    AdminToken(#[from] AdminTokenError),
    /// The address to listen on is taken, not ours, or not allowed.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// What `--listen`, `--admin` or `--metrics` said.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Something else in the process has installed a recorder of metrics.
    #[error("cannot record metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
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
        matches!(
            self,
            Self::Caches(_) | Self::NamespaceAlone | Self::AdminToken(_)
        )
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| RunError::Bind { address, source })
}

/// Whoever started the proxy waits for the first line, so all are flushed together and name the
/// actual ports.
fn announce(proxy: &TcpListener, others: [(&str, Option<&TcpListener>); 2]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {}", proxy.local_addr()?)?;
    for (what, listener) in others {
        if let Some(listener) = listener {
            writeln!(out, "{what} on {}", listener.local_addr()?)?;
        }
    }
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
