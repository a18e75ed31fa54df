//! The racing-club site as a program: options in, one server out.

use std::process::ExitCode;

use clap::Parser;
use simlane::{BoxError, Options, banner, open};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simlane: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the URLs to try are what the program is asked to print"
)]
async fn run(options: Options) -> Result<(), BoxError> {
    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    let site = open(options).await?;
    println!("{}", banner(listener.local_addr()?));
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
