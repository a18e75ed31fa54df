//! `reverse-proxy --listen ADDR --origin URL`: see the README beside this crate.

use std::process::ExitCode;

use clap::Parser;
use reverse_proxy::Options;

#[tokio::main]
async fn main() -> ExitCode {
    match reverse_proxy::run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("reverse-proxy: {error}");
            ExitCode::FAILURE
        }
    }
}
