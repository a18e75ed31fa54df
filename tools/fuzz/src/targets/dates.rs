//! HTTP dates: what is read is what that instant looks like when it is written.

use crate::input::{self, Knobs, received, value};
use http::HeaderValue;
use pitlane_policy::date;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The first second of the year 10000, which no HTTP date can name.
const END: u64 = 253_402_300_800;
/// The years that RFC 850 dates can name here.
const END_OF_TWO_DIGITS: u64 = 4_102_444_800;
const FIFTY_YEARS: Duration = Duration::from_secs(50 * 31_557_600);

/// A number, then a date.
pub(crate) fn run(bytes: &[u8]) {
    let mut knobs = Knobs::new(bytes);
    let instant = UNIX_EPOCH + Duration::from_secs(knobs.number() % END);
    every_format_is_read_back(instant);
    for line in input::values(knobs.text()) {
        only_what_is_written_so_is_read(&line);
        agrees_with_httpdate(&line);
        letter_case_is_nothing(&line);
        a_two_digit_year_ends_in_fifty_years(&line, instant);
    }
}

fn every_format_is_read_back(instant: SystemTime) {
    let written = Written::of(instant);
    for text in [&written.imf, &written.asctime, &written.padded] {
        assert_eq!(
            date::parse(&value(text.as_bytes())),
            Some(instant),
            "{text}"
        );
    }
    if written.has_two_digits {
        let text = &written.rfc850;
        assert_eq!(
            date::parse(&value(text.as_bytes())),
            Some(instant),
            "{text}"
        );
    }
    // A leap second is the end of the second before it, since a cache rounds down.
    let leap = written.imf.replacen(":59 GMT", ":60 GMT", 1);
    assert_eq!(
        date::parse(&value(leap.as_bytes())),
        Some(instant),
        "{leap}"
    );
}

/// RFC 9111 §4.2.
fn letter_case_is_nothing(line: &HeaderValue) {
    let upper = value(&line.as_bytes().to_ascii_uppercase());
    let lower = value(&line.as_bytes().to_ascii_lowercase());
    let [read, upper, lower] = [line, &upper, &lower].map(date::parse);
    assert_eq!((upper, lower), (read, read), "{line:?} in other letters");
}

/// An instant in each of the formats of RFC 9110 §5.6.7.
struct Written {
    imf: String,
    asctime: String,
    /// As `asctime`, with a zero where C's `asctime` puts a space. We read both.
    padded: String,
    rfc850: String,
    has_two_digits: bool,
}

impl Written {
    /// Cut out of what `httpdate` writes.
    fn of(instant: SystemTime) -> Self {
        let imf = httpdate::fmt_http_date(instant);
        let (weekday, day, month) = (&imf[..3], &imf[5..7], &imf[8..11]);
        let (year, time) = (&imf[12..16], &imf[17..25]);
        let blank = day.replacen('0', " ", usize::from(day.starts_with('0')));
        let long = long_name(weekday);
        let seconds = instant.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            asctime: format!("{weekday} {month} {blank} {time} {year}"),
            padded: format!("{weekday} {month} {day} {time} {year}"),
            rfc850: format!("{long}, {day}-{month}-{} {time} GMT", &year[2..]),
            has_two_digits: seconds.as_secs() < END_OF_TWO_DIGITS,
            imf,
        }
    }

    fn has(&self, text: &str) -> bool {
        [&self.imf, &self.asctime, &self.padded]
            .into_iter()
            .any(|one| text == one)
            || (self.has_two_digits && text == self.rfc850)
    }
}

fn long_name(weekday: &str) -> &'static str {
    match weekday {
        "Mon" => "Monday",
        "Tue" => "Tuesday",
        "Wed" => "Wednesday",
        "Thu" => "Thursday",
        "Fri" => "Friday",
        "Sat" => "Saturday",
        _ => "Sunday",
    }
}

/// Letter case aside (RFC 9111 §4.2), and a leap second being the second before it.
fn only_what_is_written_so_is_read(line: &HeaderValue) {
    let Some(instant) = date::parse(line) else {
        return;
    };
    let text = text(line).to_ascii_lowercase();
    let written = Written::of(instant);
    let lower = Written {
        imf: written.imf.to_ascii_lowercase(),
        asctime: written.asctime.to_ascii_lowercase(),
        padded: written.padded.to_ascii_lowercase(),
        rfc850: written.rfc850.to_ascii_lowercase(),
        has_two_digits: written.has_two_digits,
    };
    let holds = lower.has(&text) || lower.has(&text.replacen(":60", ":59", 1));
    assert!(holds, "{line:?} was read as {}", written.imf);
}

/// Each difference has one of the reasons that the policy's `date` module names.
fn agrees_with_httpdate(line: &HeaderValue) {
    let ours = date::parse(line);
    let text = text(line);
    let theirs = httpdate::parse_http_date(&text).ok();
    if ours == theirs {
        return;
    }
    // They trim all white space, know letters in the usual case only and no leap second, and put
    // two digits of a year between 1970 and 2069 where we let the weekday tell.
    let theirs_alone = text.trim() != text || has_odd_separator(&text);
    let ours_alone = ours.is_some_and(|instant| !Written::of(instant).has(&text));
    let two_digits = text.contains('-');
    let explained = match (ours, theirs) {
        (None, Some(_)) => theirs_alone,
        (Some(_), None) => ours_alone || two_digits,
        _ => two_digits,
    };
    assert!(explained, "{line:?}: we read {ours:?}, httpdate {theirs:?}");
}

/// `httpdate` skips one byte between year and hour of an RFC 850 date, whatever it is.
fn has_odd_separator(text: &str) -> bool {
    let end = text.rsplit_once('-').map(|(_, end)| end.as_bytes());
    end.is_some_and(|end| end.get(2) != Some(&b' '))
}

fn a_two_digit_year_ends_in_fifty_years(line: &HeaderValue, now: SystemTime) {
    let (any, at) = (date::parse(line), date::parse_at(line, now));
    if any != at {
        assert_eq!(at, None, "{line:?}");
        let limit = now.checked_add(FIFTY_YEARS).expect("before the year 10050");
        assert!(any.is_some_and(|any| any > limit), "{line:?}");
        assert!(text(line).contains('-'), "{line:?} has four digits");
    }
    // The clock of whoever asks changes nothing else.
    if let Some(instant) = date::parse_at(line, received()) {
        assert_eq!(any, Some(instant), "{line:?}");
    }
}

/// Without the white space that may surround any field value.
fn text(line: &HeaderValue) -> String {
    let text: String = line.as_bytes().iter().copied().map(char::from).collect();
    text.trim_matches([' ', '\t']).to_owned()
}
