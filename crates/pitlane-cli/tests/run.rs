//! Runs the command and keeps what it said.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What became of one run.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl Ended {
    /// Checks that it did what it was asked.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

/// The command with nothing of the environment that means something to it.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pitlane"));
    for name in ["CONFIG", "REDIS_URL", "REDIS_PASSWORD", "MEMORY_LIMIT"] {
        command.env_remove(format!("PITLANE_{name}"));
    }
    command.stdin(Stdio::null());
    command
}

pub(crate) fn pitlane<A: AsRef<str>>(arguments: &[A]) -> Ended {
    let mut command = command();
    command.args(arguments.iter().map(AsRef::as_ref));
    finish(command)
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a run takes is what a person waits"
)]
pub(crate) fn finish(mut command: Command) -> Ended {
    let began = Instant::now();
    let output = command.output().expect("the command");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let ended = Ended {
        code: output.status.code().expect("an exit code"),
        out: text(output.stdout),
        err: text(output.stderr),
        took: began.elapsed(),
    };
    eprintln!("{command:?}\n{}{}", ended.out, ended.err);
    ended
}
