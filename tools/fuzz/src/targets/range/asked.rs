//! `Range` read a second time (RFC 9110 §14.1, §14.2).

use http::HeaderValue;

/// What a request asks of a representation of one length.
#[derive(Debug)]
pub(super) enum Asked {
    /// There is no `Range` that means anything.
    Nothing,
    /// First and last byte of each range that can be satisfied, in the order of the request.
    Ranges(Vec<(u64, u64)>),
}

impl Asked {
    pub(super) fn of(lines: &[HeaderValue], length: u64) -> Self {
        let [line] = lines else {
            return Self::Nothing;
        };
        let ranges: Option<Vec<_>> = specs(line)
            .map(|specs| specs.iter().map(|spec| Spec::read(spec)).collect())
            .unwrap_or_default();
        match ranges {
            Some(ranges) if !ranges.is_empty() => {
                Self::Ranges(ranges.iter().filter_map(|one| one.within(length)).collect())
            }
            _ => Self::Nothing,
        }
    }
}

/// How many ranges there are, satisfiable or not.
pub(super) fn members(lines: &[HeaderValue]) -> usize {
    lines.first().and_then(specs).map_or(0, |specs| specs.len())
}

/// The bytes that are covered, as few ranges as can be.
pub(super) fn union(ranges: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut union: Vec<(u64, u64)> = Vec::new();
    for (first, last) in sorted {
        match union.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => union.push((first, last)),
        }
    }
    union
}

/// The members of a set of byte ranges, empty ones left out; None for another unit.
fn specs(line: &HeaderValue) -> Option<Vec<String>> {
    let text: String = line.as_bytes().iter().copied().map(char::from).collect();
    let (unit, set) = text.trim_matches([' ', '\t']).split_once('=')?;
    let specs = set
        .split(',')
        .map(|spec| spec.trim_matches([' ', '\t']).to_owned());
    let specs = specs.filter(|spec| !spec.is_empty());
    unit.eq_ignore_ascii_case("bytes").then(|| specs.collect())
}

enum Spec {
    From(u64, u64),
    Last(u64),
}

impl Spec {
    fn read(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        match (first, last) {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From(number(first)?, u64::MAX)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From(first, last))
            }
        }
    }

    fn within(&self, length: u64) -> Option<(u64, u64)> {
        let end = length.checked_sub(1)?;
        match *self {
            Self::From(first, last) => (first <= end).then_some((first, last.min(end))),
            Self::Last(count) => (count > 0).then(|| (length.saturating_sub(count), end)),
        }
    }
}

/// Too large for the type is as large as can be: no representation is longer.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}
