//! Parts of a complete stored response (RFC 9110 §14).
//!
//! # Example
//!
//! ```
//! use http::{HeaderMap, HeaderValue, header::RANGE};
//! use pitlane_policy::range::{self, Part, Selection};
//!
//! let mut request = HeaderMap::new();
//! request.insert(RANGE, HeaderValue::from_static("bytes=-4"));
//!
//! let part = Part { first: 6, last: 9 };
//! let selection = range::select(&request, &HeaderMap::new(), 10);
//! assert_eq!(selection, Selection::Parts(vec![part]));
//! assert_eq!(range::content_range(part, 10), "bytes 6-9/10");
//! ```

use crate::entity_tag::EntityTag;
use crate::{date, syntax};
use http::header::{DATE, ETAG, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderValue};
use std::time::Duration;

/// Nobody who resumes a download or reads an index asks for more parts than this at once.
const MOST_PARTS: usize = 16;

/// What a GET asks of a complete stored 200.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// All of it: the request names no part, or none that has to be heeded.
    Whole,
    /// These parts, at least one, none touching another: answer 206.
    Parts(Vec<Part>),
    /// Only parts that aren't there: answer 416.
    Unsatisfiable,
}

/// Bytes that follow one another, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The first byte, counted from zero.
    pub first: u64,
    /// The last byte, which belongs to the part; not below `first`.
    pub last: u64,
}

impl Part {
    /// The number of bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a part is never empty")]
    pub const fn len(self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// Whether the two overlap, or one begins where the other ends.
    const fn touches(self, other: Self) -> bool {
        self.first <= other.last.saturating_add(1) && other.first <= self.last.saturating_add(1)
    }

    fn union(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }
}

/// The parts that a GET asks for of a stored body of `length` bytes.
///
/// A range in another unit than bytes, one that breaks the grammar, one that stands on several
/// lines and one whose `If-Range` doesn't hold are all ignored (RFC 9110 §14.2, §13.1.5). So are
/// more than 16 parts, and parts that come to more than the whole: such requests are broken
/// clients or attempts to make a server send much for little, and the whole costs the least
/// (§14.2, §17.15). Parts that overlap or touch are joined; otherwise they keep the order in
/// which they were asked for (§15.3.7.2).
#[must_use]
pub fn select(request: &HeaderMap, stored: &HeaderMap, length: u64) -> Selection {
    let Some(set) = byte_ranges(request) else {
        return Selection::Whole;
    };
    if !if_range_holds(request, stored) {
        return Selection::Whole;
    }
    match parts(set, length) {
        None => Selection::Whole,
        Some(parts) if parts.is_empty() => Selection::Unsatisfiable,
        Some(parts) => Selection::Parts(parts),
    }
}

/// `Content-Range` of a part of a body of `length` bytes.
#[must_use]
pub fn content_range(part: Part, length: u64) -> HeaderValue {
    field_value(&format!("bytes {}-{}/{length}", part.first, part.last))
}

/// `Content-Range` of a 416 for a body of `length` bytes.
#[must_use]
pub fn unsatisfied(length: u64) -> HeaderValue {
    field_value(&format!("bytes */{length}"))
}

/// Digits and punctuation are a field value always, so the other branch is never taken.
fn field_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("bytes */*"))
}

/// What stands behind `bytes=` on the only `Range` line.
fn byte_ranges(request: &HeaderMap) -> Option<&[u8]> {
    let line = syntax::trim(syntax::single_line(request, &RANGE)?);
    let (unit, set) = syntax::split_before(line, |byte| byte == b'=');
    // Range units are case-insensitive (§14.1).
    let is_bytes = unit.eq_ignore_ascii_case(b"bytes");
    set.strip_prefix(b"=").filter(|_| is_bytes)
}

/// A weak tag never matches, and a date only where it was strong: set at least a second before
/// the response was made (§13.1.5, §8.8.2.2).
fn if_range_holds(request: &HeaderMap, stored: &HeaderMap) -> bool {
    if !request.contains_key(IF_RANGE) {
        return true;
    }
    let Some(wanted) = syntax::single_line(request, &IF_RANGE) else {
        return false;
    };
    if let Some(wanted) = EntityTag::parse(wanted) {
        let tag = syntax::single_line(stored, &ETAG).and_then(EntityTag::parse);
        return tag.is_some_and(|tag| tag.matches_strongly(wanted));
    }
    let changed = syntax::single_line(stored, &LAST_MODIFIED);
    changed.is_some_and(|changed| syntax::trim(changed) == syntax::trim(wanted))
        && is_strong_date(stored).unwrap_or(false)
}

fn is_strong_date(stored: &HeaderMap) -> Option<bool> {
    let changed = date::single(stored, &LAST_MODIFIED)?;
    let made = date::single(stored, &DATE)?;
    let unchanged_for = made.duration_since(changed).ok()?;
    Some(unchanged_for >= Duration::from_secs(1))
}

/// The parts that exist; None for a set that is to be ignored.
fn parts(set: &[u8], length: u64) -> Option<Vec<Part>> {
    let specs = set.split(|&byte| byte == b',').map(syntax::trim);
    let mut parts = Vec::new();
    let (mut count, mut asked) = (0_usize, 0_u64);
    // Empty list members are skipped (§5.6.1.2).
    for spec in specs.filter(|spec| !spec.is_empty()) {
        count += 1;
        let part = Spec::parse(spec)?.within(length);
        asked = asked.checked_add(part.map_or(0, Part::len))?;
        if count > MOST_PARTS || asked > length {
            return None;
        }
        if let Some(part) = part {
            add(&mut parts, part);
        }
    }
    (count > 0).then_some(parts)
}

/// Puts a part in its place, joined with all that it touches.
fn add(parts: &mut Vec<Part>, part: Part) {
    let at = parts.iter().position(|there| there.touches(part));
    let mut joined = part;
    parts.retain(|&there| {
        let touches = there.touches(part);
        if touches {
            joined = joined.union(there);
        }
        !touches
    });
    parts.insert(at.unwrap_or(parts.len()), joined);
}

/// What a member of the set says (§14.1.2).
#[derive(Clone, Copy)]
enum Spec {
    FirstToLast(u64, u64),
    Suffix(u64),
}

impl Spec {
    fn parse(text: &[u8]) -> Option<Self> {
        let (first, last) = syntax::split_before(text, |byte| byte == b'-');
        let last = last.strip_prefix(b"-")?;
        if first.is_empty() {
            return syntax::number(last).map(Self::Suffix);
        }
        let first = syntax::number(first)?;
        let last = match last {
            [] => u64::MAX,
            digits => syntax::number(digits)?,
        };
        (first <= last).then_some(Self::FirstToLast(first, last))
    }

    /// As much of it as a body of this length has.
    fn within(self, length: u64) -> Option<Part> {
        let end = length.checked_sub(1)?;
        let (first, last) = match self {
            Self::FirstToLast(first, last) => (first, last.min(end)),
            Self::Suffix(count) => (length.saturating_sub(count), end),
        };
        (first <= last).then_some(Part { first, last })
    }
}
