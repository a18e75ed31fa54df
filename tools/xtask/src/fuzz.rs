//! `cargo xtask fuzz`: fuzzing led by coverage, with libFuzzer, on the stable toolchain.
//!
//! The compiler's own pass counts the edges; libFuzzer itself is C++ that a crate brings along.
//! What is found lies in `tools/fuzz/artifacts`; what reached something new lies below the target
//! folder, and `--keep` puts a few telling files of that into the committed corpus.

mod corpus;
mod plan;
mod report;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::prerequisites;
use crate::step::Step;
use crate::workspace::Workspace;

use plan::Plan;
use report::Report;

/// Where the targets' own files are.
const HOME: &str = "tools/fuzz";

/// What makes the compiler count edges and comparisons for libFuzzer.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// A broken promise may also be one that takes seconds, or gigabytes.
const LIMITS: &str = "-timeout=10 -rss_limit_mb=2048 -max_len=1024 -print_final_stats=1";

/// Runs the targets that are named, or all of them, one after the other.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let plan = Plan::parse(arguments, &targets()?)?;
    prerequisites::install_for_fuzzing()?;
    let fuzzer = Fuzzer::build()?;
    let mut found = Vec::new();
    for target in &plan.targets {
        found.extend(fuzzer.run(target, plan.minutes)?);
        if plan.keep {
            fuzzer.keep(target)?;
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(found.join("\n")))
}

/// Each target has one dictionary; that is how they are known here.
fn targets() -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = files(Path::new(HOME).join("dictionaries"))?
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// The one program that holds all the targets.
struct Fuzzer {
    program: String,
    target: PathBuf,
}

impl Fuzzer {
    fn build() -> Result<Self, Failure> {
        let host = host()?;
        // Other flags than the usual build's would throw away its work.
        let target = PathBuf::from(Workspace::read()?.target).join("fuzz");
        // With a target named, build scripts and procedural macros stay as they are.
        Step::cargo("build --profile fuzz --package pitlane-fuzz --bin pitlane-fuzz")
            .add_arguments(&["--target", &host])
            .add_arguments(&["--target-dir".to_owned(), shown(&target)])
            .environment("RUSTFLAGS", with_coverage(std::env::var("RUSTFLAGS").ok()))
            .run()?;
        let program = target.join(host).join("fuzz").join("pitlane-fuzz");
        Ok(Self {
            program: shown(&program),
            target,
        })
    }

    /// The sentences about what was found.
    fn run(&self, name: &str, minutes: u64) -> Result<Vec<String>, Failure> {
        let (working, artifacts) = (
            self.working(name),
            Path::new(HOME).join("artifacts").join(name),
        );
        for folder in [&working, &artifacts, &self.target.join("logs")] {
            create(folder)?;
        }
        let before = files(&artifacts)?;
        let log = self.target.join("logs").join(format!("{name}.log"));
        println!("{name}: {minutes} minutes; {} tells more", log.display());
        let outcome = self
            .step(name)
            .add_arguments(&[
                format!("-max_total_time={}", minutes * 60),
                format!("-dict={HOME}/dictionaries/{name}.dict"),
                format!("-artifact_prefix={}/", shown(&artifacts)),
                shown(&working),
                shown(&committed(name)),
            ])
            .run_into(&log);
        println!(
            "{name}: {}",
            Report::read(&fs::read_to_string(&log).unwrap_or_default())
        );
        let mut found: Vec<PathBuf> = files(&artifacts)?;
        found.retain(|path| !before.contains(path));
        match outcome {
            Ok(()) => Ok(Vec::new()),
            // An older finding that is found again keeps its name.
            Err(failure) if found.is_empty() => Ok(vec![format!("{name}: {failure}")]),
            Err(_) => Ok(found
                .iter()
                .map(|path| sentence(name, path, &log))
                .collect()),
        }
    }

    /// Replaces what earlier runs put into the committed corpus by a few files that cover the most of
    /// what is known now. Files that people have named stay.
    fn keep(&self, name: &str) -> Result<(), Failure> {
        let folder = self.target.join("merge").join(name);
        let (control, merged) = (folder.join("control"), folder.join("merged"));
        // An old control file would be taken for the beginning of this merge.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| Failure::failed(error.to_string()))?;
        }
        create(&merged)?;
        // Only this kind of merge tells all that a file reaches, and not just what is new.
        self.step(name)
            .add_arguments(&[
                "-set_cover_merge=1".to_owned(),
                "-use_counters=0".to_owned(),
                format!("-merge_control_file={}", shown(&control)),
                shown(&merged),
                shown(&committed(name)),
                shown(&self.working(name)),
            ])
            .run_into(&self.target.join("logs").join(format!("{name}.merge.log")))?;
        let told = fs::read_to_string(&control)
            .map_err(|error| Failure::failed(format!("{}: {error}", control.display())))?;
        let count = corpus::replace(&committed(name), &corpus::choose(&told))?;
        println!("{name}: {count} files in {}", committed(name).display());
        Ok(())
    }

    fn step(&self, name: &str) -> Step {
        Step::program(&self.program, LIMITS).environment("PITLANE_FUZZ", name)
    }

    fn working(&self, name: &str) -> PathBuf {
        self.target.join("corpus").join(name)
    }
}

fn committed(name: &str) -> PathBuf {
    Path::new(HOME).join("corpus").join(name)
}

fn sentence(name: &str, path: &Path, log: &Path) -> String {
    format!(
        "{name}: a promise is broken, {} tells which; to replay it: \
         cargo run --package pitlane-fuzz -- {name} {}",
        log.display(),
        path.display()
    )
}

fn host() -> Result<String, Failure> {
    let told = Step::program("rustc", "-vV").read()?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| Failure::failed("`rustc -vV` doesn't say which host it is on"))
}

fn with_coverage(flags: Option<String>) -> String {
    let flags = flags.unwrap_or_default();
    format!("{flags} {COVERAGE}").trim_start().to_owned()
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn create(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder)
        .map_err(|error| Failure::failed(format!("can't make {}: {error}", folder.display())))
}

fn files(folder: impl AsRef<Path>) -> Result<Vec<PathBuf>, Failure> {
    let folder = folder.as_ref();
    let list = || -> io::Result<Vec<PathBuf>> {
        folder.read_dir()?.map(|entry| Ok(entry?.path())).collect()
    };
    list().map_err(|error| Failure::failed(format!("can't list {}: {error}", folder.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_is_added_to_flags_that_are_already_set() {
        assert!(with_coverage(None).starts_with("--cfg fuzzing -Cpasses=sancov-module -C"));
        let both = with_coverage(Some("-D warnings".into()));
        assert!(both.starts_with("-D warnings --cfg fuzzing"), "{both}");
    }

    #[test]
    fn a_finding_is_named_with_the_command_that_replays_it() {
        let sentence = sentence("age", Path::new("a/crash-1"), Path::new("age.log"));
        assert!(
            sentence.ends_with("cargo run --package pitlane-fuzz -- age a/crash-1"),
            "{sentence}"
        );
    }
}
