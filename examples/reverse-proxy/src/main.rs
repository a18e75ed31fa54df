//! `reverse-proxy --listen ADDR --origin URL`: see the README beside this crate.

use std::process::ExitCode;

use clap::Parser;
use reverse_proxy::Options;

/// What clap exits with for the mistakes that it finds by itself.
const USAGE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    match reverse_proxy::run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("reverse-proxy: {error}");
            if error.is_usage() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
