//! `cargo xtask reconcile [REQUESTS]`: a million requests unless it is said otherwise. Exits with 1
//! when the nodes have counted something else than the clients.

#![expect(
    clippy::print_stdout,
    reason = "a tool talks to the person who started it"
)]

use std::process::ExitCode;

use pitlane_reconcile::{Plan, SERVE, run, serve};

#[tokio::main(flavor = "multi_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let requests = match words[..] {
        [SERVE, redis, name] => {
            serve(redis, name).await;
            return ExitCode::SUCCESS;
        }
        [] => Some(1_000_000),
        [number] => number.parse().ok(),
        _ => None,
    };
    let Some(requests) = requests else {
        eprintln!("reconcile [REQUESTS]");
        return ExitCode::from(2);
    };
    let plan = Plan {
        requests,
        clients: 16,
        program: std::env::current_exe().expect("this program"),
    };
    let report = run(&plan).await;
    println!("{report}");
    if report.agrees() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
