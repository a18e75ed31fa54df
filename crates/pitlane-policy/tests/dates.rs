use crate::{received, seconds};
use http::HeaderValue;
use pitlane_policy::date;
use std::time::SystemTime;

/// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110 §5.6.7.
const EXAMPLE: u64 = 784_111_777;

#[track_caller]
fn check(text: &str, expected: Option<u64>) {
    let value = HeaderValue::from_bytes(text.as_bytes()).expect("a field value");
    let expected = expected.map(|since| SystemTime::UNIX_EPOCH + seconds(since));
    assert_eq!(date::parse(&value), expected, "parse {text:?}");
    assert_eq!(
        date::parse_at(&value, received()),
        expected,
        "parse_at {text:?}"
    );
}

#[test]
fn all_three_formats_are_read() {
    check("Sun, 06 Nov 1994 08:49:37 GMT", Some(EXAMPLE));
    check("Sunday, 06-Nov-94 08:49:37 GMT", Some(EXAMPLE));
    check("Sun Nov  6 08:49:37 1994", Some(EXAMPLE));
    check("Sun Nov 06 08:49:37 1994", Some(EXAMPLE));
    check("Thu, 01 Jan 1970 00:00:00 GMT", Some(0));
    check("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799));
    check("Thu, 29 Feb 2024 00:00:00 GMT", Some(1_709_164_800));
}

#[test]
fn letter_case_does_not_matter_to_a_cache() {
    // RFC 9111 §4.2 relaxes the grammar of RFC 9110.
    check("sun, 06 nov 1994 08:49:37 gmt", Some(EXAMPLE));
    check("SUNDAY, 06-NOV-94 08:49:37 GMT", Some(EXAMPLE));
    check("sUN nOV  6 08:49:37 1994", Some(EXAMPLE));
}

#[test]
fn a_leap_second_is_the_second_before_it() {
    check("Sat, 31 Dec 2016 23:59:60 GMT", Some(1_483_228_799));
    check("Sat, 31 Dec 2016 23:59:61 GMT", None);
}

#[test]
fn any_other_zone_is_invalid() {
    for zone in ["UTC", "EST", "CET", "AEST", "+0000", "Z", "", "GMT+1", "GM"] {
        check(&format!("Sun, 06 Nov 1994 08:49:37 {zone}"), None);
        check(&format!("Sunday, 06-Nov-94 08:49:37 {zone}"), None);
    }
    check("Sun Nov  6 08:49:37 1994 GMT", None);
}

#[test]
fn wrong_separators_and_widths_are_invalid() {
    for text in [
        "",
        "0",
        "784111777",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06 Nov 1994  08:49:37 GMT",
        "Sun,  06 Nov 1994 08:49:37 GMT",
        "Sun 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08.49.37 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sunday, 06 Nov 94 08:49:37 GMT",
        "Sunday, 06-Nov-94x08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "1994-11-06T08:49:37Z",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "\u{661}\u{661}, 06 Nov 1994 08:49:37 GMT",
    ] {
        check(text, None);
    }
}

#[test]
fn a_day_that_does_not_exist_is_invalid() {
    for text in [
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Wed, 31 Nov 1994 08:49:37 GMT",
        "Wed, 29 Feb 2023 00:00:00 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Foo, 06 Nov 1994 08:49:37 GMT",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        "Wed, 31 Dec 1969 23:59:59 GMT",
    ] {
        check(text, None);
    }
}

#[test]
fn two_digit_years_reach_no_further_than_fifty_years_ahead() {
    // Both days exist; received in January 2027, only the first is within fifty years.
    check("Friday, 15-Jan-27 08:00:00 GMT", Some(1_800_000_000));
    check("Wednesday, 01-Jan-76 00:00:00 GMT", Some(3_345_062_400));
    let late = HeaderValue::from_static("Thursday, 31-Dec-99 23:59:59 GMT");
    assert_eq!(date::parse_at(&late, received()), None);
    let past = HeaderValue::from_static("Friday, 31-Dec-99 23:59:59 GMT");
    assert_eq!(
        date::parse_at(&past, received()),
        Some(SystemTime::UNIX_EPOCH + seconds(946_684_799))
    );
    assert_eq!(
        date::parse_at(&late, received() + seconds(50 * 31_557_600)),
        date::parse(&late)
    );
}

#[test]
fn dates_are_written_in_the_preferred_format_within_its_years() {
    let first = SystemTime::UNIX_EPOCH;
    for (time, text) in [
        (first + seconds(EXAMPLE), "Sun, 06 Nov 1994 08:49:37 GMT"),
        (first, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (first - seconds(1), "Thu, 01 Jan 1970 00:00:00 GMT"),
        (
            first + seconds(253_402_300_799),
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ),
        (
            first + seconds(253_402_300_800),
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ),
    ] {
        assert_eq!(date::format(time), text, "RFC 9110 5.6.7");
    }
}
