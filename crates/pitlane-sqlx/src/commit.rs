//! What happens from COMMIT on.

use std::{future::Future, pin::pin, time::Duration};

use pitlane::{Caches, Invalidated, Invalidation, Owed};
use sqlx::{Database, Transaction};
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;

use crate::error::CommitError;

/// What a transaction ends, and for how long its outcome may be in doubt.
pub(crate) struct Owing {
    caches: Caches,
    touched: Invalidation,
    grace: Duration,
}

impl Owing {
    pub(crate) const fn new(caches: Caches, touched: Invalidation, grace: Duration) -> Self {
        Self {
            caches,
            touched,
            grace,
        }
    }

    /// From here on it is published, if by nothing else then by being dropped.
    fn owe(&self) -> Owed {
        self.caches.owe(self.touched.names().iter().cloned())
    }

    /// Publishes it, and has it published once more when whatever the database may still be about
    /// to do should be done.
    async fn publish_twice(self) -> Result<Invalidated, pitlane::Error> {
        let again = self.owe();
        let published = self.owe().publish().await;
        tokio::spawn(async move {
            sleep(self.grace).await;
            let _published = again.publish().await;
        });
        published
    }
}

/// Commits in a task of its own: whoever waits for it may be dropped, and the database commits all
/// the same. Were the debt paid when the waiting ends, a page that is read just before the commit could
/// be stored after that.
pub(crate) async fn run<DB: Database>(
    transaction: Transaction<'static, DB>,
    owing: Owing,
) -> Result<Invalidated, CommitError> {
    let owed = owing.owe();
    let work = settle(transaction.commit(), owed, owing);
    let settled = tokio::spawn(work.in_current_span());
    settled.await.map_err(CommitError::interrupted)?
}

/// Publishes when the database has answered, and while it doesn't.
async fn settle(
    commit: impl Future<Output = Result<(), sqlx::Error>>,
    owed: Owed,
    owing: Owing,
) -> Result<Invalidated, CommitError> {
    let mut commit = pin!(commit);
    let committed = loop {
        match timeout(owing.grace, commit.as_mut()).await {
            Ok(committed) => break committed,
            Err(_) => {
                tracing::warn!("a COMMIT goes unanswered: what it may have changed is ended");
                let _published = owing.owe().publish().await;
            }
        }
    };
    let Err(error) = committed else {
        return owed.publish().await.map_err(CommitError::unpublished);
    };
    // Nobody knows what became of it. One debt takes the other's place, none is forgiven before.
    let published = owing.publish_twice().await;
    owed.cancel();
    match published {
        Ok(_) => Err(CommitError::database(error)),
        Err(error) => Err(CommitError::unpublished(error)),
    }
}
