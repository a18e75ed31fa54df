//! How rows of the table read and rewrite an exchange.

use super::case::{Case, Fields, directives, name_of};
use http::HeaderValue;
use pitlane_policy::date;
use std::time::{Duration, SystemTime};

/// Every directive of both messages.
pub(super) fn each(case: &mut Case, change: impl Fn(&mut String)) {
    let fields = case.asks.iter_mut().chain(&mut case.says);
    for (_, value) in fields.filter(|(name, _)| name == "cache-control") {
        change(value);
    }
}

pub(super) fn has(fields: &Fields, wanted: &str) -> bool {
    fields.iter().any(|(name, _)| name == wanted)
}

pub(super) fn says(case: &Case, wanted: &str) -> bool {
    directives(&case.says).any(|member| name_of(member) == wanted)
}

pub(super) fn say(case: &mut Case, directive: &str) {
    if !directives(&case.says).any(|member| member == directive) {
        case.says
            .push(("cache-control".to_owned(), directive.to_owned()));
    }
}

/// Whether it was there.
pub(super) fn unsay(case: &mut Case, unwanted: &str) -> bool {
    let before = case.says.len();
    case.says
        .retain(|(name, value)| name != "cache-control" || name_of(value) != unwanted);
    case.says.len() < before
}

/// The number of seconds after `=`, saturating; it may stand in quotes.
pub(super) fn span(member: &str) -> Option<u64> {
    let digits = member.split_once('=')?.1;
    let unquoted = digits
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let digits = unquoted.unwrap_or(digits);
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

pub(super) fn spans(fields: &Fields, wanted: &str) -> impl Iterator<Item = u64> {
    directives(fields)
        .filter(move |member| name_of(member) == wanted)
        .filter_map(span)
}

pub(super) fn lifetimes(case: &mut Case, change: fn(Option<u64>) -> Option<u64>) {
    for name in ["max-age", "s-maxage"] {
        lifetime_of(case, name, change);
    }
}

pub(super) fn lifetime_of(
    case: &mut Case,
    wanted: &str,
    change: impl Fn(Option<u64>) -> Option<u64>,
) {
    for (name, value) in &mut case.says {
        if name == "cache-control"
            && name_of(value) == wanted
            && let Some(span) = change(span(value))
        {
            *value = format!("{wanted}={span}");
        }
    }
}

pub(super) fn may_be_shared(case: &Case) -> bool {
    !has(&case.asks, "authorization")
        || directives(&case.says).any(|member| matches!(member, "public" | "must-revalidate"))
        || spans(&case.says, "s-maxage").next().is_some()
}

pub(super) fn dates(
    case: &mut Case,
    names: &[&str],
    change: impl Fn(&mut String, Option<SystemTime>),
) {
    for (name, value) in &mut case.says {
        if names.contains(&name.as_str()) {
            let read = date::parse(&HeaderValue::from_str(value).expect("a field value"));
            change(value, read);
        }
    }
}

pub(super) fn set_age(case: &mut Case, age: Option<Duration>) {
    let at = case.says.iter().position(|(name, _)| name == "age");
    case.says.retain(|(name, _)| name != "age");
    if let Some(age) = age {
        let field = ("age".to_owned(), age.as_secs().to_string());
        case.says.insert(at.unwrap_or(case.says.len()), field);
    }
}

/// The final codes of RFC 9110 §15, as far as cases have them.
pub(super) fn is_understood(code: u16) -> bool {
    !matches!(code, 418 | 429 | 451 | 599)
}
