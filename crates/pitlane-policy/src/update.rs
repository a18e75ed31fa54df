//! Validation of what is stored, and what a newer response changes of it (RFC 9111 §3.2, §4.3).
//!
//! # Example
//!
//! ```
//! use http::{HeaderMap, HeaderValue, header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH}};
//! use pitlane_policy::update;
//!
//! let mut stored = HeaderMap::new();
//! stored.insert(ETAG, HeaderValue::from_static("\"v1\""));
//!
//! let mut request = HeaderMap::new();
//! assert!(update::conditions(&stored, &mut request));
//! assert_eq!(request[IF_NONE_MATCH], "\"v1\"");
//!
//! let mut not_modified = stored.clone();
//! not_modified.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
//! assert!(update::confirms(&stored, &not_modified));
//! update::freshen(&mut stored, &not_modified);
//! assert_eq!(stored[CACHE_CONTROL], "max-age=60");
//! ```

use crate::entity_tag::EntityTag;
use crate::{date, hop, syntax};
use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// What describes the stored body, which stays, or this one transfer.
static KEPT: [HeaderName; 4] = [AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE];

/// Updates a stored response's fields with those of a newer response (RFC 9111 §3.2).
///
/// Every field of `newer` replaces all stored lines of its name. Not so the hop-by-hop fields, what
/// `Connection` names, `Content-Length`, `Content-Encoding`, `Content-Range` and `Age`. A stored `Age`
/// goes: it was that of the older response.
pub fn freshen(stored: &mut HeaderMap, newer: &HeaderMap) {
    hop::retain(stored, |name| *name != AGE);
    let named = hop::named_by_connection(newer);
    for name in newer.keys() {
        if KEPT.contains(name) || hop::is_hop_by_hop(name) || named.contains(name) {
            continue;
        }
        let mut lines = newer.get_all(name).into_iter();
        if let Some(first) = lines.next() {
            stored.insert(name, first.clone());
        }
        for line in lines {
            stored.append(name, line.clone());
        }
    }
}

/// Whether a 304 speaks of this stored response (RFC 9111 §4.3.4).
///
/// An `ETag` has to match the stored one: strongly if it is strong, else weakly. Without one to compare
/// `Last-Modified` has to name the same second. A 304 without any validator speaks of the one
/// response that was asked about.
#[must_use]
pub fn confirms(stored: &HeaderMap, answer: &HeaderMap) -> bool {
    if answer.contains_key(ETAG) && stored.contains_key(ETAG) {
        return names_the_same_tag(stored, answer);
    }
    if answer.contains_key(LAST_MODIFIED) {
        return has_the_same_date(stored, answer);
    }
    // A tag that nothing here has is another response's.
    !answer.contains_key(ETAG)
}

/// Whether a 200 to a HEAD describes this stored response with a body of `length` bytes
/// (RFC 9111 §4.3.5).
///
/// `ETag`, `Last-Modified` and `Content-Length` have to be those stored, as far as they are there.
#[must_use]
pub fn head_confirms(stored: &HeaderMap, length: u64, head: &HeaderMap) -> bool {
    let same_length =
        || syntax::single_line(head, &CONTENT_LENGTH).and_then(syntax::number) == Some(length);
    (!head.contains_key(ETAG) || has_the_same_line(&ETAG, stored, head))
        && (!head.contains_key(LAST_MODIFIED) || has_the_same_date(stored, head))
        && (!head.contains_key(CONTENT_LENGTH) || same_length())
}

/// Adds the conditions that ask whether a stored response is still right (RFC 9111 §4.3.1):
/// `If-None-Match` and `If-Modified-Since`, of what is stored the very bytes.
///
/// Returns false, and adds nothing, where there is no validator: then only a full answer helps. What
/// is no entity tag, and no date, is no validator. The request's own preconditions are the caller's
/// to remove ([`conditional::strip`](crate::conditional::strip)).
#[must_use]
pub fn conditions(stored: &HeaderMap, request: &mut HeaderMap) -> bool {
    let (tag, changed) = (tag(stored), changed(stored));
    if let Some(tag) = tag {
        request.insert(IF_NONE_MATCH, tag.clone());
    }
    if let Some(changed) = changed {
        request.insert(IF_MODIFIED_SINCE, changed.clone());
    }
    tag.is_some() || changed.is_some()
}

/// Whether a response has a validator that [`conditions`] can send.
#[must_use]
pub fn has_validator(stored: &HeaderMap) -> bool {
    tag(stored).is_some() || changed(stored).is_some()
}

fn tag(stored: &HeaderMap) -> Option<&HeaderValue> {
    let value = syntax::single(stored, &ETAG)?;
    let tag = EntityTag::parse(value.as_bytes())?;
    tag.is_valid().then_some(value)
}

fn changed(stored: &HeaderMap) -> Option<&HeaderValue> {
    let value = syntax::single(stored, &LAST_MODIFIED)?;
    date::parse(value).is_some().then_some(value)
}

fn names_the_same_tag(stored: &HeaderMap, answer: &HeaderMap) -> bool {
    let [known, said] = [stored, answer]
        .map(|headers| syntax::single_line(headers, &ETAG).and_then(EntityTag::parse));
    match (known, said) {
        (Some(known), Some(said)) if said.is_weak() => known.matches_weakly(said),
        (Some(known), Some(said)) => known.matches_strongly(said),
        // What is no tag can still be told to be the same text.
        _ => has_the_same_line(&ETAG, stored, answer),
    }
}

fn has_the_same_date(stored: &HeaderMap, answer: &HeaderMap) -> bool {
    let [known, said] = [stored, answer].map(|headers| date::single(headers, &LAST_MODIFIED));
    match (known, said) {
        (Some(known), Some(said)) => known == said,
        _ => has_the_same_line(&LAST_MODIFIED, stored, answer),
    }
}

fn has_the_same_line(name: &HeaderName, stored: &HeaderMap, answer: &HeaderMap) -> bool {
    let [known, said] =
        [stored, answer].map(|headers| syntax::single_line(headers, name).map(syntax::trim));
    said.is_some() && known == said
}
