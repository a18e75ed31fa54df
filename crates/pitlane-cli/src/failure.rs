//! How a command ends that did not do what it was asked.

use std::fmt;
use std::io;
use std::process::ExitCode;

use pitlane::ErrorKind;

/// What clap exits with for the mistakes that it finds by itself.
const USAGE: u8 = 2;

/// A sentence for people, and what kind of failure it is.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What was asked makes no sense.
    Usage,
    /// Redis, the log or a node did not do it.
    Failed,
    /// Somebody pressed Ctrl-C.
    Interrupted,
    /// Nobody reads the output any more, which is no failure.
    Unread,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    pub(crate) fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(crate) const fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Usage => "usage",
            Kind::Failed => "failed",
            Kind::Interrupted => "interrupted",
            Kind::Unread => "unread",
        }
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.kind == Kind::Unread
    }

    pub(crate) fn code(&self) -> ExitCode {
        match self.kind {
            Kind::Usage => ExitCode::from(USAGE),
            Kind::Failed | Kind::Interrupted => ExitCode::FAILURE,
            Kind::Unread => ExitCode::SUCCESS,
        }
    }
}

impl From<pitlane::Error> for Failure {
    fn from(error: pitlane::Error) -> Self {
        let message = error.to_string();
        match error.kind() {
            ErrorKind::Redis => Self::failed(message),
            _ => Self::usage(message),
        }
    }
}

impl From<io::Error> for Failure {
    /// An error of standard output.
    fn from(error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::BrokenPipe => Kind::Unread,
            _ => Kind::Failed,
        };
        Self::new(kind, format!("can't write the output: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
