//! Conditional requests answered from the store (RFC 9110 §13, RFC 9111 §4.3.2).

use crate::date;
use crate::entity_tag::{self, EntityTag};
use http::header::{
    CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::time::SystemTime;

static CONDITIONS: [HeaderName; 5] = [
    IF_MATCH,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_UNMODIFIED_SINCE,
    IF_RANGE,
];

/// What a 304 repeats of the response it stands for (RFC 9110 §15.4.5).
static REPEATED: [HeaderName; 6] = [ETAG, DATE, VARY, CACHE_CONTROL, EXPIRES, CONTENT_LOCATION];

/// How a request's preconditions turn out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Answer in full.
    Proceed,
    /// The client has it already: answer 304.
    NotModified,
    /// Answer 412.
    Failed,
}

/// Evaluates the preconditions of a request against a stored response's validators.
///
/// The order is that of RFC 9110 §13.2.2. A condition that is no single valid date is ignored
/// (§13.1.3, §13.1.4). `If-Range` is not looked at: it only decides whether a
/// range is served.
#[must_use]
pub fn evaluate(
    method: &Method,
    request: &HeaderMap,
    etag: Option<&HeaderValue>,
    last_modified: Option<&HeaderValue>,
) -> Precondition {
    let etag = etag.and_then(|value| EntityTag::parse(value.as_bytes()));
    if !may_proceed(request, etag, last_modified) {
        return Precondition::Failed;
    }
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if request.contains_key(IF_NONE_MATCH) {
        // A date is coarser than a tag, so `If-Modified-Since` doesn't count beside it (§13.1.3).
        let known = |tag: EntityTag<'_>| etag.is_some_and(|etag| etag.matches_weakly(tag));
        return match entity_tag::any(request.get_all(IF_NONE_MATCH), known) {
            true if reads => Precondition::NotModified,
            true => Precondition::Failed,
            false => Precondition::Proceed,
        };
    }
    match dates(request, &IF_MODIFIED_SINCE, last_modified) {
        Some((since, changed)) if reads && changed <= since => Precondition::NotModified,
        _ => Precondition::Proceed,
    }
}

/// The fields of a 304 that stands for this stored response.
///
/// `Last-Modified` joins only where there is no `ETag`. `Age` and `Cache-Status` are the caller's.
#[must_use]
pub fn not_modified_headers(stored: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(REPEATED.len());
    let alone = (!stored.contains_key(ETAG)).then_some(&LAST_MODIFIED);
    for name in REPEATED.iter().chain(alone) {
        for value in stored.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// Whether a request has any precondition.
#[must_use]
pub fn is_conditional(request: &HeaderMap) -> bool {
    CONDITIONS.iter().any(|name| request.contains_key(name))
}

/// Removes all preconditions, so that the origin answers in full.
///
/// `Range` stays: it is no condition.
pub fn strip(request: &mut HeaderMap) {
    for name in &CONDITIONS {
        request.remove(name);
    }
}

/// `If-Match`, or `If-Unmodified-Since` where that is absent (§13.2.2 steps 1 and 2).
fn may_proceed(
    request: &HeaderMap,
    etag: Option<EntityTag<'_>>,
    last_modified: Option<&HeaderValue>,
) -> bool {
    if request.contains_key(IF_MATCH) {
        let same = |tag: EntityTag<'_>| etag.is_some_and(|etag| etag.matches_strongly(tag));
        return entity_tag::any(request.get_all(IF_MATCH), same);
    }
    dates(request, &IF_UNMODIFIED_SINCE, last_modified)
        .is_none_or(|(since, changed)| changed <= since)
}

/// The date that a condition names, and that of the last change: to read one costs more than all else
/// that a hit asks, so the stored one is read only where the request has one too.
fn dates(
    request: &HeaderMap,
    condition: &HeaderName,
    last_modified: Option<&HeaderValue>,
) -> Option<(SystemTime, SystemTime)> {
    let since = date::single(request, condition)?;
    Some((since, last_modified.and_then(date::parse)?))
}
