//! Sentences for people.

use http::StatusCode;
use pitlane_core::{Outcome, Reason};
use pitlane_policy::{Freshness, LifetimeSource};

use super::{
    explanation::{Stage, Step},
    facts::EntryFacts,
};
use crate::{cache::RemoteLookup, response::Found};

/// How one request came to its end.
pub(super) struct Ending {
    /// As it would be counted.
    pub(super) counted: (Outcome, Reason),
    /// What the inner service answered with, if it was asked and has.
    pub(super) status: Option<StatusCode>,
    pub(super) redis: Option<RemoteLookup>,
}

/// A reason's sentence, with what it was.
pub(super) fn sentence(reason: Reason, detail: Option<&str>) -> String {
    let sentence = reason.explain();
    match detail {
        Some(detail) => format!("{}: {detail}.", sentence.trim_end_matches('.')),
        None => sentence.to_owned(),
    }
}

pub(super) fn memory(found: &Found) -> Step {
    let (reason, text) = match found {
        Found::Fresh { age, ttl, .. } => (
            None,
            format!("It is in memory, {age} s old, and fresh for {ttl} s."),
        ),
        Found::WhileRevalidate { age, stale_for, .. } => (
            Some(Reason::StaleWhileRevalidate),
            format!(
                "It is in memory, {age} s old, stale for {stale_for} s, and may be served while it is \
                 renewed."
            ),
        ),
        Found::Accepted { stale_for, .. } => (
            Some(Reason::MaxStale),
            format!("It is in memory, stale for {stale_for} s, and the request takes that."),
        ),
        Found::Miss { why, stale: None } => (Some(*why), why.explain().to_owned()),
        Found::Miss {
            why,
            stale: Some(stale),
        } => (
            Some(*why),
            format!("It is in memory, {} s old. {}", stale.age, why.explain()),
        ),
        Found::Pass => (
            Some(Reason::HitForMiss),
            Reason::HitForMiss.explain().to_owned(),
        ),
    };
    Step::new(Stage::Memory, reason, text)
}

pub(super) fn flight() -> Step {
    let text = "Another request is having the same answer computed. A request that came now would \
                wait for it; this one has it computed apart.";
    Step::new(Stage::Flight, Some(Reason::Collapsed), text)
}

pub(super) fn redis(ending: &Ending, unusable: Option<Reason>) -> Option<Step> {
    let lookup = ending.redis?;
    let text = match lookup {
        RemoteLookup::Hit => "Redis has it.",
        RemoteLookup::Miss => "Redis has nothing.",
        RemoteLookup::Unusable => unusable.map_or(
            "What Redis has was written by another version, or for another key.",
            Reason::explain,
        ),
        RemoteLookup::Corrupt => "What Redis has is no entry; a request would delete it.",
        RemoteLookup::Failed => "Redis did not answer in time, or said no.",
        RemoteLookup::Skipped => "Nobody looked into Redis: it is out of reach.",
    };
    Some(Step::new(Stage::Redis, unusable, text))
}

pub(super) fn handler(ending: &Ending) -> Option<Step> {
    let (outcome, reason) = ending.counted;
    let asked = match outcome {
        Outcome::Hit | Outcome::Collapsed => false,
        Outcome::Stale => reason == Reason::StaleIfError,
        _ => reason != Reason::OnlyIfCached,
    };
    let failed = matches!(reason, Reason::Failed | Reason::StaleIfError).then_some(Reason::Failed);
    let text = match (outcome, ending.status) {
        (Outcome::Stale, _) => "The handler was called and failed.".to_owned(),
        (Outcome::Revalidated, _) => {
            "The handler was asked whether what is stored is still right, and said yes.".to_owned()
        }
        (_, Some(status)) => format!("The handler was called and answered {}.", status.as_str()),
        (_, None) => "The handler was called and failed.".to_owned(),
    };
    asked.then(|| Step::new(Stage::Handler, failed, text))
}

pub(super) fn storable(
    freshness: &Freshness,
    source: Option<LifetimeSource>,
    hinted: bool,
) -> String {
    let lifetime = freshness.lifetime().as_secs();
    let by = match source {
        Some(LifetimeSource::SMaxage) => "`s-maxage`",
        Some(LifetimeSource::MaxAge) => "`max-age`",
        Some(LifetimeSource::Expires) => "`Expires`",
        Some(LifetimeSource::Heuristic) => "a tenth of the time since `Last-Modified`",
        _ if hinted => "the handler's `CacheHint`",
        _ => "the TTL of the layer or of its cache",
    };
    let mut text = match (lifetime, freshness.initial_age().as_secs()) {
        (0, _) => "It may be stored, and has to be validated before each use".to_owned(),
        (_, 0) => format!("It may be stored, and is fresh for {lifetime} s by {by}"),
        (_, age) => format!(
            "It may be stored, and is fresh until it is {lifetime} s old by {by}; it came {age} s old"
        ),
    };
    let windows = [
        (freshness.stale_while_revalidate(), "while it is renewed"),
        (freshness.stale_if_error(), "when the handler fails"),
    ];
    for (window, when) in windows.iter().filter(|(window, _)| !window.is_zero()) {
        text += &format!(
            "; stale, it may be served for {} s {when}",
            window.as_secs()
        );
    }
    text + "."
}

pub(super) fn answer((outcome, reason): (Outcome, Reason), entry: Option<&EntryFacts>) -> Step {
    let age = entry.map_or(0.0, |entry| entry.age_seconds.floor());
    let (told, text) = match (outcome, reason) {
        (Outcome::Hit, Reason::Remote) => (None, format!("Answered from Redis, {age} s old.")),
        (Outcome::Hit, _) => (None, format!("Answered from memory, {age} s old.")),
        (Outcome::Stale, _) => (
            Some(reason),
            format!("Answered with something stale, {age} s old."),
        ),
        (Outcome::Collapsed, _) => (
            Some(reason),
            "Answered with what another request had computed.".to_owned(),
        ),
        (Outcome::Revalidated, _) => (
            Some(reason),
            "Answered with what is stored, after the handler had confirmed it.".to_owned(),
        ),
        (_, Reason::OnlyIfCached) => (
            Some(reason),
            "Answered with a 504 of the cache's own.".to_owned(),
        ),
        (Outcome::Bypass, _) => (
            Some(reason),
            "Answered by the handler; the cache had no part in it.".to_owned(),
        ),
        (Outcome::Miss, _) => (Some(reason), "Answered by the handler.".to_owned()),
    };
    Step::new(Stage::Answer, told, text)
}

/// Which later requests an entry is for.
pub(super) fn reuse(entry: &EntryFacts) -> Step {
    let same = match &entry.vary[..] {
        [] => String::new(),
        names => format!(" with the same `{}`", names.join("`, `")),
    };
    let text = if entry.ttl_seconds > 0.0 {
        let ttl = entry.ttl_seconds.floor();
        format!("Requests for the same key{same} are answered with it for {ttl} s.")
    } else {
        format!("Requests for the same key{same} have it validated first.")
    };
    Step::new(Stage::Reuse, None, text)
}
