//! Why a command ended badly, and the exit code that scripts see.

use std::fmt;
use std::process::ExitCode;

/// Exit code 1: the work was done and something is wrong. Exit code 2: the
/// command line asked for something that doesn't exist.
#[derive(Debug)]
pub(crate) enum Failure {
    Failed(String),
    Usage(String),
}

impl Failure {
    pub(crate) fn failed(sentence: impl Into<String>) -> Self {
        Self::Failed(sentence.into())
    }

    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self::Usage(sentence.into())
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(sentence) | Self::Usage(sentence) => f.write_str(sentence),
        }
    }
}
