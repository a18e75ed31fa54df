//! What a session store can fail with.

use std::fmt;

use tower_sessions_core::session_store;

/// Why something was not done. None of it names a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The session was deleted, or has expired.
    Vanished,
    /// Redis is away, and this node does not know the session.
    Away,
    /// Redis has lost its data, and other nodes may be about to write the session back.
    Restoring,
    /// There is no room for what has to be kept until Redis is back.
    Full,
    /// Other nodes write the session too, all the time.
    Busy,
    TooLarge,
    Unwritable,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vanished => "the session is no longer there: it was deleted, or it has expired",
            Self::Away => "Redis is away, and this node does not know the session",
            Self::Restoring => "Redis has lost its data, and nodes write back what they know",
            Self::Full => "Redis is away, and this node's memory for sessions is full",
            Self::Busy => "too many write the session at the same time",
            Self::TooLarge => "the session is larger than 1 MiB",
            Self::Unwritable => "the session can't be written as JSON",
        })
    }
}

impl From<Trouble> for session_store::Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::TooLarge | Trouble::Unwritable => Self::Encode(trouble.to_string()),
            _ => Self::Backend(trouble.to_string()),
        }
    }
}
