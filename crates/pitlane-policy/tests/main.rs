//! The policy against the RFCs, row by row, and against headers nobody would send.

mod age;
mod cache_control;
mod conditional;
mod content;
mod dates;
mod encoding;
mod freshness;
mod groups;
mod hop;
mod lifetimes;
mod oracle;
mod post;
mod properties;
mod range;
mod requests;
mod selecting;
mod soup;
mod statuses;
mod targeted;
mod update;
mod vary;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pitlane_policy::{Freshness, Profile, Refusal, RequestFacts, Rules, may_store};
use std::time::{Duration, SystemTime};

/// When every response of these tests is received: Fri, 15 Jan 2027 08:00:00 GMT.
fn received() -> SystemTime {
    SystemTime::UNIX_EPOCH + seconds(1_800_000_000)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Fields, one a line; `{n}` stands for the date n seconds after the receipt.
#[track_caller]
fn headers(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in text.lines() {
        let (name, value) = line.split_once(':').expect("a field has a colon");
        let name: HeaderName = name.trim().parse().expect("a field name");
        let value =
            HeaderValue::from_bytes(with_dates(value.trim()).as_bytes()).expect("a field value");
        headers.append(name, value);
    }
    headers
}

fn with_dates(text: &str) -> String {
    let mut parts = text.split(['{', '}']);
    let mut filled = parts.next().unwrap_or_default().to_owned();
    while let (Some(offset), Some(rest)) = (parts.next(), parts.next()) {
        filled += &date(offset.parse().expect("an offset in seconds"));
        filled += rest;
    }
    filled
}

fn date(offset: i64) -> String {
    let span = seconds(offset.unsigned_abs());
    httpdate::fmt_http_date(if offset < 0 {
        received() - span
    } else {
        received() + span
    })
}

fn rfc() -> Rules {
    Rules::new(Profile::Rfc)
}

fn application() -> Rules {
    Rules::new(Profile::Application)
}

/// Judges a 200 with a body.
#[track_caller]
fn store(rules: &Rules, response: &str) -> Result<Freshness, Refusal> {
    store_status(rules, 200, response)
}

#[track_caller]
fn store_status(rules: &Rules, status: u16, response: &str) -> Result<Freshness, Refusal> {
    let status = StatusCode::from_u16(status).expect("a status code");
    may_store(
        rules,
        &RequestFacts::default(),
        status,
        &headers(response),
        false,
        received(),
    )
}

/// The lifetime in seconds, or why there is none.
#[track_caller]
fn check_lifetime(rules: &Rules, section: &str, response: &str, expected: Result<u64, Refusal>) {
    let lifetime = store(rules, response).map(|freshness| freshness.lifetime().as_secs());
    assert_eq!(lifetime, expected, "{section}: {response}");
}
