//! Fields that are structured: groups and targeted control, beside what `sfv` makes of the text.

use crate::input::{self, Knobs, Setting, field, sections, value};
use crate::reach::Reach;
use http::header::{CACHE_CONTROL, CDN_CACHE_CONTROL, EXPIRES};
use http::{HeaderMap, HeaderName, HeaderValue};
use pitlane_policy::ResponseDirectives;
use pitlane_policy::groups::{self, LONGEST_NAME, MOST_GROUPS, MOST_INVALIDATED};
use sfv::{BareItem, Dictionary, List, ListEntry, Parser};
use std::time::Duration;

const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");
const MOST_SECONDS: i64 = 1 << 31;

/// Knobs, then lines of the structured field, an empty line, and lines of `Cache-Control`.
pub(crate) fn run(bytes: &[u8]) {
    let mut knobs = Knobs::new(bytes);
    let setting = Setting::new(&mut knobs);
    let [structured, plain] = sections(knobs.text()).map(input::values);
    groups_are_lists_of_strings(&structured);
    targeted_control_is_a_dictionary(&setting, &structured, &plain);
}

/// RFC 9651 §4.2: the lines of a field are one value.
fn combined(lines: &[HeaderValue]) -> Vec<u8> {
    let trimmed: Vec<_> = lines
        .iter()
        .map(|line| line.as_bytes().trim_ascii())
        .collect();
    trimmed.join(&b", "[..])
}

fn groups_are_lists_of_strings(lines: &[HeaderValue]) {
    let list: Option<List> = Parser::new(&combined(lines)).parse().ok();
    let names = list.and_then(strings).unwrap_or_default();
    let stored = groups::of(&field(&CACHE_GROUPS, lines));
    let is_bounded =
        names.len() <= MOST_GROUPS && names.iter().all(|name| name.len() <= LONGEST_NAME);
    assert_eq!(stored.is_ok(), is_bounded, "{lines:?}");
    let invalidated = groups::invalidated(&field(&CACHE_GROUP_INVALIDATION, lines));
    let mut storable = names.clone();
    storable.retain(|name| name.len() <= LONGEST_NAME);
    assert!(storable.len() <= MOST_INVALIDATED, "no input is that long");
    assert_eq!(invalidated, storable, "{lines:?}");
    if let Ok(stored) = stored {
        assert_eq!(stored, names, "{lines:?}");
        names_are_read_back(&names);
    }
}

fn strings(list: List) -> Option<Vec<String>> {
    let names = list.into_iter().map(|member| match member {
        ListEntry::Item(item) => item
            .bare_item
            .as_string()
            .map(|name| name.as_str().to_owned()),
        ListEntry::InnerList(_) => None,
    });
    names.collect()
}

/// Written again with parameters and on a line each, they are the same names.
fn names_are_read_back(names: &[String]) {
    let lines: Vec<_> = names
        .iter()
        .map(|name| name.replace('\\', "\\\\").replace('"', "\\\""))
        .map(|name| value(format!(" \"{name}\";a;b=1\t").as_bytes()))
        .collect();
    let again = groups::of(&field(&CACHE_GROUPS, &lines));
    assert_eq!(again.as_deref(), Ok(names), "{lines:?}");
}

fn targeted_control_is_a_dictionary(
    setting: &Setting,
    targeted: &[HeaderValue],
    plain: &[HeaderValue],
) {
    let mut headers = field(&CDN_CACHE_CONTROL, targeted);
    for line in plain {
        headers.append(CACHE_CONTROL, line.clone());
    }
    headers.insert(
        EXPIRES,
        HeaderValue::from_static("Fri, 15 Jan 2027 09:00:00 GMT"),
    );
    let (directives, is_targeted) = ResponseDirectives::select(&headers, &[CDN_CACHE_CONTROL]);
    let dictionary: Option<Dictionary> = Parser::new(&combined(targeted)).parse().ok();
    match dictionary.filter(|dictionary| !dictionary.is_empty()) {
        Some(dictionary) => {
            assert!(is_targeted, "{targeted:?} is a dictionary");
            agrees(&dictionary, &directives);
            replaces_the_others(setting, &headers);
        }
        None => {
            assert!(!is_targeted, "{targeted:?} is no dictionary");
            assert_eq!(directives, ResponseDirectives::from_headers(&headers));
            is_as_if_absent(setting, &headers);
        }
    }
}

/// `sfv` keeps the last of equal keys. The others may restrict, and permit nothing.
fn agrees(dictionary: &Dictionary, read: &ResponseDirectives) {
    let restricting = [
        ("no-store", read.no_store),
        ("private", read.private),
        ("no-cache", read.no_cache),
        ("must-revalidate", read.must_revalidate),
        ("proxy-revalidate", read.proxy_revalidate),
        ("must-understand", read.must_understand),
        ("no-transform", read.no_transform),
    ];
    for (name, holds) in restricting {
        let said = dictionary.get(name);
        let denied = said.and_then(item).and_then(BareItem::as_boolean) == Some(false);
        assert!(
            holds || said.is_none() || denied,
            "{name} in {dictionary:?}"
        );
        assert!(!holds || said.is_some(), "{name} in {dictionary:?}");
    }
    let permitting = [
        ("public", read.public),
        ("immutable", read.immutable),
        ("must-understand", read.overrides_no_store()),
    ];
    for (name, holds) in permitting {
        let said = dictionary
            .get(name)
            .and_then(item)
            .and_then(BareItem::as_boolean);
        assert_eq!(holds, said == Some(true), "{name} in {dictionary:?}");
    }
    let spans = [
        ("max-age", read.max_age),
        ("s-maxage", read.s_maxage),
        ("stale-while-revalidate", read.stale_while_revalidate),
        ("stale-if-error", read.stale_if_error),
    ];
    for (name, span) in spans {
        let said = dictionary.get(name).map(seconds);
        assert_eq!(span.is_some(), said.is_some(), "{name} in {dictionary:?}");
        assert!(span <= said, "{name} in {dictionary:?} is {span:?}");
    }
}

fn item(entry: &ListEntry) -> Option<&BareItem> {
    match entry {
        ListEntry::Item(item) => Some(&item.bare_item),
        ListEntry::InnerList(_) => None,
    }
}

/// What is no whole number of seconds is none at all, which is never the same as unsaid.
fn seconds(entry: &ListEntry) -> Duration {
    let number = item(entry).and_then(BareItem::as_integer);
    let number = number.map_or(0, i64::from).clamp(0, MOST_SECONDS);
    Duration::from_secs(u64::try_from(number).unwrap_or_default())
}

/// RFC 9213 §2.2: where it applies, `Cache-Control` and `Expires` say nothing.
fn replaces_the_others(setting: &Setting, headers: &HeaderMap) {
    let mut alone = headers.clone();
    alone.remove(CACHE_CONTROL);
    alone.remove(EXPIRES);
    is_the_same(setting, headers, &alone);
}

fn is_as_if_absent(setting: &Setting, headers: &HeaderMap) {
    let mut without = headers.clone();
    without.remove(CDN_CACHE_CONTROL);
    is_the_same(setting, headers, &without);
}

#[track_caller]
fn is_the_same(setting: &Setting, headers: &HeaderMap, other: &HeaderMap) {
    let setting = Setting {
        rules: setting.rules.clone().targets([CDN_CACHE_CONTROL]),
        ..*setting
    };
    let (reach, same) = (Reach::of(&setting, headers), Reach::of(&setting, other));
    assert_eq!(reach, same, "{headers:?} and {other:?}");
}
