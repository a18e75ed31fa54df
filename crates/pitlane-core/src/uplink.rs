use std::fmt;
use std::time::Duration;

use crate::position::Position;
use crate::record::Record;
use crate::store::RemoteFuture;
use crate::tag::TagId;
use crate::watermark::Logged;

/// The way from a node's [`Log`](crate::Log) to the log that all nodes share.
///
/// It carries questions and answers and keeps the node's log up to date in the background; what
/// they mean is the log's to decide. It bounds its own time and never waits for ever.
pub trait Uplink: fmt::Debug + Send + Sync + 'static {
    /// Brings the node's log up to everything that was in the shared log when this was called.
    ///
    /// An entry that was asked for after this call began can be judged once it has returned.
    fn confirm(&self) -> RemoteFuture<'_, ()>;

    /// Asks what the shared log remembers of `tags`, and lets the node's log learn it.
    fn ask<'a>(&'a self, tags: &'a [TagId]) -> RemoteFuture<'a, ()>;

    /// Appends `record` and applies it to the node's log. When the shared log can't be reached
    /// within the budget the record is applied all the same, and owed.
    ///
    /// Returns its position, or `None` when it is owed.
    fn append(
        &self,
        record: Record,
    ) -> std::pin::Pin<Box<dyn Future<Output = Option<Position>> + Send + '_>>;

    /// Applies `record` to the node's log at once and appends it in the background. It does not
    /// wait, so that it can be used in `Drop`.
    fn owe(&self, record: Record);

    /// Whether it makes sense to ask now: false while the circuit is open or the node has not
    /// joined the log.
    fn is_ready(&self) -> bool;

    /// How far the server's clock is ahead of this node's, in milliseconds. Times that leave the
    /// node are the server's, so that nodes agree on the age of an entry.
    fn clock_offset(&self) -> i64;

    /// How the link is doing.
    fn status(&self) -> UplinkStatus;

    /// The last records of the shared log, latest first, at most `limit` of them: for people who
    /// want to know what was invalidated. Nothing is decided by it.
    fn recent(&self, limit: u32) -> RemoteFuture<'_, Vec<Logged>> {
        let _ = limit;
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    /// Appends what is owed, for at most `limit`, and ends the background work. Says whether
    /// nothing is owed any more.
    fn shutdown(
        &self,
        limit: Duration,
    ) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send + '_>>;
}

/// How the link to the shared log is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UplinkStatus {
    /// How far the node has read; `None` before it has joined.
    pub position: Option<Position>,
    /// How long ago the node last knew that it had read everything.
    pub lag: Duration,
    /// How many records it owes.
    pub owed: usize,
    /// How often it has had to join again because something was missing.
    pub gaps: u64,
    /// How often it found another life of the log.
    pub incarnations: u64,
}

impl UplinkStatus {
    /// A status.
    #[must_use]
    pub const fn new(
        position: Option<Position>,
        lag: Duration,
        owed: usize,
        gaps: u64,
        incarnations: u64,
    ) -> Self {
        Self {
            position,
            lag,
            owed,
            gaps,
            incarnations,
        }
    }
}
