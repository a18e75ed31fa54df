//! What lines without quotes must mean, read a second time in the most obvious way.

use super::{has_quote, read};
use http::HeaderValue;
use pitlane_policy::{MaxStale, RequestDirectives, ResponseDirectives};
use std::time::Duration;

const MOST_SECONDS: u128 = 1 << 31;

/// One member: what it is called, and what stands behind `=` if it keeps to the grammar.
struct Member {
    name: String,
    argument: Argument,
}

#[derive(PartialEq)]
enum Argument {
    Absent,
    Text(String),
    Malformed,
}

pub(super) fn agrees(lines: &[HeaderValue]) {
    let plain: Vec<HeaderValue> = lines
        .iter()
        .filter(|line| !has_quote(line))
        .cloned()
        .collect();
    let members: Vec<Member> = plain
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .filter_map(Member::new)
        .collect();
    let (response, request) = read(&plain);
    agrees_on_response(&members, &response);
    agrees_on_request(&members, &request);
}

fn agrees_on_response(members: &[Member], read: &ResponseDirectives) {
    let in_any_form = |name| named(members, name).next().is_some();
    // Of several, the last one permits or doesn't.
    let as_it_should = |name| named(members, name).last() == Some(&Argument::Absent);
    let shared_for = named(members, "s-maxage")
        .last()
        .and_then(Argument::seconds);
    let least = |name| {
        let seconds = named(members, name).map(|one| one.seconds().unwrap_or_default());
        seconds.min()
    };
    let authorized =
        as_it_should("public") || as_it_should("must-revalidate") || shared_for.is_some();
    assert_eq!(read.no_store, in_any_form("no-store"));
    assert_eq!(read.private, in_any_form("private"));
    assert_eq!(read.no_cache, in_any_form("no-cache"));
    assert_eq!(read.must_revalidate, in_any_form("must-revalidate"));
    assert_eq!(read.proxy_revalidate, in_any_form("proxy-revalidate"));
    assert_eq!(read.must_understand, in_any_form("must-understand"));
    assert_eq!(read.no_transform, in_any_form("no-transform"));
    assert_eq!(read.overrides_no_store(), as_it_should("must-understand"));
    assert_eq!(read.public, as_it_should("public"));
    assert_eq!(read.immutable, as_it_should("immutable"));
    assert_eq!(read.permits_authorized(), authorized);
    assert_eq!(read.max_age, least("max-age"));
    assert_eq!(read.s_maxage, least("s-maxage"));
    assert_eq!(read.stale_if_error, least("stale-if-error"));
    assert_eq!(read.stale_while_revalidate, least("stale-while-revalidate"));
}

fn agrees_on_request(members: &[Member], read: &RequestDirectives) {
    let in_any_form = |name| named(members, name).next().is_some();
    let ages = named(members, "max-age").map(|one| one.seconds().unwrap_or_default());
    let margins = named(members, "min-fresh").map(|one| one.seconds().unwrap_or(longest()));
    let limits: Vec<_> = named(members, "max-stale")
        .filter(|one| **one != Argument::Absent)
        .map(|one| one.seconds().unwrap_or_default())
        .collect();
    let max_stale = match limits.iter().min() {
        Some(limit) => Some(MaxStale::Limit(*limit)),
        None => in_any_form("max-stale").then_some(MaxStale::Any),
    };
    assert_eq!(read.no_cache, in_any_form("no-cache"));
    assert_eq!(read.no_store, in_any_form("no-store"));
    assert_eq!(read.only_if_cached, in_any_form("only-if-cached"));
    assert_eq!(read.max_age, ages.min());
    assert_eq!(read.min_fresh, margins.max());
    assert_eq!(read.max_stale, max_stale);
}

fn named<'a>(members: &'a [Member], name: &str) -> impl Iterator<Item = &'a Argument> {
    members
        .iter()
        .filter(move |member| member.name == name)
        .map(|member| &member.argument)
}

fn longest() -> Duration {
    Duration::from_secs(u64::try_from(MOST_SECONDS).unwrap_or(u64::MAX))
}

impl Member {
    fn new(text: &[u8]) -> Option<Self> {
        // Every byte becomes one character, so none of them turns into another's prefix.
        let text: String = text.iter().copied().map(char::from).collect();
        let text = text.trim_matches([' ', '\t']);
        let (name, argument) = match text.split_once('=') {
            Some((name, argument)) => (name, Argument::Text(argument.to_owned())),
            None => (text, Argument::Absent),
        };
        let keeps = is_token(name)
            && !name.is_empty()
            && !matches!(&argument, Argument::Text(argument) if !is_token(argument));
        if keeps {
            return Some(Self {
                name: name.to_ascii_lowercase(),
                argument,
            });
        }
        let start = text.find(is_token_character)?;
        let name = text[start..].split(|one| !is_token_character(one)).next()?;
        Some(Self {
            name: name.to_ascii_lowercase(),
            argument: Argument::Malformed,
        })
    }
}

impl Argument {
    fn seconds(&self) -> Option<Duration> {
        let Self::Text(text) = self else {
            return None;
        };
        let is_number = !text.is_empty() && text.chars().all(|one| one.is_ascii_digit());
        // What doesn't fit is too large, since only digits are left.
        let seconds = text
            .parse::<u128>()
            .unwrap_or(MOST_SECONDS)
            .min(MOST_SECONDS);
        is_number.then(|| Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX)))
    }
}

fn is_token(text: &str) -> bool {
    text.chars().all(is_token_character)
}

fn is_token_character(one: char) -> bool {
    one.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(one)
}
