//! What the operator's settings and the policy's verdicts come to.

use std::time::Duration;

use http::StatusCode;
use pitlane_policy::{Freshness, Profile, RequestDirectives, Rules, Verdict};

use super::reply::Told;
use crate::scenarios::{layer::name, story::Settings};

pub(super) fn rules(profile: Profile, settings: &Settings) -> Rules {
    let mut rules = Rules::new(profile);
    if let Some(span) = settings.ttl {
        rules = rules.ttl(span.0);
    }
    if let Some(span) = settings.stale_while_revalidate {
        rules = rules.stale_while_revalidate(span.0);
    }
    if let Some(span) = settings.stale_if_error {
        rules = rules.stale_if_error(span.0);
    }
    if let Some(span) = settings.max_stale {
        rules = rules.max_stale(span.0);
    }
    if !settings.targets.is_empty() {
        rules = rules.targets(settings.targets.iter().map(|target| name(target)));
    }
    if !settings.status.is_empty() {
        let status = |code: &u16| StatusCode::from_u16(*code).expect("a status");
        rules = rules.statuses(settings.status.iter().map(status));
    }
    if settings.store_redirects {
        rules = rules.store_redirects(true);
    }
    if settings.store_empty {
        rules = rules.store_empty(true);
    }
    rules
}

/// What may be done with an entry for one request.
pub(super) enum Use {
    AsItIs(Told),
    /// And refreshed.
    Meanwhile(Told),
    /// Only if the origin says so.
    Validated(Last),
}

/// How an entry that has to be validated is spoken of.
pub(super) struct Last {
    /// Why it isn't used as it is, as in Cache-Status.
    pub(super) why: &'static str,
    /// What is told of it where the origin fails, if it may be used then.
    pub(super) told: Option<Told>,
}

impl Last {
    pub(super) const fn none(why: &'static str) -> Self {
        Self { why, told: None }
    }
}

/// What may be done with an entry, `resident` after it was stored, for a client whose own wishes
/// count if `heeds`.
pub(super) fn decide(
    freshness: &Freshness,
    resident: Duration,
    said: &RequestDirectives,
    heeds: bool,
) -> Use {
    // A wish that a stale answer fits, too, isn't one against the origin's own windows.
    let wishes = said.no_cache || said.max_age.is_some() || said.min_fresh.is_some();
    let accepted = said.accept(freshness, resident);
    let told = |ttl: i64, detail| Told::Hit { ttl, detail };
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    match freshness.judge(resident) {
        Verdict::Fresh { ttl, .. } if !heeds || accepted => {
            Use::AsItIs(told(seconds(ttl), "fresh"))
        }
        Verdict::Fresh { .. } => Use::Validated(Last::none("request")),
        Verdict::StaleWhileRevalidate { stale_for, .. } if !heeds || !wishes => {
            Use::Meanwhile(told(-seconds(stale_for), "stale-while-revalidate"))
        }
        Verdict::StaleWhileRevalidate { stale_for, .. }
        | Verdict::StaleIfError { stale_for, .. }
        | Verdict::Stale { stale_for, .. }
            if heeds && accepted =>
        {
            Use::AsItIs(told(-seconds(stale_for), "max-stale"))
        }
        Verdict::StaleIfError { stale_for, .. }
        | Verdict::StaleWhileRevalidate {
            stale_for,
            usable_on_error: true,
            ..
        } => Use::Validated(Last {
            why: "stale",
            told: Some(told(-seconds(stale_for), "stale-if-error")),
        }),
        _ => Use::Validated(Last::none("stale")),
    }
}
