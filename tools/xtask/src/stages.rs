//! `cargo xtask test`: the stages in their order, each timed.

use std::env;
use std::num::NonZero;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::failure::Failure;
use crate::prerequisites;
use crate::step::Step;
use crate::stopwatch::Stopwatch;
use crate::tidy;
use crate::workspace::Workspace;

/// One thing that must be green, with the name that runs it again alone.
#[derive(Clone, Copy, Debug)]
struct Stage {
    name: &'static str,
    run: fn() -> Result<(), Failure>,
}

/// Cheap stages first. The tests stay last, so that their own summary is the
/// end of the whole output.
const STAGES: &[Stage] = &[
    Stage {
        name: "prerequisites",
        run: prerequisites::install,
    },
    Stage {
        name: "format",
        run: format,
    },
    Stage {
        name: "tidy",
        run: tidy::run,
    },
    Stage {
        name: "lints",
        run: lints,
    },
    Stage {
        name: "docs",
        run: docs,
    },
    Stage {
        name: "features",
        run: features,
    },
    Stage {
        name: "models",
        run: models,
    },
    TESTS,
];

const TESTS: Stage = Stage {
    name: "tests",
    run: tests,
};

/// How many tests of one program run at a time.
const THREADS: &str = "RUST_TEST_THREADS";

/// Where Cargo finds the target `loom` of pitlane-core.
const MODELS: [&str; 2] = [
    "crates/pitlane-core/tests/loom.rs",
    "crates/pitlane-core/tests/loom/main.rs",
];

/// Runs all the stages, or those that are named, in the order of `STAGES`.
pub(crate) fn test(names: &[String]) -> Result<(), Failure> {
    let chosen = choose(STAGES, names)?;
    let mut times = Vec::new();
    for stage in &chosen {
        if stage.name == TESTS.name {
            print_table(&times);
        }
        times.push((stage.name, timed(*stage)?));
    }
    if !chosen.iter().any(|stage| stage.name == TESTS.name) {
        print_table(&times);
    }
    Ok(())
}

/// The models again, with more thread switches a schedule than `test` affords.
pub(crate) fn long_models() -> Result<(), Failure> {
    run_models("3")
}

fn choose(stages: &[Stage], names: &[String]) -> Result<Vec<Stage>, Failure> {
    let is_stage = |name: &&String| stages.iter().any(|stage| stage.name == **name);
    if let Some(unknown) = names.iter().find(|name| !is_stage(name)) {
        let known: Vec<&str> = stages.iter().map(|stage| stage.name).collect();
        return Err(Failure::usage(format!(
            "there is no stage `{unknown}`; there are {}",
            known.join(", ")
        )));
    }
    let wanted = |stage: &&Stage| names.is_empty() || names.iter().any(|name| name == stage.name);
    Ok(stages.iter().filter(wanted).copied().collect())
}

fn timed(stage: Stage) -> Result<Duration, Failure> {
    println!("\n== {} ==", stage.name);
    let stopwatch = Stopwatch::start();
    (stage.run)().map_err(|failure| {
        Failure::failed(format!(
            "\nstage `{0}` failed: {failure}\nto run it again alone: cargo xtask test {0}",
            stage.name
        ))
    })?;
    Ok(stopwatch.elapsed())
}

fn print_table(times: &[(&str, Duration)]) {
    if !times.is_empty() {
        println!("\n{}", table(times));
    }
}

fn table(times: &[(&str, Duration)]) -> String {
    let total: Duration = times.iter().map(|(_, time)| *time).sum();
    let row = |(name, time): &(&str, Duration)| format!("{name:<14}{:>8.1} s", time.as_secs_f64());
    let rows = times.iter().map(row).chain([row(&("together", total))]);
    rows.collect::<Vec<_>>().join("\n")
}

fn format() -> Result<(), Failure> {
    Step::cargo("fmt --all --check").run()
}

fn lints() -> Result<(), Failure> {
    Step::cargo("clippy --workspace --all-targets --all-features -- -D warnings").run()
}

/// Libraries only: the program `pitlane` and the library of that name would
/// write to the same page.
fn docs() -> Result<(), Failure> {
    Step::cargo("doc --workspace --lib --no-deps --all-features")
        .environment("RUSTDOCFLAGS", "-D warnings")
        .run()
}

/// In a build of the whole workspace, crates lend each other their features; a
/// user's build of one crate doesn't.
fn features() -> Result<(), Failure> {
    for package in Workspace::read()?.crates().filter(|one| one.published) {
        let check = || Step::cargo("check --package").add_arguments(&[&package.name]);
        check().add_arguments(&["--no-default-features"]).run()?;
        check().run()?;
    }
    Ok(())
}

fn models() -> Result<(), Failure> {
    run_models("2")
}

fn run_models(preemptions: &str) -> Result<(), Failure> {
    if !MODELS.iter().any(|file| Path::new(file).is_file()) {
        return Err(Failure::failed(format!(
            "the concurrency models are missing: neither {} exists",
            MODELS.join(" nor ")
        )));
    }
    // A build with another cfg would throw away the usual build's work.
    let target = format!("{}/loom", Workspace::read()?.target);
    Step::cargo("test --release --package pitlane-core --test loom --target-dir")
        .add_arguments(&[target])
        .environment("RUSTFLAGS", with_loom(env::var("RUSTFLAGS").ok()))
        .environment("LOOM_MAX_PREEMPTIONS", preemptions)
        .run()
}

fn with_loom(flags: Option<String>) -> String {
    let flags = flags.unwrap_or_default();
    format!("{flags} --cfg loom").trim_start().to_owned()
}

/// Documentation tests come first: for a crate without any, Cargo closes with a count of none,
/// which would stand at the end of everything.
fn tests() -> Result<(), Failure> {
    Step::cargo("test --workspace --all-features --doc").run()?;
    Step::cargo("test --workspace --all-features --lib --bins --tests")
        .environment(THREADS, threads(env::var(THREADS).ok()))
        .run()
}

/// Twice as many tests at a time as there are processors, unless somebody wants another number:
/// most of them wait for a server most of their time.
fn threads(wanted: Option<String>) -> String {
    wanted.unwrap_or_else(|| {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        (2 * processors).to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_choice(names: &str, expected: &str) {
        let names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
        let chosen = choose(STAGES, &names).expect("they are stages");
        let chosen: Vec<&str> = chosen.iter().map(|stage| stage.name).collect();
        assert_eq!(chosen.join(" "), expected);
    }

    #[test]
    fn stages_run_in_their_own_order() {
        check_choice(
            "",
            "prerequisites format tidy lints docs features models tests",
        );
        check_choice("tests lints", "lints tests");
    }

    #[test]
    fn an_unknown_stage_is_a_usage_error_that_lists_the_known() {
        let failure = choose(STAGES, &["clippy".to_owned()]).expect_err("there is none");
        assert!(matches!(failure, Failure::Usage(_)));
        let text = failure.to_string();
        assert!(text.starts_with("there is no stage `clippy`; there are prerequisites, format"));
    }

    #[test]
    fn a_failing_stage_says_how_to_run_it_alone() {
        let stage = Stage {
            name: "lints",
            run: || Err(Failure::failed("a lint fired")),
        };
        let text = timed(stage).expect_err("it fails").to_string();
        assert!(text.contains("stage `lints` failed: a lint fired"));
        assert!(text.ends_with("cargo xtask test lints"));
    }

    #[test]
    fn the_table_ends_with_the_sum() {
        let times = [
            ("format", Duration::from_millis(500)),
            ("lints", Duration::from_secs(12)),
        ];
        assert_eq!(
            table(&times),
            "format             0.5 s\nlints             12.0 s\ntogether          12.5 s"
        );
    }

    #[test]
    fn a_number_of_threads_that_somebody_wants_is_kept() {
        assert_eq!(threads(Some("1".into())), "1");
        let ours: usize = threads(None).parse().expect("a number");
        assert!(ours >= 2 && ours.is_multiple_of(2), "{ours}");
    }

    #[test]
    fn loom_is_added_to_flags_that_are_already_set() {
        assert_eq!(with_loom(None), "--cfg loom");
        assert_eq!(
            with_loom(Some("-D warnings".into())),
            "-D warnings --cfg loom"
        );
    }
}
