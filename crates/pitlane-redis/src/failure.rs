use std::{error::Error, fmt};

use fred::error::{Error as RedisError, ErrorKind};
use pitlane_core::{CallOutcome, StoreError, StoreErrorKind};

/// Why a call to Redis brought no answer.
pub struct Failure {
    kind: FailureKind,
    source: Option<RedisError>,
}

/// What went wrong with a call to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// Nothing was sent: the circuit is open, because calls failed just now or Redis has not been
    /// seen yet.
    Open,
    /// Nothing was sent: too many calls, or too many bytes, are on their way already.
    Overloaded,
    /// No answer within the budget. The command may still be carried out.
    TimedOut,
    /// There is no connection, or it was lost before the answer.
    Unreachable,
    /// The server doesn't have the script (`NOSCRIPT`): it is another process than it was.
    NoScript,
    /// The server's memory is full and it evicts nothing (`OOM`).
    OutOfMemory,
    /// The server is a replica (`READONLY`).
    ReadOnly,
    /// The server can't save and refuses writes (`MISCONF`).
    Misconfigured,
    /// The server has too few replicas to accept writes (`NOREPLICAS`).
    NoReplicas,
    /// The server reads its data from disk (`LOADING`).
    Loading,
    /// The server runs a script that doesn't end (`BUSY`).
    Busy,
    /// The cluster has no owner for the slot, or the replica no primary (`CLUSTERDOWN`,
    /// `MASTERDOWN`).
    ClusterDown,
    /// The server doesn't know us (`NOAUTH`, `WRONGPASS`).
    Authentication,
    /// The server knows us and does not permit it (`NOPERM`).
    Permission,
    /// The keys of one command live in different slots (`CROSSSLOT`).
    CrossSlot,
    /// The key lives on another server (`MOVED`, `ASK`).
    Moved,
    /// What came back is no Redis protocol.
    Protocol,
    /// The stored value, or the answer, has another type than the question (`WRONGTYPE`).
    WrongType,
    /// The server, or the client library, refused the command for another reason.
    Refused,
}

impl Failure {
    pub(crate) const fn new(kind: FailureKind) -> Self {
        Self { kind, source: None }
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Whether an answer came that doesn't fit the question.
    pub(crate) fn is_of_another_shape(&self) -> bool {
        let source = self.source.as_ref();
        source.is_some_and(|source| *source.kind() == ErrorKind::Parse)
    }
}

impl From<FailureKind> for Failure {
    fn from(kind: FailureKind) -> Self {
        Self::new(kind)
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Self {
            kind: classify(&error),
            source: Some(error),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self::new(failure.kind.as_store_error(), failure)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.sentence())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("kind", &self.kind)
            .field("source", &self.source)
            .finish()
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

/// What a failure says about the next call: which sides of the circuit it counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blame {
    pub(crate) read: CallOutcome,
    pub(crate) write: CallOutcome,
    /// Whether the connection itself may be at fault.
    pub(crate) connection: bool,
}

impl Blame {
    const fn both(outcome: CallOutcome, connection: bool) -> Self {
        Self {
            read: outcome,
            write: outcome,
            connection,
        }
    }

    pub(crate) const NONE: Self = Self::both(CallOutcome::Success, false);
}

impl FailureKind {
    /// The kind as a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Overloaded => "overloaded",
            Self::TimedOut => "timed-out",
            Self::Unreachable => "unreachable",
            Self::NoScript => "no-script",
            Self::OutOfMemory => "out-of-memory",
            Self::ReadOnly => "read-only",
            Self::Misconfigured => "misconfigured",
            Self::NoReplicas => "no-replicas",
            Self::Loading => "loading",
            Self::Busy => "busy",
            Self::ClusterDown => "cluster-down",
            Self::Authentication => "authentication",
            Self::Permission => "permission",
            Self::CrossSlot => "cross-slot",
            Self::Moved => "moved",
            Self::Protocol => "protocol",
            Self::WrongType => "wrong-type",
            Self::Refused => "refused",
        }
    }

    /// An answer that says no is an answer: it counts against nothing but what it speaks of.
    pub(crate) const fn blame(self) -> Blame {
        match self {
            Self::TimedOut | Self::Unreachable | Self::Protocol => {
                Blame::both(CallOutcome::Failure, true)
            }
            Self::Loading | Self::Busy | Self::ClusterDown => {
                Blame::both(CallOutcome::Failure, false)
            }
            Self::Authentication | Self::Permission => Blame::both(CallOutcome::Fatal, false),
            Self::OutOfMemory | Self::ReadOnly | Self::Misconfigured | Self::NoReplicas => Blame {
                read: CallOutcome::Success,
                write: CallOutcome::Failure,
                connection: false,
            },
            Self::Open
            | Self::Overloaded
            | Self::NoScript
            | Self::CrossSlot
            | Self::Moved
            | Self::WrongType
            | Self::Refused => Blame::NONE,
        }
    }

    /// Whether it goes on until somebody changes a password or a permission.
    pub(crate) const fn needs_a_person(self) -> bool {
        matches!(self, Self::Authentication | Self::Permission)
    }

    const fn as_store_error(self) -> StoreErrorKind {
        match self {
            Self::Open => StoreErrorKind::Open,
            Self::Overloaded => StoreErrorKind::Busy,
            Self::TimedOut => StoreErrorKind::TimedOut,
            Self::Unreachable | Self::Loading | Self::Busy | Self::ClusterDown => {
                StoreErrorKind::Unreachable
            }
            Self::Protocol | Self::WrongType => StoreErrorKind::Protocol,
            _ => StoreErrorKind::Refused,
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Open => "the circuit to Redis is open",
            Self::Overloaded => "too much is on its way to Redis",
            Self::TimedOut => "Redis did not answer in time",
            Self::Unreachable => "Redis can't be reached",
            Self::NoScript => "Redis doesn't have the script",
            Self::OutOfMemory => "Redis is out of memory",
            Self::ReadOnly => "Redis is a read-only replica",
            Self::Misconfigured => "Redis can't save and refuses writes",
            Self::NoReplicas => "Redis has too few replicas to accept writes",
            Self::Loading => "Redis is loading its data",
            Self::Busy => "Redis is busy running a script",
            Self::ClusterDown => "the Redis cluster is down",
            Self::Authentication => "Redis refused the user or password",
            Self::Permission => "the Redis user may not do this",
            Self::CrossSlot => "the keys live in different slots",
            Self::Moved => "the key lives on another Redis server",
            Self::Protocol => "what came back is no Redis protocol",
            Self::WrongType => "the value has another type",
            Self::Refused => "Redis refused the command",
        }
    }
}

/// The first word of a server's error says what it is; the client library knows only a few of
/// them and calls the others unknown.
const PREFIXES: &[(&str, FailureKind)] = &[
    ("NOSCRIPT", FailureKind::NoScript),
    ("OOM", FailureKind::OutOfMemory),
    ("READONLY", FailureKind::ReadOnly),
    ("MISCONF", FailureKind::Misconfigured),
    ("NOREPLICAS", FailureKind::NoReplicas),
    ("LOADING", FailureKind::Loading),
    ("BUSY", FailureKind::Busy),
    ("CLUSTERDOWN", FailureKind::ClusterDown),
    ("MASTERDOWN", FailureKind::ClusterDown),
    ("NOAUTH", FailureKind::Authentication),
    ("WRONGPASS", FailureKind::Authentication),
    ("NOPERM", FailureKind::Permission),
    ("CROSSSLOT", FailureKind::CrossSlot),
    ("MOVED", FailureKind::Moved),
    ("ASK", FailureKind::Moved),
    ("WRONGTYPE", FailureKind::WrongType),
    // Redis before 6 has no word for it.
    ("ERR invalid password", FailureKind::Authentication),
    ("ERR AUTH", FailureKind::Authentication),
];

/// What the client library says, under the kind "unknown", when it lost the command itself.
const LOST: &[&str] = &[
    "Client is not initialized.",
    "Failed to send command to router.",
    "Failed to route command.",
    "Missing expected connection.",
    "Missing response.",
    "Too many failed write attempts.",
    "channel closed",
    "No response!",
];

/// What an error of the client library is: the one place where that is decided.
pub(crate) fn classify(error: &RedisError) -> FailureKind {
    let details = error.details();
    // A script's error may carry another command's error behind its own words.
    if let Some(kind) = by_prefix(details) {
        return kind;
    }
    match error.kind() {
        ErrorKind::Timeout => FailureKind::TimedOut,
        ErrorKind::IO | ErrorKind::Canceled | ErrorKind::Routing | ErrorKind::Sentinel => {
            FailureKind::Unreachable
        }
        #[cfg(feature = "tls")]
        ErrorKind::Tls => FailureKind::Unreachable,
        ErrorKind::Protocol => FailureKind::Protocol,
        ErrorKind::Auth => FailureKind::Authentication,
        ErrorKind::Parse | ErrorKind::NotFound => FailureKind::WrongType,
        ErrorKind::Cluster => FailureKind::ClusterDown,
        ErrorKind::Backpressure => FailureKind::Overloaded,
        ErrorKind::Unknown if LOST.contains(&details) => FailureKind::Unreachable,
        _ => FailureKind::Refused,
    }
}

fn by_prefix(details: &str) -> Option<FailureKind> {
    let is_at = |prefix: &str| {
        let rest = details.strip_prefix(prefix)?;
        (rest.is_empty() || rest.starts_with([' ', '\r', '\n'])).then_some(())
    };
    let mut prefixes = PREFIXES.iter();
    prefixes.find_map(|(prefix, kind)| is_at(prefix).map(|()| *kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: ErrorKind, details: &'static str, expected: FailureKind) {
        let failure = Failure::from(RedisError::new(kind, details));
        assert_eq!(failure.kind(), expected, "{details}");
        let source = failure.source().unwrap().to_string();
        assert!(source.contains(details), "{source}");
    }

    #[test]
    fn the_first_word_decides() {
        let unknown = |details, kind| check(ErrorKind::Unknown, details, kind);
        unknown("NOSCRIPT No matching script.", FailureKind::NoScript);
        unknown(
            "OOM command not allowed when used memory > 'maxmemory'.",
            FailureKind::OutOfMemory,
        );
        unknown(
            "READONLY You can't write against a read only replica.",
            FailureKind::ReadOnly,
        );
        unknown("MISCONF Redis is configured", FailureKind::Misconfigured);
        unknown(
            "NOREPLICAS Not enough good replicas to write.",
            FailureKind::NoReplicas,
        );
        unknown("LOADING Redis is loading", FailureKind::Loading);
        unknown("BUSY Redis is busy running a script.", FailureKind::Busy);
        unknown(
            "MASTERDOWN Link with MASTER is down",
            FailureKind::ClusterDown,
        );
        unknown(
            "NOPERM this user has no permissions",
            FailureKind::Permission,
        );
        unknown(
            "CROSSSLOT Keys in request don't hash to the same slot",
            FailureKind::CrossSlot,
        );
        check(
            ErrorKind::Cluster,
            "CLUSTERDOWN Hash slot not served",
            FailureKind::ClusterDown,
        );
        check(
            ErrorKind::Cluster,
            "MOVED 1 127.0.0.1:7001",
            FailureKind::Moved,
        );
        check(
            ErrorKind::Cluster,
            "ASK 1 127.0.0.1:7001",
            FailureKind::Moved,
        );
        check(
            ErrorKind::Auth,
            "NOAUTH Authentication required.",
            FailureKind::Authentication,
        );
        check(
            ErrorKind::Auth,
            "WRONGPASS invalid username-password pair",
            FailureKind::Authentication,
        );
        check(
            ErrorKind::InvalidArgument,
            "WRONGTYPE Operation against a key",
            FailureKind::WrongType,
        );
    }

    #[test]
    fn a_word_that_only_begins_alike_is_another_word() {
        check(
            ErrorKind::Unknown,
            "BUSYGROUP Consumer Group name already exists",
            FailureKind::Refused,
        );
        check(
            ErrorKind::Unknown,
            "ERR unknown command",
            FailureKind::Refused,
        );
        check(
            ErrorKind::Unknown,
            "ERR value is not an integer",
            FailureKind::Refused,
        );
    }

    #[test]
    fn the_librarys_own_kinds_decide_where_no_word_does() {
        check(
            ErrorKind::Timeout,
            "Request timed out.",
            FailureKind::TimedOut,
        );
        check(
            ErrorKind::IO,
            "Connection closed.",
            FailureKind::Unreachable,
        );
        check(ErrorKind::Canceled, "Canceled.", FailureKind::Unreachable);
        check(
            ErrorKind::Routing,
            "Max attempts.",
            FailureKind::Unreachable,
        );
        check(ErrorKind::Protocol, "Invalid frame.", FailureKind::Protocol);
        check(ErrorKind::Parse, "Cannot parse.", FailureKind::WrongType);
        check(ErrorKind::NotFound, "nil", FailureKind::WrongType);
        check(ErrorKind::Backpressure, "Max.", FailureKind::Overloaded);
        check(ErrorKind::InvalidCommand, "No.", FailureKind::Refused);
        for lost in LOST {
            check(ErrorKind::Unknown, lost, FailureKind::Unreachable);
        }
    }

    #[test]
    fn what_says_nothing_about_the_server_opens_nothing() {
        use FailureKind as Kind;
        let failing = |kind: Kind| {
            let blame = kind.blame();
            let is = |outcome| outcome != CallOutcome::Success;
            (is(blame.read), is(blame.write))
        };
        for kind in [
            Kind::TimedOut,
            Kind::Unreachable,
            Kind::Protocol,
            Kind::Busy,
            Kind::Loading,
            Kind::ClusterDown,
            Kind::Authentication,
            Kind::Permission,
        ] {
            assert_eq!(failing(kind), (true, true), "{kind:?}");
        }
        for kind in [
            Kind::OutOfMemory,
            Kind::ReadOnly,
            Kind::Misconfigured,
            Kind::NoReplicas,
        ] {
            assert_eq!(failing(kind), (false, true), "{kind:?}");
        }
        for kind in [
            Kind::Open,
            Kind::Overloaded,
            Kind::NoScript,
            Kind::CrossSlot,
            Kind::Moved,
            Kind::WrongType,
            Kind::Refused,
        ] {
            assert_eq!(failing(kind), (false, false), "{kind:?}");
        }
    }
}
