//! `pitlane COMMAND`: see docs/guide/command.md, or `pitlane help`.

mod admin;
mod arguments;
mod client;
mod commands;
mod failure;
mod fleet;
mod output;
mod session;
mod sitemap;
mod text;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
use failure::Failure;
use output::Output;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(arguments.place.json);
    match run(arguments, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failed(&failure);
            failure.code()
        }
    }
}

fn run(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("no runtime: {error}")))?;
    let result = runtime.block_on(commands::run(arguments, output));
    // A question that nobody answered is still waiting for a line of its own thread.
    runtime.shutdown_background();
    result
}
