//! `hyper-server --listen ADDR`: see the README beside this crate.

use std::io;
use std::process::ExitCode;

use clap::Parser;
use hyper_server::{Options, RunError};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// What clap exits with for the mistakes that it finds by itself.
const USAGE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    log();
    match hyper_server::run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hyper-server: {error}");
            match error {
                RunError::Caches(_) => ExitCode::from(USAGE),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// What is worth a line goes to standard error: warnings, or what `RUST_LOG` asks for.
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
