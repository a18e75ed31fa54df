//! Transactions of [sqlx] that end what is cached of the rows they change.
//!
//! A [`Guarded`] transaction is told which rows it changes, and publishes what a registry of
//! [changes](pitlane::changes) says of them, after its COMMIT. It works with every database that
//! sqlx does, on a tokio runtime.
//!
//! # What it promises
//!
//! - **What was begun is owed.** From before COMMIT is sent, the invalidation is owed: it is published
//!   when the database answers, and also when the handler's future is dropped meanwhile, when the
//!   connection breaks, when COMMIT fails, and when it panics. A task of its own waits for the answer.
//! - **Not before.** A database may finish a commit that nobody waits for any more. What was
//!   published before that could be read and stored again, old; so it is published after the
//!   answer, however late that comes.
//! - **Doubt repeats.** While COMMIT goes unanswered, the invalidation is published again and again,
//!   once in a [grace](Guarded::grace); and once more, a grace later, where the connection broke: the
//!   server may have been about to commit.
//! - **A rollback ends nothing**, be it said, be it the transaction that was dropped, by an early
//!   return, an abort or a panic.
//! - **What nobody registered is an error** ([`ErrorKind::UnknownModel`](pitlane::ErrorKind)), and
//!   never a silent nothing.
//!
//! # What it does not promise
//!
//! - It knows the changes it is told of, and not those of triggers, cascades or other programs.
//! - A statement `COMMIT` that is sent by hand publishes nothing. Use [`Guarded::commit`].
//! - A commit that the server finishes later than one grace after its connection broke can leave
//!   something old behind, until its TTL ends it.
//! - What the transaction reads of its own writes isn't committed: don't put it into a cache. (What
//!   is cached by a request that also writes is safe: its position in the log is older than the
//!   invalidation.)
//!
//! # Example
//!
//! ```
//! use pitlane::{Caches, changes::Changes, tags};
//! use pitlane_sqlx::Guarded;
//!
//! struct Club {
//!     id: i64,
//!     name: String,
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let caches = Caches::builder().build()?;
//! # let pool = sqlx::SqlitePool::connect("sqlite::memory:").await?;
//! # sqlx::query("CREATE TABLE clubs (id INTEGER PRIMARY KEY, name TEXT)").execute(&pool).await?;
//! let changes = Changes::builder()
//!     .on_change::<Club>(|club| tags!["club:{}"(club.id)])
//!     .build()?;
//!
//! let club = Club { id: 1, name: "Apex".to_owned() };
//! let mut tx = Guarded::begin(&pool, &caches, &changes).await?;
//! sqlx::query("INSERT INTO clubs (id, name) VALUES (?, ?)")
//!     .bind(club.id)
//!     .bind(&club.name)
//!     .execute(&mut *tx)
//!     .await?;
//! tx.created(&club)?;
//! let _applied_or_queued = tx.commit().await?;
//! # Ok(())
//! # }
//! ```

mod commit;
mod error;
mod guarded;
mod savepoint;

pub use error::{CommitError, CommitErrorKind};
pub use guarded::Guarded;
pub use savepoint::Savepoint;

/// The guide's page, whose code is tested here.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/changes.md")]
struct Guide;
