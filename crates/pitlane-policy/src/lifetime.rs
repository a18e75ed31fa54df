//! Freshness lifetime and stale windows (RFC 9111 §4.2, RFC 5861).

use crate::date::{self, Field};
use crate::{Freshness, Profile, Refusal, ResponseDirectives, Rules, seconds, status, update};
use http::header::{DATE, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};
use std::time::{Duration, SystemTime};

/// The freshness of a response that nothing else forbids to store.
pub(crate) fn freshness(
    rules: &Rules,
    status: StatusCode,
    headers: &HeaderMap,
    directives: &ResponseDirectives,
    received: SystemTime,
) -> Result<Freshness, Refusal> {
    let date = date::field(headers, &DATE, received).time();
    let response = Response {
        rules,
        status,
        headers,
        directives,
        received,
        date,
    };
    let initial_age = crate::age::initial_age(received, date, crate::age::parse(headers));
    // Who says that a response is stale at once doesn't mean that it may be served as if it
    // weren't: then only the response itself can open that window.
    let assumed = rules
        .stale_while_revalidate
        .filter(|_| response.explicit() != Some(Duration::ZERO));
    let freshness = windows(
        rules,
        assumed,
        directives,
        response.lifetime()?.with_initial_age(initial_age),
    );
    // What can't be used as it is, even stale, has to be validated each time, if that is possible.
    if freshness.retention().is_zero() && !response.can_be_validated() {
        return Err(Refusal::ExpiredOnArrival);
    }
    Ok(freshness)
}

/// What says for how long a response is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LifetimeSource {
    /// `s-maxage`.
    SMaxage,
    /// `max-age`.
    MaxAge,
    /// `Expires`.
    Expires,
    /// The operator's TTL.
    Rules,
    /// A guess from the time of its last change (RFC 9111 §4.2.2).
    Heuristic,
}

impl LifetimeSource {
    /// What decides the lifetime of a response, if anything does. Whether it may be stored is
    /// [`may_store`](crate::may_store)'s to say.
    #[must_use]
    pub fn of(
        rules: &Rules,
        status: StatusCode,
        headers: &HeaderMap,
        received: SystemTime,
    ) -> Option<Self> {
        let (directives, _) = ResponseDirectives::select(headers, &rules.targets);
        let response = Response {
            rules,
            status,
            headers,
            directives: &directives,
            received,
            date: date::field(headers, &DATE, received).time(),
        };
        response.chosen().map(|(source, _)| source)
    }
}

/// Whether a response states its lifetime itself, be it one that can't be read.
pub(crate) fn is_explicit(headers: &HeaderMap, directives: &ResponseDirectives) -> bool {
    directives.s_maxage.is_some()
        || directives.max_age.is_some()
        || (headers.contains_key(EXPIRES) && !directives.are_targeted())
}

struct Response<'a> {
    rules: &'a Rules,
    status: StatusCode,
    headers: &'a HeaderMap,
    directives: &'a ResponseDirectives,
    received: SystemTime,
    date: Option<SystemTime>,
}

impl Response<'_> {
    fn lifetime(&self) -> Result<Freshness, Refusal> {
        if self.explicit().is_none() && !self.may_be_given_a_lifetime() {
            return Err(Refusal::NoFreshness);
        }
        if self.directives.no_cache {
            return if self.can_be_validated() {
                Ok(Freshness::new(Duration::ZERO))
            } else {
                Err(Refusal::NeedsValidation)
            };
        }
        let (_, lifetime) = self.chosen().ok_or(Refusal::NoFreshness)?;
        Ok(Freshness::new(lifetime))
    }

    /// What the response states, then what the operator says, then a guess.
    fn chosen(&self) -> Option<(LifetimeSource, Duration)> {
        let configured = || Some((LifetimeSource::Rules, self.rules.ttl?));
        let guessed = || Some((LifetimeSource::Heuristic, self.heuristic()?));
        self.stated().or_else(configured).or_else(guessed)
    }

    fn explicit(&self) -> Option<Duration> {
        self.stated().map(|(_, lifetime)| lifetime)
    }

    /// `s-maxage` before `max-age` before `Expires` (§4.2.1), which a targeted field replaces too
    /// (RFC 9213 §2.2).
    fn stated(&self) -> Option<(LifetimeSource, Duration)> {
        let directives = self.directives;
        if let Some(span) = directives.s_maxage {
            return Some((LifetimeSource::SMaxage, span));
        }
        if let Some(span) = directives.max_age {
            return Some((LifetimeSource::MaxAge, span));
        }
        let expires = self.expires().filter(|_| !directives.are_targeted())?;
        Some((LifetimeSource::Expires, expires))
    }

    /// Measured against the response's own `Date`, so that a skewed clock cancels out.
    ///
    /// An invalid date means already expired, never "no date": `Expires: 0` is common (§5.3).
    fn expires(&self) -> Option<Duration> {
        match date::field(self.headers, &EXPIRES, self.received) {
            Field::Absent => None,
            Field::Invalid => Some(Duration::ZERO),
            Field::Time(expires) => {
                Some(whole_seconds(expires, self.date.unwrap_or(self.received)))
            }
        }
    }

    /// Ten per cent of the time since the last change (§4.2.2).
    fn heuristic(&self) -> Option<Duration> {
        if self.rules.profile != Profile::Rfc {
            return None;
        }
        let changed = date::field(self.headers, &LAST_MODIFIED, self.received).time()?;
        let unchanged_for = whole_seconds(self.date.unwrap_or(self.received), changed);
        Some(Duration::from_secs(unchanged_for.as_secs() / 10))
    }

    /// Whether a lifetime may be assumed where the response states none (§3, §4.2.2).
    fn may_be_given_a_lifetime(&self) -> bool {
        let rules = self.rules;
        // The Application profile has let the status pass because the operator chose it.
        rules.profile == Profile::Application
            || self.directives.public
            || status::is_heuristically_cacheable(self.status)
            || rules.statuses.contains(&self.status)
    }

    fn can_be_validated(&self) -> bool {
        self.rules.can_validate && update::has_validator(self.headers)
    }
}

fn windows(
    rules: &Rules,
    assumed: Option<Duration>,
    directives: &ResponseDirectives,
    freshness: Freshness,
) -> Freshness {
    if directives.forbids_stale() || directives.has_unreadable_lifetime() {
        return freshness.without_stale();
    }
    let cap = rules.max_stale.unwrap_or(seconds::MAX);
    let window = |stated: Option<Duration>, default: Option<Duration>| {
        stated.or(default).unwrap_or_default().min(cap)
    };
    freshness
        .with_stale_while_revalidate(window(directives.stale_while_revalidate, assumed))
        .with_stale_if_error(window(directives.stale_if_error, rules.stale_if_error))
}

/// From `earlier` to `later`, zero if they are the other way round.
fn whole_seconds(later: SystemTime, earlier: SystemTime) -> Duration {
    let span = later.duration_since(earlier).unwrap_or_default();
    Duration::from_secs(span.as_secs()).min(seconds::MAX)
}
