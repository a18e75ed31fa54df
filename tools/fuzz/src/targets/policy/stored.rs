//! What happens to the fields of a stored response.

use http::header::{
    AGE, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION,
    CONTENT_RANGE, DATE, ETAG, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pitlane_policy::conditional::{self, Precondition};
use pitlane_policy::{date, hop, update};

/// A newer response replaces what it says, and touches nothing else (RFC 9111 §3.2).
pub(super) fn is_updated(stored: &HeaderMap, newer: &HeaderMap) {
    let mut fresh = stored.clone();
    update::freshen(&mut fresh, newer);
    let named = named_by_connection(newer);
    for name in stored.keys().chain(newer.keys()) {
        let kept = [AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE].contains(name)
            || hop::is_hop_by_hop(name)
            || named.contains(name)
            || !newer.contains_key(name);
        let lines = lines(&fresh, name);
        match kept {
            _ if *name == AGE => assert!(lines.is_empty(), "{stored:?} by {newer:?}"),
            true => assert_eq!(
                lines,
                self::lines(stored, name),
                "{name} of {stored:?} by {newer:?}"
            ),
            false => assert_eq!(
                lines,
                self::lines(newer, name),
                "{name} of {stored:?} by {newer:?}"
            ),
        }
    }
    let known = |name: &HeaderName| stored.contains_key(name) || newer.contains_key(name);
    assert!(fresh.keys().all(known), "{fresh:?} has more than either");
    let mut twice = fresh.clone();
    update::freshen(&mut twice, newer);
    assert_eq!(fresh, twice, "{stored:?} by {newer:?} twice");
    is_in_order(stored, &fresh);
}

/// What stays keeps its order.
fn is_in_order(before: &HeaderMap, after: &HeaderMap) {
    let both = |name: &&HeaderName| before.contains_key(*name) && after.contains_key(*name);
    let [before, after] = [before, after].map(|headers| headers.keys());
    let (before, after): (Vec<_>, Vec<_>) =
        (before.filter(both).collect(), after.filter(both).collect());
    assert_eq!(before, after, "another order");
}

pub(super) fn is_stripped(headers: &HeaderMap) {
    let mut stripped = headers.clone();
    hop::strip(&mut stripped);
    let named = named_by_connection(headers);
    let ends = |name: &HeaderName| hop::is_hop_by_hop(name) || named.contains(name);
    let kept: Vec<_> = headers.iter().filter(|(name, _)| !ends(name)).collect();
    assert_eq!(stripped.iter().collect::<Vec<_>>(), kept, "{headers:?}");
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let lines = headers.get_all(CONNECTION).iter();
    let members = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    members
        .filter_map(|member| HeaderName::from_bytes(member.trim_ascii()).ok())
        .collect()
}

/// What is asked with a stored response's own validators is answered with "not modified" by
/// whoever still has that response.
pub(super) fn is_validated(request: &HeaderMap, stored: &HeaderMap) {
    let mut bare = request.clone();
    conditional::strip(&mut bare);
    assert!(!conditional::is_conditional(&bare), "{bare:?}");
    let mut asking = bare.clone();
    let can = update::conditions(stored, &mut asking);
    assert_eq!(can, update::has_validator(stored), "{stored:?}");
    if !can {
        assert_eq!(asking, bare, "{stored:?} has no validator");
        return;
    }
    for tag in lines(&asking, &IF_NONE_MATCH) {
        assert!(is_entity_tag(tag), "{tag:?} is sent as a tag");
    }
    for changed in lines(&asking, &IF_MODIFIED_SINCE) {
        assert!(
            date::parse(changed).is_some(),
            "{changed:?} is sent as a date"
        );
    }
    let (etag, changed) = (stored.get(ETAG), stored.get(LAST_MODIFIED));
    let answer = conditional::evaluate(&Method::GET, &asking, etag, changed);
    assert_eq!(
        answer,
        Precondition::NotModified,
        "{asking:?} of {stored:?}"
    );
}

/// `[ "W/" ] DQUOTE *etagc DQUOTE` (RFC 9110 §8.8.3).
fn is_entity_tag(value: &HeaderValue) -> bool {
    let text = value.as_bytes().trim_ascii();
    let quoted = text.strip_prefix(b"W/").unwrap_or(text);
    let inside = quoted
        .strip_prefix(b"\"")
        .and_then(|quoted| quoted.strip_suffix(b"\""));
    inside.is_some_and(|inside| {
        let mut bytes = inside.iter();
        bytes.all(|&byte| byte > b' ' && byte != b'"' && byte != 0x7f)
    })
}

/// The 304 that stands for a response speaks of that response, and so does its own HEAD.
pub(super) fn is_confirmed_by_itself(stored: &HeaderMap, length: u64) {
    let said = conditional::not_modified_headers(stored);
    let may = [
        ETAG,
        DATE,
        VARY,
        CACHE_CONTROL,
        EXPIRES,
        CONTENT_LOCATION,
        LAST_MODIFIED,
    ];
    for name in said.keys() {
        assert!(may.contains(name), "{name} in a 304");
        assert_eq!(lines(&said, name), lines(stored, name));
    }
    let one = |name| lines(stored, name).len() < 2;
    if one(&ETAG) && one(&LAST_MODIFIED) {
        assert!(update::confirms(stored, &said), "{said:?} of {stored:?}");
        let mut head = stored.clone();
        head.insert(CONTENT_LENGTH, HeaderValue::from(length));
        assert!(update::head_confirms(stored, length, &head), "{head:?}");
        assert!(
            !update::head_confirms(stored, length + 1, &head),
            "{head:?}"
        );
    }
}

fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a HeaderValue> {
    headers.get_all(name).iter().collect()
}
