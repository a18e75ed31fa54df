use crate::input::{Setting, received};
use http::HeaderMap;
use pitlane_policy::{Freshness, may_store};
use std::time::Duration;

/// How far a response may be used: all of it zero where it isn't stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    stored: bool,
    fresh: Duration,
    revalidated: Duration,
    on_error: Duration,
    /// Whether a client's `max-stale` may still reach it.
    by_request: bool,
}

impl Reach {
    pub(crate) fn of(setting: &Setting, headers: &HeaderMap) -> Self {
        let Setting {
            rules,
            facts,
            status,
            empty,
            ..
        } = setting;
        may_store(rules, facts, *status, headers, *empty, received())
            .map(|freshness| Self::after(&freshness))
            .unwrap_or_default()
    }

    fn after(freshness: &Freshness) -> Self {
        let until = |window: Duration| {
            let end = freshness.lifetime().saturating_add(window);
            end.saturating_sub(freshness.initial_age())
        };
        Self {
            stored: true,
            fresh: until(Duration::ZERO),
            revalidated: until(freshness.stale_while_revalidate()),
            on_error: until(freshness.stale_if_error()),
            by_request: !freshness.forbids_stale(),
        }
    }

    /// Whether nothing that was forbidden before is allowed now.
    ///
    /// To store what can never be used without validation counts as nothing: an unreadable
    /// `max-age` is an explicit lifetime of zero where there was none before.
    pub(crate) fn is_within(&self, before: &Self) -> bool {
        self.fresh <= before.fresh
            && self.revalidated <= before.revalidated
            && self.on_error <= before.on_error
            && self.by_request <= before.by_request
    }

    pub(crate) fn is_stored(&self) -> bool {
        self.stored
    }
}
