//! `pitlane COMMAND`: see docs/guide/command.md, or `pitlane help`.

mod arguments;
mod commands;
mod failure;
mod output;
mod session;
mod text;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
use failure::Failure;
use output::Output;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::new(arguments.place.json);
    let result = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(commands::run(arguments, &output)),
        Err(error) => Err(Failure::failed(format!("no runtime: {error}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failed(&failure);
            failure.code()
        }
    }
}
