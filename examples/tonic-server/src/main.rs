//! `tonic-server --listen ADDR`: see the README beside this crate.

use std::process::ExitCode;

use clap::Parser;
use tonic_server::Options;

/// What clap exits with for the mistakes that it finds by itself.
const USAGE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    match tonic_server::run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tonic-server: {error}");
            if error.is_usage() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
