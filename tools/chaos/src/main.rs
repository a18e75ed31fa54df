//! `cargo xtask chaos [--long] [FAULT...]`: what each fault of Redis costs, as one table. Exits
//! with 1 when a bar is missed.

#![expect(
    clippy::print_stdout,
    reason = "a tool talks to the person who started it"
)]

use std::process::ExitCode;

use pitlane_chaos::{Fault, Outcome, Plan, run, table};

#[tokio::main(flavor = "multi_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (plan, faults) = match chosen(&arguments) {
        Ok(chosen) => chosen,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let mut outcomes = Vec::with_capacity(faults.len());
    for fault in faults {
        eprintln!("{fault} ...");
        outcomes.push(run(fault, &plan).await);
    }
    println!("{}", table(&outcomes));
    if outcomes
        .iter()
        .any(|one: &Outcome| !one.missed().is_empty())
    {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The faults that are named, or all.
fn chosen(arguments: &[String]) -> Result<(Plan, Vec<Fault>), String> {
    let (options, names): (Vec<_>, Vec<_>) =
        arguments.iter().partition(|word| word.starts_with('-'));
    if let Some(unknown) = options.iter().find(|option| ***option != "--long") {
        return Err(format!("there is no option {unknown}; there is --long"));
    }
    let plan = if options.is_empty() {
        Plan::usual()
    } else {
        Plan::long()
    };
    let faults: Vec<Fault> = names
        .iter()
        .map(|name| name.parse())
        .collect::<Result<_, _>>()?;
    if faults.is_empty() {
        return Ok((plan, Fault::ALL.to_vec()));
    }
    Ok((plan, faults))
}
