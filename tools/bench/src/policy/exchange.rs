//! Requests and answers as sites have them.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pitlane_policy::{Freshness, Profile, RequestFacts, Rules, may_store};

/// A page's own fields, as few as a careful application sends.
pub(super) const TYPICAL: &str = "\
content-type: text/html; charset=utf-8
cache-control: public, max-age=60, stale-while-revalidate=30
date: Fri, 15 Jan 2027 08:00:00 GMT
last-modified: Thu, 14 Jan 2027 17:21:09 GMT
etag: \"5f2a-62c1\"
vary: Accept-Encoding
content-length: 4096
content-language: en
x-content-type-options: nosniff
strict-transport-security: max-age=31536000";

/// What a platform, a framework and a few proxies put beside them.
pub(super) const LARGE: &str = include_str!("large.txt");

/// What a server answers to a conditional request.
pub(super) const NOT_MODIFIED: &str = "\
date: Fri, 15 Jan 2027 08:01:30 GMT
cache-control: public, max-age=60, stale-while-revalidate=30
etag: \"5f2a-62c1\"
vary: Accept-Encoding
server: origin";

/// Fri, 15 Jan 2027 08:00:00 GMT.
pub(super) fn received() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

pub(super) fn rules() -> Rules {
    Rules::new(Profile::Rfc).can_validate(true)
}

pub(super) fn facts() -> RequestFacts {
    RequestFacts::default()
}

pub(super) fn freshness(stored: &HeaderMap) -> Freshness {
    may_store(
        &rules(),
        &facts(),
        StatusCode::OK,
        stored,
        false,
        received(),
    )
    .expect("storable")
}

pub(super) fn headers(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in text.lines() {
        let (name, value) = line.split_once(": ").expect("a field");
        let name: HeaderName = name.parse().expect("a name");
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    headers
}
