use std::{
    fmt, mem,
    ops::{Deref, DerefMut},
};

use pitlane::{
    Error, Invalidation,
    changes::{Change, Changes},
};
use sqlx::{Acquire, Database, Transaction};

/// A part of a [`Guarded`](crate::Guarded) transaction that can be rolled back alone.
///
/// What it is told of ends with the whole transaction, if it is [released](Self::release). Dropped, it
/// rolls back, and what it was told of ends nothing.
#[must_use = "a savepoint that is dropped rolls back"]
pub struct Savepoint<'t, DB: Database> {
    transaction: Transaction<'t, DB>,
    changes: &'t Changes,
    /// What the transaction around this one ends.
    around: &'t mut Invalidation,
    touched: Invalidation,
}

impl<'t, DB: Database> Savepoint<'t, DB> {
    pub(crate) fn new(
        transaction: Transaction<'t, DB>,
        changes: &'t Changes,
        around: &'t mut Invalidation,
    ) -> Self {
        Self {
            transaction,
            changes,
            around,
            touched: Invalidation::default(),
        }
    }

    /// A change of a row.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownModel`](pitlane::ErrorKind) when the registry knows no such type.
    pub fn note<T: 'static>(&mut self, change: Change<'_, T>) -> Result<(), Error> {
        let ended = self.changes.of(change)?;
        self.touched = mem::take(&mut self.touched).add_all(ended);
        Ok(())
    }

    /// A row changed, nobody says how.
    ///
    /// # Errors
    ///
    /// As [`note`](Self::note).
    pub fn changed<T: 'static>(&mut self, row: &T) -> Result<(), Error> {
        self.note(Change::Somehow(row))
    }

    /// Begins a part of this part.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn savepoint(&mut self) -> Result<Savepoint<'_, DB>, sqlx::Error> {
        let transaction = Acquire::begin(&mut self.transaction).await?;
        Ok(Savepoint::new(transaction, self.changes, &mut self.touched))
    }

    /// Makes it a part of the transaction, whose COMMIT ends what this was told of.
    ///
    /// # Errors
    ///
    /// The database's. What this was told of ends all the same.
    pub async fn release(self) -> Result<(), sqlx::Error> {
        let Self {
            transaction,
            around,
            touched,
            ..
        } = self;
        // Before the database is asked, whose answer may get lost.
        *around = mem::take(around).add_all(touched);
        transaction.commit().await
    }

    /// Rolls it back, and forgets what it was told of.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.transaction.rollback().await
    }
}

impl<DB: Database> Deref for Savepoint<'_, DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.transaction
    }
}

impl<DB: Database> DerefMut for Savepoint<'_, DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.transaction
    }
}

impl<DB: Database> fmt::Debug for Savepoint<'_, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Savepoint")
            .field("database", &DB::NAME)
            .field("touched", &self.touched)
            .finish_non_exhaustive()
    }
}
