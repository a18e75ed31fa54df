//! Everything a person repeats in this repository, behind `cargo xtask`.

#![expect(
    clippy::print_stdout,
    reason = "a tool talks to the person who started it"
)]

mod browser;
mod conformance;
mod failure;
mod fuzz;
mod prerequisites;
mod stages;
mod step;
mod stopwatch;
mod tidy;
mod workspace;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use failure::Failure;
use step::Step;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [STAGE...]   everything that must be green, or only the stages named
  tidy              the house rules: floors, forbidden words, manifests, sizes
  conformance       writes docs/reference/conformance.md from tests/conformance.toml
  loom              the concurrency models with longer bounds than `test` uses
  bench [NAME...]   the benchmarks, in release mode
  chaos [--long] [FAULT...]
                    faults of Redis under load, and what each costs
  consistency [--long] [OPTION...]
                    the history checker: several nodes over one Redis while everything fails
  reconcile [REQUESTS]
                    what two nodes count against what their clients have counted, a million requests
  browser           a real browser walks the dashboard of simlane: pictures, accessibility, hostile names
  fuzz [--minutes N] [--keep] [TARGET...]
                    fuzzing led by coverage, 20 minutes a target; --keep adds what is new to the corpus
  deny              licences, bans, sources and advisories, with cargo-deny
  help              this text";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match enter_root().and_then(|()| dispatch(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit_code()
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<(), Failure> {
    let Some((command, rest)) = arguments.split_first() else {
        return Err(usage("which command?"));
    };
    match command.as_str() {
        "test" => stages::test(rest),
        "bench" => bench(rest),
        "chaos" => chaos(rest),
        "consistency" => consistency(rest),
        "reconcile" => reconcile(rest),
        "fuzz" => fuzz::run(rest),
        "browser" => alone(command, rest).and_then(|()| browser::run()),
        "tidy" => alone(command, rest).and_then(|()| tidy::run()),
        "conformance" => alone(command, rest).and_then(|()| conformance::run()),
        "loom" => alone(command, rest).and_then(|()| stages::long_models()),
        "deny" => alone(command, rest).and_then(|()| deny()),
        "help" | "-h" | "--help" => {
            println!("{USAGE}");
            Ok(())
        }
        unknown => Err(usage(&format!("there is no command `{unknown}`"))),
    }
}

fn bench(names: &[String]) -> Result<(), Failure> {
    Step::cargo("run --profile bench --package pitlane-bench --")
        .add_arguments(names)
        .run()
}

fn consistency(options: &[String]) -> Result<(), Failure> {
    Step::cargo("run --release --package pitlane-consistency --")
        .add_arguments(options)
        .run()
}

fn chaos(arguments: &[String]) -> Result<(), Failure> {
    Step::cargo("run --release --package pitlane-chaos --")
        .add_arguments(arguments)
        .run()
}

fn reconcile(arguments: &[String]) -> Result<(), Failure> {
    Step::cargo("run --release --package pitlane-reconcile --")
        .add_arguments(arguments)
        .run()
}

fn deny() -> Result<(), Failure> {
    if !prerequisites::is_on_path("cargo-deny") {
        return Err(Failure::failed(
            "cargo-deny is not installed; `cargo install --locked cargo-deny` installs it",
        ));
    }
    // Only the last one needs a network, so what the others say comes first.
    for checks in ["licenses bans sources", "advisories"] {
        Step::cargo("deny --workspace --all-features check")
            .add_arguments(&checks.split(' ').collect::<Vec<_>>())
            .run()?;
    }
    Ok(())
}

/// Refuses arguments that a command would otherwise ignore without a word.
fn alone(command: &str, rest: &[String]) -> Result<(), Failure> {
    match rest.first() {
        None => Ok(()),
        Some(extra) => Err(usage(&format!("`{command}` takes no argument `{extra}`"))),
    }
}

fn usage(problem: &str) -> Failure {
    Failure::usage(format!("{problem}\n\n{USAGE}"))
}

/// Cargo keeps the caller's folder, and every path here is relative to the root.
fn enter_root() -> Result<(), Failure> {
    let own = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    env::set_current_dir(own.join("../.."))
        .map_err(|error| Failure::failed(format!("can't enter the repository's root: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_usage(line: &str, problem: &str) {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let Err(failure) = dispatch(&arguments) else {
            panic!("`{line}` was accepted");
        };
        assert_eq!(failure.exit_code(), ExitCode::from(2));
        let text = failure.to_string();
        assert!(text.starts_with(problem), "{text}");
        assert!(text.contains("usage: cargo xtask"), "{text}");
    }

    #[test]
    fn a_command_line_that_means_nothing_is_a_usage_error() {
        check_usage("", "which command?");
        check_usage("tset", "there is no command `tset`");
        check_usage("tidy all", "`tidy` takes no argument `all`");
        check_usage("loom 4", "`loom` takes no argument `4`");
        check_usage("deny bans", "`deny` takes no argument `bans`");
    }
}
