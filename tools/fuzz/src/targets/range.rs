//! Ranges cut from a stored response: inside it, bounded, and what was asked for.

mod asked;

use self::asked::Asked;
use crate::input::{self, Knobs, field, sections};
use http::header::{DATE, ETAG, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue};
use pitlane_policy::date;
use pitlane_policy::range::{Part, Selection, content_range, select, unsatisfied};
use std::time::Duration;

const MOST_PARTS: usize = 16;

/// A length, then `Range` lines, `If-Range` lines and the stored fields, empty lines between.
pub(crate) fn run(bytes: &[u8]) {
    let mut knobs = Knobs::new(bytes);
    let length = length(knobs.byte(), knobs.number());
    let [ranges, conditions, stored] = sections(knobs.text());
    let (ranges, conditions) = (input::values(ranges), input::values(conditions));
    let stored = input::fields(stored);
    let plain = field(&RANGE, &ranges);
    let selected = select(&plain, &stored, length);
    is_sound(&selected, length);
    is_what_was_asked(&selected, &ranges, length);
    let mut conditional = plain.clone();
    for value in &conditions {
        conditional.append(IF_RANGE, value.clone());
    }
    condition_only_widens(&selected, &conditional, &stored, length);
    is_written_as_it_is(&selected, length);
}

/// Mostly near the numbers that people write.
fn length(scale: u8, number: u64) -> u64 {
    match scale % 4 {
        0 => number % 8,
        1 => number % 1_000,
        2 => number % (1 << 40),
        _ => number,
    }
}

fn is_sound(selected: &Selection, length: u64) {
    let Selection::Parts(parts) = selected else {
        return;
    };
    assert!((1..=MOST_PARTS).contains(&parts.len()), "{parts:?}");
    let mut sum = 0;
    for part in parts {
        assert!(
            part.first <= part.last && part.last < length,
            "{part:?} of {length}"
        );
        assert_eq!(part.len(), part.last - part.first + 1);
        sum += u128::from(part.len());
    }
    assert!(sum <= u128::from(length), "{parts:?} of {length}");
    let mut sorted: Vec<_> = parts.iter().map(|part| (part.first, part.last)).collect();
    sorted.sort_unstable();
    for pair in sorted.windows(2) {
        assert!(pair[0].1 + 1 < pair[1].0, "{parts:?} touch");
    }
}

fn is_what_was_asked(selected: &Selection, lines: &[HeaderValue], length: u64) {
    let asked = Asked::of(lines, length);
    match (selected, &asked) {
        (Selection::Whole, Asked::Nothing) => {}
        (Selection::Unsatisfiable, Asked::Ranges(ranges)) => {
            assert!(ranges.is_empty(), "{lines:?}")
        }
        (Selection::Parts(parts), Asked::Ranges(ranges)) => {
            let got: Vec<_> = parts.iter().map(|part| (part.first, part.last)).collect();
            assert_eq!(
                asked::union(&got),
                asked::union(ranges),
                "{lines:?} of {length}"
            );
            let place = |part: &(u64, u64)| {
                ranges
                    .iter()
                    .position(|one| part.0 <= one.0 && one.1 <= part.1)
            };
            let places: Vec<_> = got.iter().map(place).collect();
            assert!(
                places.is_sorted(),
                "{lines:?} became {parts:?}: another order"
            );
            assert!(
                !is_excessive(lines, ranges, length),
                "{lines:?} of {length}"
            );
        }
        // Only what would cost more than it saves may be refused.
        (Selection::Whole, Asked::Ranges(ranges)) => {
            assert!(is_excessive(lines, ranges, length), "{lines:?} of {length}");
        }
        _ => panic!("{lines:?} of {length}: {selected:?} where {asked:?} was asked"),
    }
}

fn is_excessive(lines: &[HeaderValue], ranges: &[(u64, u64)], length: u64) -> bool {
    let sum: u128 = ranges
        .iter()
        .map(|(first, last)| u128::from(last - first) + 1)
        .sum();
    asked::members(lines) > MOST_PARTS || sum > u128::from(length)
}

/// `If-Range` never makes parts of a whole, and lets parts be only where nothing has changed.
fn condition_only_widens(
    selected: &Selection,
    request: &HeaderMap,
    stored: &HeaderMap,
    length: u64,
) {
    let under = select(request, stored, length);
    if under == *selected {
        if *selected != Selection::Whole && request.contains_key(IF_RANGE) {
            assert!(is_unchanged(request, stored), "{request:?} of {stored:?}");
        }
        return;
    }
    assert_eq!(under, Selection::Whole, "{request:?} of {stored:?}");
    assert!(
        !same_strong_tag(request, stored),
        "{request:?} of {stored:?}"
    );
}

fn is_unchanged(request: &HeaderMap, stored: &HeaderMap) -> bool {
    same_strong_tag(request, stored) || same_strong_date(request, stored)
}

fn same_strong_tag(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let (Some(asked), Some(tag)) = (only(request, &IF_RANGE), only(stored, &ETAG)) else {
        return false;
    };
    let inside = asked
        .strip_prefix(b"\"")
        .and_then(|tag| tag.strip_suffix(b"\""));
    asked == tag && inside.is_some_and(|inside| !inside.contains(&b'"'))
}

/// RFC 9110 §8.8.2.2: a date is strong where it is at least a second before the response's own.
fn same_strong_date(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let date = |headers: &HeaderMap, name| headers.get(name).and_then(date::parse);
    let (Some(asked), Some(changed), Some(sent)) = (
        date(request, IF_RANGE),
        date(stored, LAST_MODIFIED),
        date(stored, DATE),
    ) else {
        return false;
    };
    asked == changed && changed + Duration::from_secs(1) <= sent
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next().filter(|_| lines.next().is_none())?;
    Some(line.as_bytes().trim_ascii())
}

fn is_written_as_it_is(selected: &Selection, length: u64) {
    assert_eq!(unsatisfied(length), format!("bytes */{length}").as_str());
    let Selection::Parts(parts) = selected else {
        return;
    };
    for part in parts {
        let Part { first, last, .. } = *part;
        let written = format!("bytes {first}-{last}/{length}");
        assert_eq!(content_range(*part, length), written.as_str());
    }
}
