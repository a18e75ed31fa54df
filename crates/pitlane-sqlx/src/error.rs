use std::{error, fmt};

use tokio::task::JoinError;

/// Why nobody knows that a transaction was committed and everybody told. What it may have changed
/// was ended all the same.
#[derive(Debug)]
pub struct CommitError(Cause);

/// What kind of failure a [`CommitError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitErrorKind {
    /// The database refused to commit, or its answer was lost. [`CommitError::database_error`] tells
    /// what it said; only the database knows what it did.
    Database,
    /// The work panicked, or the runtime came to its end.
    Interrupted,
    /// It was committed, and what shows the changes could not be ended.
    Unpublished,
}

#[derive(Debug)]
enum Cause {
    Database(sqlx::Error),
    Interrupted(JoinError),
    Unpublished(pitlane::Error),
}

impl CommitError {
    pub(crate) const fn database(error: sqlx::Error) -> Self {
        Self(Cause::Database(error))
    }

    pub(crate) const fn interrupted(error: JoinError) -> Self {
        Self(Cause::Interrupted(error))
    }

    pub(crate) const fn unpublished(error: pitlane::Error) -> Self {
        Self(Cause::Unpublished(error))
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> CommitErrorKind {
        match self.0 {
            Cause::Database(_) => CommitErrorKind::Database,
            Cause::Interrupted(_) => CommitErrorKind::Interrupted,
            Cause::Unpublished(_) => CommitErrorKind::Unpublished,
        }
    }

    /// The database's own error, such as a constraint that is looked at on COMMIT.
    #[must_use]
    pub const fn database_error(&self) -> Option<&sqlx::Error> {
        match &self.0 {
            Cause::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Cause::Database(_) => "the transaction was not committed, or its answer was lost",
            Cause::Interrupted(_) => "the commit was interrupted",
            Cause::Unpublished(_) => "it was committed, and the caches could not be told",
        })
    }
}

impl error::Error for CommitError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(match &self.0 {
            Cause::Database(error) => error,
            Cause::Interrupted(error) => error,
            Cause::Unpublished(error) => error,
        })
    }
}
