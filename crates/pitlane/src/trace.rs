//! Spans of what is done for a request, for whoever collects traces.
//!
//! No key, path, tag or user is in any of them: traces go far.

use pitlane_core::{Outcome, Reason};
use tracing::{Level, Span, debug_span, field::Empty};

const REQUEST: &str = "pitlane.cache";

/// Whether anybody in the process collects them. It is asked at every hit, so it is one load.
#[inline(always)]
pub(crate) fn is_wanted() -> bool {
    tracing::level_enabled!(Level::DEBUG)
}

/// What one cache layer does with one request.
pub(crate) fn request(cache: &str) -> Span {
    debug_span!(
        target: "pitlane",
        "pitlane.cache",
        otel.kind = "internal",
        cache,
        route = Empty,
        outcome = Empty,
        reason = Empty,
        otel.status_code = Empty,
    )
}

/// How the request was answered whose span this code runs in.
#[cold]
pub(crate) fn answered(route: &str, outcome: Outcome, reason: Reason) {
    let span = Span::current();
    if span.metadata().is_some_and(|span| span.name() == REQUEST) {
        span.record("route", route);
        span.record("outcome", outcome.as_str());
        end(&span, reason);
    }
}

/// The computation of something that may be stored.
pub(crate) fn fill(cache: &str) -> Span {
    debug_span!(
        target: "pitlane",
        "pitlane.fill",
        otel.kind = "internal",
        cache,
        reason = Empty,
        otel.status_code = Empty,
    )
}

/// What became of what a span is about.
pub(crate) fn end(span: &Span, reason: Reason) {
    span.record("reason", reason.as_str());
    if reason == Reason::Failed {
        span.record("otel.status_code", "ERROR");
    }
}

/// The renewal of an entry in the background, which follows from the request that found it stale.
pub(crate) fn refresh(cache: &str) -> Span {
    let span = debug_span!(
        target: "pitlane",
        parent: None,
        "pitlane.refresh",
        otel.kind = "internal",
        cache,
    );
    span.follows_from(Span::current());
    span
}

/// A command to Redis that a request waits for, on behalf of a cache or of the log.
pub(crate) fn redis(cache: Option<&str>, operation: &'static str) -> Span {
    debug_span!(
        target: "pitlane",
        "pitlane.redis",
        otel.kind = "client",
        db.system.name = "redis",
        cache,
        operation,
        outcome = Empty,
    )
}

/// A command to Redis that follows from a request, which doesn't wait for it.
pub(crate) fn redis_behind(cache: &str, operation: &'static str) -> Span {
    let span = debug_span!(
        target: "pitlane",
        parent: None,
        "pitlane.redis",
        otel.kind = "client",
        db.system.name = "redis",
        cache,
        operation,
        outcome = Empty,
    );
    span.follows_from(Span::current());
    span
}
