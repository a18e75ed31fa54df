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
    /// Whether all that is in memory has to be compared with Redis, which may have gone back in
    /// time.
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
            self.must_compare = true;
            self.lost_at = Some(now);
            return News::Lost;
        }
        // The first one may be counted a moment after it was used.
        if before.is_some_and(|before| before != 0 && before != connection) {
            self.leave();
            self.must_compare = true;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_came_in_between_is_not_over_when_an_earlier_comparison_is_done() {
        let now = Instant::now();
        let mut link = Link::new();
        link.leave();
        let troubles = link.troubles();
        link.leave();
        assert!(!link.arrive(troubles, now) && link.is_away);
        assert!(link.arrive(link.troubles(), now) && !link.is_away);
        assert!(!link.arrive(link.troubles(), now), "it is no news");
    }

    #[tokio::test(start_paused = true)]
    async fn another_process_or_life_is_news_once() {
        let now = Instant::now();
        let (first, second) = (Era::new(1, 0), Era::new(2, 0));
        let mut link = Link::new();
        assert_eq!(link.note(first, 0, now), News::None);
        assert_eq!(link.note(first, 1, now), News::None);
        assert_eq!(link.note(first, 2, now), News::Reconnected);
        assert!(link.must_compare && !link.must_wait(now));
        assert_eq!(link.note(second, 3, now), News::Lost);
        assert!(link.must_compare && link.must_wait(now));
        assert_eq!(link.note(second, 3, now), News::None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_settled_three_seconds_after_its_end() {
        let now = Instant::now();
        let mut link = Link::new();
        assert!(!link.is_settling(now));
        link.leave();
        assert!(link.is_settling(now + 2 * SETTLED_AFTER));
        link.arrive(link.troubles(), now);
        assert!(link.is_settling(now));
        assert!(!link.is_settling(now + SETTLED_AFTER));
    }
}
