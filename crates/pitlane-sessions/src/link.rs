//! How this node stands with Redis.

use std::time::Duration;

use pitlane::Era;
use tokio::time::Instant;

/// How long after a loss of data sessions are written back: first the nodes that know of deletions
/// say so.
pub(crate) const RESTORE_AFTER: Duration = Duration::from_secs(1);
/// How long after an outage a session that is not in Redis may be on its way there: by then every
/// node's circuit has closed again.
pub(crate) const SETTLED_AFTER: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(crate) struct Link {
    /// Whether sessions that the node knows are served from its memory alone.
    pub(crate) is_away: bool,
    /// Whether all that is in memory has to be compared with Redis.
    pub(crate) must_compare: bool,
    /// The era that was last seen.
    pub(crate) era: Option<Era>,
    /// The connection that Redis was last seen over.
    connection: Option<u64>,
    /// When Redis was seen to have lost its data.
    lost_at: Option<Instant>,
    /// When it was back after an outage.
    back_at: Option<Instant>,
    /// Counts failures.
    troubles: u64,
}

impl Link {
    pub(crate) const fn new() -> Self {
        Self {
            is_away: false,
            must_compare: false,
            era: None,
            connection: None,
            lost_at: None,
            back_at: None,
            troubles: 0,
        }
    }

    /// Redis failed; says whether that is news.
    pub(crate) fn leave(&mut self) -> bool {
        let was_away = std::mem::replace(&mut self.is_away, true);
        self.must_compare = true;
        self.troubles += 1;
        !was_away
    }

    /// Redis was seen in `era`, over its so manieth connection. Says what became of it since it
    /// was last seen.
    pub(crate) fn note(&mut self, era: Era, connection: u64, now: Instant) -> News {
        let known = self.era.replace(era);
        let before = self.connection.replace(connection);
        if known.is_some_and(|known| era.has_forgotten(known)) {
            self.leave();
            self.lost_at = Some(now);
            return News::Lost;
        }
        // The first one may be counted a moment after it was used.
        if before.is_some_and(|before| before != 0 && before != connection) {
            self.leave();
            return News::Reconnected;
        }
        News::None
    }

    /// Whether deletions come first for a while longer.
    pub(crate) fn must_wait(&self, now: Instant) -> bool {
        is_within(self.lost_at, RESTORE_AFTER, now)
    }

    /// Whether what is not in Redis may be on its way there.
    pub(crate) fn is_settling(&self, now: Instant) -> bool {
        self.is_away || is_within(self.back_at, SETTLED_AFTER, now)
    }

    /// What [`Link::arrive`] has to be told when a comparison that begins now is done.
    pub(crate) const fn troubles(&self) -> u64 {
        self.troubles
    }

    /// All that is in memory was compared, since so many troubles. Says whether Redis was away.
    pub(crate) fn arrive(&mut self, troubles: u64, now: Instant) -> bool {
        if self.troubles != troubles {
            return false;
        }
        self.must_compare = false;
        let was_away = std::mem::replace(&mut self.is_away, false);
        if was_away {
            self.back_at = Some(now);
        }
        was_away
    }
}

/// What is new of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    None,
    /// It may be another process, which began with what was saved.
    Reconnected,
    /// It has lost its data.
    Lost,
}

fn is_within(since: Option<Instant>, span: Duration, now: Instant) -> bool {
    since.is_some_and(|since| now.saturating_duration_since(since) < span)
}
