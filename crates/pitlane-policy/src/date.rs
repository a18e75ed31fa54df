//! HTTP dates (RFC 9110 §5.6.7, with the leniency in letter case of RFC 9111 §4.2).
//!
//! `httpdate` knows the calendar but accepts any byte between year and hour of an RFC 850 date,
//! puts two-digit years at a fixed pivot and insists on letter case. So the shape is checked here,
//! and it only ever sees the one canonical format.

use crate::syntax;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::{Duration, SystemTime};

/// Fifty years of 365.25 days.
const FIFTY_YEARS: Duration = Duration::from_secs(50 * 31_557_600);

/// Reads a date in any of the three formats; None if it is none of them or no such day exists.
///
/// The weekday has to be right. That also tells the century of a two-digit year (RFC 850 dates
/// only), since no day of the same number a century later has the same name.
#[must_use]
pub fn parse(value: &HeaderValue) -> Option<SystemTime> {
    let text = syntax::trim(value.as_bytes());
    imf_fixdate(text)
        .or_else(|| asctime(text))
        .or_else(|| rfc850(text))
}

/// Writes a time as the `Date` and `Last-Modified` fields have it (IMF-fixdate, RFC 9110 §5.6.7),
/// in whole seconds. Times before 1970 and after the year 9999 have no such form, and count as the
/// nearest that has.
#[must_use]
pub fn format(time: SystemTime) -> HeaderValue {
    let first = SystemTime::UNIX_EPOCH;
    let last = first + Duration::from_secs(253_402_300_799);
    let text = httpdate::fmt_http_date(time.clamp(first, last));
    HeaderValue::from_str(&text)
        .unwrap_or(HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

/// Like [`parse`], but a two-digit year more than fifty years after `now` is invalid.
///
/// RFC 9110 §5.6.7 wants it read as the past. For what a cache asks of a date (has it expired?)
/// the two come to the same.
#[must_use]
pub fn parse_at(value: &HeaderValue, now: SystemTime) -> Option<SystemTime> {
    let text = syntax::trim(value.as_bytes());
    let two_digits = || {
        rfc850(text).filter(|&date| {
            now.checked_add(FIFTY_YEARS)
                .is_none_or(|limit| date <= limit)
        })
    };
    imf_fixdate(text)
        .or_else(|| asctime(text))
        .or_else(two_digits)
}

/// A field that holds exactly one date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Absent,
    /// No date, or several lines: a date is no list.
    Invalid,
    Time(SystemTime),
}

impl Field {
    pub(crate) fn time(self) -> Option<SystemTime> {
        match self {
            Self::Time(time) => Some(time),
            Self::Absent | Self::Invalid => None,
        }
    }
}

pub(crate) fn field(headers: &HeaderMap, name: &HeaderName, now: SystemTime) -> Field {
    let mut lines = headers.get_all(name).into_iter();
    match (lines.next(), lines.next()) {
        (None, _) => Field::Absent,
        (Some(line), None) => parse_at(line, now).map_or(Field::Invalid, Field::Time),
        (Some(_), Some(_)) => Field::Invalid,
    }
}

/// The date of a field that stands on exactly one line.
pub(crate) fn single(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    syntax::single(headers, name).and_then(parse)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &[u8]) -> Option<SystemTime> {
    #[rustfmt::skip]
    let &[w0, w1, w2, b',', b' ', d0, d1, b' ', m0, m1, m2, b' ', y0, y1, y2, y3, b' ',
        h0, h1, b':', i0, i1, b':', s0, s1, b' ', z0, z1, z2] = text else { return None };
    is_gmt([z0, z1, z2]).then_some(())?;
    canonical(
        [w0, w1, w2],
        [d0, d1],
        [m0, m1, m2],
        [y0, y1, y2, y3],
        [h0, h1, i0, i1, s0, s1],
    )
}

/// `Sun Nov  6 08:49:37 1994`, which is in GMT without saying so.
fn asctime(text: &[u8]) -> Option<SystemTime> {
    #[rustfmt::skip]
    let &[w0, w1, w2, b' ', m0, m1, m2, b' ', d0, d1, b' ',
        h0, h1, b':', i0, i1, b':', s0, s1, b' ', y0, y1, y2, y3] = text else { return None };
    let d0 = if d0 == b' ' { b'0' } else { d0 };
    canonical(
        [w0, w1, w2],
        [d0, d1],
        [m0, m1, m2],
        [y0, y1, y2, y3],
        [h0, h1, i0, i1, s0, s1],
    )
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &[u8]) -> Option<SystemTime> {
    let (weekday, rest) = syntax::split_before(text, |byte| byte == b',');
    #[rustfmt::skip]
    let &[b',', b' ', d0, d1, b'-', m0, m1, m2, b'-', y2, y3, b' ',
        h0, h1, b':', i0, i1, b':', s0, s1, b' ', z0, z1, z2] = rest else { return None };
    let weekday = abbreviated(weekday)?;
    is_gmt([z0, z1, z2]).then_some(())?;
    [b"19", b"20"].into_iter().find_map(|&[y0, y1]| {
        canonical(
            weekday,
            [d0, d1],
            [m0, m1, m2],
            [y0, y1, y2, y3],
            [h0, h1, i0, i1, s0, s1],
        )
    })
}

/// Only GMT counts: any other zone makes the date invalid (RFC 9111 §4.2).
fn is_gmt(zone: [u8; 3]) -> bool {
    zone.eq_ignore_ascii_case(b"GMT")
}

fn abbreviated(weekday: &[u8]) -> Option<[u8; 3]> {
    let names: [&[u8]; 7] = [
        b"Monday",
        b"Tuesday",
        b"Wednesday",
        b"Thursday",
        b"Friday",
        b"Saturday",
        b"Sunday",
    ];
    let name = names
        .into_iter()
        .find(|name| name.eq_ignore_ascii_case(weekday))?;
    name.first_chunk().copied()
}

/// Lets `httpdate` check numbers, names and calendar.
fn canonical(
    weekday: [u8; 3],
    day: [u8; 2],
    month: [u8; 3],
    year: [u8; 4],
    time: [u8; 6],
) -> Option<SystemTime> {
    let [[w0, w1, w2], [m0, m1, m2]] = [capitalised(weekday), capitalised(month)];
    let ([d0, d1], [y0, y1, y2, y3], [h0, h1, i0, i1, s0, s1]) = (day, year, time);
    // A leap second is the end of the second before it: a cache rounds down (RFC 9111 §4.2).
    let [s0, s1] = if [s0, s1] == *b"60" { *b"59" } else { [s0, s1] };
    #[rustfmt::skip]
    let date = [
        w0, w1, w2, b',', b' ', d0, d1, b' ', m0, m1, m2, b' ', y0, y1, y2, y3, b' ',
        h0, h1, b':', i0, i1, b':', s0, s1, b' ', b'G', b'M', b'T',
    ];
    httpdate::parse_http_date(std::str::from_utf8(&date).ok()?).ok()
}

fn capitalised([first, second, third]: [u8; 3]) -> [u8; 3] {
    [
        first.to_ascii_uppercase(),
        second.to_ascii_lowercase(),
        third.to_ascii_lowercase(),
    ]
}
