//! The history checker: several nodes over one Redis read, write and invalidate at random while
//! everything fails around them, and every read is judged.
//!
//! Each node is a process with memory and a clock of its own. They share a database and a table of
//! acknowledged invalidations in files, so that what had been acknowledged when a read began is a
//! fact and not a guess from clocks.

#![expect(
    clippy::print_stdout,
    reason = "a tool talks to the person who started it, and a node to its driver"
)]

mod driver;
mod judge;
mod moment;
mod node;
mod random;
mod space;
mod truth;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

type Failure = Box<dyn Error + Send + Sync>;

/// Checks that no read returns what an acknowledged invalidation has ended.
#[derive(Debug, Parser)]
#[command(name = "consistency")]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    arguments: driver::Arguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What the checker starts itself.
    #[command(hide = true)]
    Node(node::NodeArguments),
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let done = match line.command {
        Some(Command::Node(arguments)) => node::run(arguments).map(|()| true),
        None => driver::run(&line.arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
