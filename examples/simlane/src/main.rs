//! The racing-club site as a program: options in, one server out.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use simlane::{BoxError, Options, banner, open};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    log();
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simlane: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is worth a line goes to standard error: warnings, or what `RUST_LOG`
/// asks for.
fn log() {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(io::stderr)
        .init();
}

async fn run(options: Options) -> Result<(), BoxError> {
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    if options.redis.is_some() && options.database.is_none() {
        eprintln!(
            "simlane: without --database the data is this server's own; no other may share its \
             pages through the same Redis"
        );
    }
    let site = open(options).await?;
    let banner = banner(listener.local_addr()?, site.token_file());
    // Who has closed our output is served all the same.
    let _ = writeln!(io::stdout(), "{banner}");
    site.serve(listener, stop()).await
}

/// Resolves at the first ctrl-c or SIGTERM.
async fn stop() {
    let interrupt = async {
        // Without a handler for ctrl-c the process simply ends by default,
        // so there is nothing to do about the error but to wait for SIGTERM.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
