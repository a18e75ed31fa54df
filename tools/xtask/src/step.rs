//! One program started on somebody's behalf, shown as that person would type it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::Path;
use std::process::Command;

use crate::failure::Failure;

#[derive(Debug)]
pub(crate) struct Step {
    program: OsString,
    shown: String,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

impl Step {
    /// A cargo call, by the same cargo that started this tool.
    pub(crate) fn cargo(line: &str) -> Self {
        let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Self {
            program,
            ..Self::program("cargo", line)
        }
    }

    pub(crate) fn program(name: &str, line: &str) -> Self {
        Self {
            program: name.into(),
            shown: name.to_owned(),
            arguments: line.split_whitespace().map(str::to_owned).collect(),
            environment: Vec::new(),
        }
    }

    pub(crate) fn add_arguments<S: AsRef<str>>(mut self, more: &[S]) -> Self {
        let more = more.iter().map(|argument| argument.as_ref().to_owned());
        self.arguments.extend(more);
        self
    }

    pub(crate) fn environment(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// The line that does the same in a shell.
    pub(crate) fn line(&self) -> String {
        let environment = self
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={}", quoted(value)));
        let arguments = self.arguments.iter().map(|argument| quoted(argument));
        environment
            .chain([self.shown.clone()])
            .chain(arguments)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Runs it with this terminal as its own.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        println!("$ {}", self.line());
        let status = self.command().status().map_err(|error| self.lost(&error))?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::failed(format!("`{}`: {status}", self.line())))
    }

    /// Runs it with all that it says in a file.
    pub(crate) fn run_into(&self, log: &Path) -> Result<(), Failure> {
        println!("$ {}", self.line());
        let files = || {
            let file = File::create(log)?;
            Ok((file.try_clone()?, file))
        };
        let (out, errors) = files().map_err(|error: std::io::Error| {
            Failure::failed(format!("can't write {}: {error}", log.display()))
        })?;
        let mut command = self.command();
        let status = command.stdout(out).stderr(errors).status();
        let status = status.map_err(|error| self.lost(&error))?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::failed(format!(
            "`{}`: {status}; {} tells more",
            self.line(),
            log.display()
        )))
    }

    /// Runs it for what it prints.
    pub(crate) fn read(&self) -> Result<String, Failure> {
        let output = self.command().output().map_err(|error| self.lost(&error))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Failure::failed(format!(
            "`{}`: {}\n{}",
            self.line(),
            output.status,
            said.trim_end()
        )))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        for (name, _) in env::vars_os() {
            if is_of_this_package(&name) {
                command.env_remove(name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn lost(&self, error: &std::io::Error) -> Failure {
        Failure::failed(format!("`{}` can't be started: {error}", self.shown))
    }
}

/// Whether Cargo tells a program that it runs of its own package by this variable. Build scripts that
/// look at one would run again for every build that was started by hand, and all above them.
fn is_of_this_package(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b"CARGO_PKG_") || name.starts_with(b"CARGO_MANIFEST_")
}

fn quoted(word: &str) -> String {
    if word.contains(char::is_whitespace) {
        return format!("'{word}'");
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_shown_as_it_would_be_typed() {
        let step = Step::cargo("test --package pitlane-core")
            .environment("RUSTFLAGS", "--cfg loom")
            .add_arguments(&["--", "one two"]);
        assert_eq!(
            step.line(),
            "RUSTFLAGS='--cfg loom' cargo test --package pitlane-core -- 'one two'"
        );
    }

    #[test]
    fn what_cargo_says_of_this_package_is_told_to_nobody() {
        let told = Step::program("env", "").read().expect("there is `env`");
        assert!(env::var_os("CARGO_PKG_NAME").is_some(), "cargo says it");
        assert!(!told.contains("CARGO_PKG_") && !told.contains("CARGO_MANIFEST_"));
        assert!(told.contains("PATH="), "{told}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let failure = Step::program("no-such-program-anywhere", "").read();
        let text = failure.expect_err("it can't have run").to_string();
        assert!(
            text.starts_with("`no-such-program-anywhere` can't be started:"),
            "{text}"
        );
    }

    #[test]
    fn a_program_that_fails_is_quoted_with_its_words() {
        let step = Step::program("sh", "-c").add_arguments(&["echo broken >&2; exit 3"]);
        let text = step.read().expect_err("it exits 3").to_string();
        assert!(text.contains("exit status: 3"), "{text}");
        assert!(text.ends_with("broken"), "{text}");
    }

    #[test]
    fn a_step_that_talks_into_a_file_leaves_both_its_streams_there() {
        let log = env::temp_dir().join(format!("xtask-{}-step.log", std::process::id()));
        let step = Step::program("sh", "-c").add_arguments(&["echo one; echo two >&2; exit 3"]);
        let text = step.run_into(&log).expect_err("it exits 3").to_string();
        let said = std::fs::read_to_string(&log).expect("a log");
        std::fs::remove_file(&log).expect("a log");
        assert_eq!(said, "one\ntwo\n");
        assert!(text.contains("exit status: 3;"), "{text}");
    }
}
