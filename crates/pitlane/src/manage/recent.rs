//! What was invalidated last.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use pitlane_core::{Logged, Position, Record, Timestamp};
use serde::{Deserialize, Serialize};

use super::failed;
use super::name::clean;
use crate::cache::Caches;
use crate::error::Error;

/// How many invalidations a node without Redis remembers.
const REMEMBERED: usize = 256;
/// How many of its names an invalidation shows.
const SHOWN: usize = 32;
const MAX_LIMIT: u32 = 1000;

/// One record of the invalidation log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RecentInvalidation {
    /// Where it stands in the log.
    pub position: String,
    /// When it was appended, in milliseconds since the Unix epoch by Redis's clock, or by this
    /// node's without Redis.
    pub at_ms: u64,
    /// What it ended; at most 32 of all. Nothing where another life of the log began.
    pub items: Vec<InvalidatedItem>,
    /// How many things it ended.
    pub count: u64,
    /// Whether all of it was soft.
    pub soft: bool,
    /// `applied`: what is owed to the log isn't in it yet.
    pub outcome: String,
}

/// One thing that was invalidated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InvalidatedItem {
    /// `tag`, `subtree`, `cache`, `uri` or `group`.
    pub kind: String,
    /// Its name, printable; nothing where the log has only its number.
    pub name: Option<String>,
    /// Whether entries become stale rather than unusable.
    pub soft: bool,
}

impl Caches {
    /// The last invalidations of all nodes, latest first; at most 1000. Without Redis they are
    /// this node's, of which it remembers 256.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Redis`](crate::ErrorKind::Redis) when Redis doesn't answer.
    pub async fn recent_invalidations(&self, limit: u32) -> Result<Vec<RecentInvalidation>, Error> {
        let limit = limit.min(MAX_LIMIT);
        let Some(uplink) = &self.shared.uplink else {
            return Ok(self.shared.recent.last(limit as usize));
        };
        if limit == 0 {
            return Ok(Vec::new());
        }
        let logged = uplink.recent(limit).await.map_err(failed)?;
        Ok(logged.iter().map(RecentInvalidation::of).collect())
    }
}

impl RecentInvalidation {
    fn of(logged: &Logged) -> Self {
        let position = logged.at.position;
        Self::new(position, position.id.millis, &logged.record)
    }

    fn new(position: Position, at_ms: u64, record: &Record) -> Self {
        let items = record.items.iter().take(SHOWN).map(|item| InvalidatedItem {
            kind: item.kind.as_str().to_owned(),
            name: item.name.as_deref().map(|name| clean(name.as_bytes())),
            soft: item.mark.soft,
        });
        Self {
            position: position.to_string(),
            at_ms,
            items: items.collect(),
            count: record.items.len() as u64,
            soft: !record.items.is_empty() && record.marks().all(|mark| mark.soft),
            outcome: "applied".to_owned(),
        }
    }
}

/// The last invalidations of a node that keeps the log itself.
#[derive(Debug, Default)]
pub(crate) struct Ring(Mutex<VecDeque<RecentInvalidation>>);

impl Ring {
    pub(crate) fn note(&self, position: Position, now: Timestamp, record: &Record) {
        let recent = RecentInvalidation::new(position, now.as_millis(), record);
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.truncate(REMEMBERED - 1);
        ring.push_front(recent);
    }

    fn last(&self, limit: usize) -> Vec<RecentInvalidation> {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.iter().take(limit).cloned().collect()
    }
}
