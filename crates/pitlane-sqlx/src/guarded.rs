use std::{
    fmt, mem,
    ops::{Deref, DerefMut},
    time::Duration,
};

use pitlane::{
    Caches, Error, Invalidated, Invalidation,
    changes::{Change, Changes},
};
use sqlx::{Acquire, Database, Pool, Transaction};

use crate::{commit, error::CommitError, savepoint::Savepoint};

/// How long COMMIT may go unanswered before the invalidation is published all the same.
const GRACE: Duration = Duration::from_secs(5);

/// Less would be a busy loop while COMMIT goes unanswered.
const LEAST_GRACE: Duration = Duration::from_millis(100);

/// A transaction that knows which cached answers its changes end, and publishes them after COMMIT.
///
/// It dereferences to the connection, as [`Transaction`] does: pass `&mut *tx` to queries. Dropped, it
/// rolls back and publishes nothing. See the [crate](crate) for what it promises.
#[must_use = "a transaction that is dropped rolls back"]
pub struct Guarded<DB: Database> {
    transaction: Transaction<'static, DB>,
    caches: Caches,
    changes: Changes,
    touched: Invalidation,
    grace: Duration,
}

impl<DB: Database> Guarded<DB> {
    /// Begins a transaction on a connection of the pool.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::begin`].
    pub async fn begin(
        pool: &Pool<DB>,
        caches: &Caches,
        changes: &Changes,
    ) -> Result<Self, sqlx::Error> {
        Ok(Self::over(pool.begin().await?, caches, changes))
    }

    /// Guards a transaction that was begun in another way, such as [`Pool::begin_with`]. What it has
    /// changed so far has to be told as well.
    pub fn over(transaction: Transaction<'static, DB>, caches: &Caches, changes: &Changes) -> Self {
        Self {
            transaction,
            caches: caches.clone(),
            changes: changes.clone(),
            touched: Invalidation::default(),
            grace: GRACE,
        }
    }

    /// How long COMMIT may go unanswered before the invalidation is published all the same, and how
    /// much later than a broken connection it is published once more; 5 seconds unless said, and never
    /// less than 100 ms.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace.max(LEAST_GRACE);
        self
    }

    /// A row changed, nobody says how. See [`Changes::changed`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownModel`](pitlane::ErrorKind) when the registry knows no such type. The same
    /// holds for all methods that are told of changes.
    pub fn changed<T: 'static>(&mut self, row: &T) -> Result<(), Error> {
        self.note(Change::Somehow(row))
    }

    /// A row is new.
    ///
    /// # Errors
    ///
    /// As [`changed`](Self::changed).
    pub fn created<T: 'static>(&mut self, row: &T) -> Result<(), Error> {
        self.note(Change::Created(row))
    }

    /// A row is another than before.
    ///
    /// # Errors
    ///
    /// As [`changed`](Self::changed).
    pub fn updated<T: 'static>(&mut self, before: &T, after: &T) -> Result<(), Error> {
        self.note(Change::Updated { before, after })
    }

    /// A row is gone.
    ///
    /// # Errors
    ///
    /// As [`changed`](Self::changed).
    pub fn deleted<T: 'static>(&mut self, row: &T) -> Result<(), Error> {
        self.note(Change::Deleted(row))
    }

    /// A change of a row.
    ///
    /// # Errors
    ///
    /// As [`changed`](Self::changed).
    pub fn note<T: 'static>(&mut self, change: Change<'_, T>) -> Result<(), Error> {
        let ended = self.changes.of(change)?;
        self.also(ended);
        Ok(())
    }

    /// What ends beside that which follows from rows, such as URLs and keys. It ends hard, even if
    /// it is soft by itself.
    pub fn also(&mut self, ended: Invalidation) {
        self.touched = mem::take(&mut self.touched).add_all(ended);
    }

    /// What COMMIT will end.
    pub const fn touched(&self) -> &Invalidation {
        &self.touched
    }

    /// Begins a part that can be rolled back alone, and takes along what it changed.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn savepoint(&mut self) -> Result<Savepoint<'_, DB>, sqlx::Error> {
        let Self {
            transaction,
            changes,
            touched,
            ..
        } = self;
        let transaction = Acquire::begin(transaction).await?;
        Ok(Savepoint::new(transaction, changes, touched))
    }

    /// Commits, and ends what shows the changed rows before it returns. It goes on to its end when
    /// this future is dropped after its first poll.
    ///
    /// # Errors
    ///
    /// What the database answered to COMMIT, or that its answer was lost: then nobody knows whether
    /// the changes were made. What shows them was ended all the same.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn commit(self) -> Result<Invalidated, CommitError> {
        let owing = commit::Owing::new(self.caches, self.touched, self.grace);
        commit::run(self.transaction, owing).await
    }

    /// Rolls back. Nothing is ended.
    ///
    /// # Errors
    ///
    /// The database's; it rolls back all the same, when the connection ends.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.transaction.rollback().await
    }
}

impl<DB: Database> Deref for Guarded<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.transaction
    }
}

impl<DB: Database> DerefMut for Guarded<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.transaction
    }
}

impl<DB: Database> fmt::Debug for Guarded<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("database", &DB::NAME)
            .field("touched", &self.touched)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}
