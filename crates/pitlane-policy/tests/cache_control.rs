use crate::{headers, seconds};
use pitlane_policy::ResponseDirectives;
use std::time::Duration;

#[track_caller]
fn read(lines: &str) -> ResponseDirectives {
    ResponseDirectives::from_headers(&headers(lines))
}

/// What is seen of the directives that a row cares about: `max-age` and `s-maxage`.
#[track_caller]
fn check_seconds(section: &str, line: &str, max_age: Option<u64>, s_maxage: Option<u64>) {
    let directives = read(line);
    let expected = (max_age.map(seconds), s_maxage.map(seconds));
    assert_eq!(
        (directives.max_age, directives.s_maxage),
        expected,
        "{section}: {line}"
    );
}

#[test]
fn spans_are_read_in_every_form_that_the_grammar_allows() {
    for (section, line, max_age, s_maxage) in [
        ("5.2.2.1", "cache-control: max-age=60", Some(60), None),
        (
            "5.2.2.10",
            "cache-control: s-maxage=60, max-age=5",
            Some(5),
            Some(60),
        ),
        ("5.2", "cache-control: MAX-AGE=60", Some(60), None),
        ("5.2", "cache-control: max-age=\"60\"", Some(60), None),
        ("1.2.2", "cache-control: max-age=0060", Some(60), None),
        (
            "9110 5.3",
            "cache-control: public\ncache-control: max-age=60",
            Some(60),
            None,
        ),
        (
            "9110 5.6.1",
            "cache-control: ,, max-age=60 ,",
            Some(60),
            None,
        ),
        (
            "1.2.2",
            "cache-control: max-age=2147483648",
            Some(1 << 31),
            None,
        ),
        (
            "1.2.2",
            "cache-control: max-age=99999999999999999999999",
            Some(1 << 31),
            None,
        ),
        (
            "5.2.3",
            "cache-control: surprise, max-age=60, x=\"y, z\"",
            Some(60),
            None,
        ),
    ] {
        check_seconds(section, line, max_age, s_maxage);
    }
}

#[test]
fn spans_inside_quotes_are_none() {
    check_seconds("9110 5.6.4", "cache-control: x=\"max-age=60\"", None, None);
    check_seconds(
        "9110 5.6.4",
        "cache-control: x=\"a, max-age=60, b\"",
        None,
        None,
    );
    check_seconds(
        "9110 5.6.4",
        "cache-control: x=\"\\\", max-age=60\"",
        None,
        None,
    );
}

#[test]
fn a_span_that_is_no_number_is_zero_and_not_absent() {
    for argument in [
        "", "=", "=-1", "=+1", "=1.5", "=a60", "=60a", "='60'", "=\"\"", "=\"60", " = 60", "= 60",
        "=0",
    ] {
        check_seconds(
            "4.2.1",
            &format!("cache-control: max-age{argument}"),
            Some(0),
            None,
        );
        check_seconds(
            "4.2.1",
            &format!("cache-control: s-maxage{argument}"),
            None,
            Some(0),
        );
    }
}

#[test]
fn the_shortest_of_several_spans_counts() {
    check_seconds(
        "4.2.1",
        "cache-control: max-age=60, max-age=5",
        Some(5),
        None,
    );
    check_seconds(
        "4.2.1",
        "cache-control: max-age=5\ncache-control: max-age=60",
        Some(5),
        None,
    );
    check_seconds(
        "4.2.1",
        "cache-control: max-age=x, max-age=60",
        Some(0),
        None,
    );
    check_seconds(
        "4.2.1",
        "cache-control: s-maxage=9, s-maxage=8",
        None,
        Some(8),
    );
}

#[test]
fn what_forbids_holds_in_any_form() {
    for form in [
        "private",
        "PRIVATE",
        "private=\"x\"",
        "private=x",
        "private=",
        "private=\"x",
        "private; a",
        "\"private\"",
    ] {
        assert!(read(&format!("cache-control: {form}")).private, "{form}");
        let quoted = form
            .replace("private", "no-cache")
            .replace("PRIVATE", "No-Cache");
        assert!(
            read(&format!("cache-control: {quoted}")).no_cache,
            "{quoted}"
        );
        let stored = form
            .replace("private", "no-store")
            .replace("PRIVATE", "NO-store");
        assert!(
            read(&format!("cache-control: {stored}")).no_store,
            "{stored}"
        );
    }
}

#[test]
fn what_permits_must_be_well_formed() {
    for form in [
        "public=x",
        "public; a",
        "public=\"\"",
        "\"public\"",
        "x=\"a, public",
    ] {
        let directives = read(&format!("cache-control: {form}"));
        assert!(
            !directives.public && !directives.permits_authorized(),
            "{form}"
        );
    }
    assert!(!read("cache-control: must-revalidate=x").permits_authorized());
    assert!(!read("cache-control: s-maxage=x").permits_authorized());
    assert!(!read("cache-control: must-understand=x").overrides_no_store());
}

#[test]
fn what_both_permits_and_forbids_still_forbids_when_malformed() {
    assert!(read("cache-control: must-understand=x").must_understand);
    assert!(read("cache-control: must-revalidate=x").must_revalidate);
    assert!(read("cache-control: s-maxage=x").forbids_stale());
}

#[test]
fn every_flag_is_read() {
    let all = read(
        "cache-control: no-store, private, no-cache, must-revalidate, proxy-revalidate\n\
         cache-control: public, immutable, must-understand, no-transform\n\
         cache-control: stale-while-revalidate=1, stale-if-error=2",
    );
    assert!(
        all.no_store && all.private && all.no_cache && all.must_revalidate && all.proxy_revalidate
    );
    assert!(all.public && all.immutable && all.must_understand && all.no_transform);
    assert_eq!(all.stale_while_revalidate, Some(seconds(1)));
    assert_eq!(all.stale_if_error, Some(seconds(2)));
}

#[test]
fn a_stale_window_that_is_no_number_is_zero() {
    let directives =
        read("cache-control: stale-while-revalidate=x, stale-if-error=1, stale-if-error");
    assert_eq!(directives.stale_while_revalidate, Some(Duration::ZERO));
    assert_eq!(directives.stale_if_error, Some(Duration::ZERO));
}

#[test]
fn only_a_response_without_the_field_is_empty() {
    assert!(read("vary: a").is_empty());
    assert!(!read("cache-control:").is_empty());
    assert!(!read("cache-control: surprise").is_empty());
}

#[test]
fn stale_use_is_forbidden_by_four_directives() {
    for directive in [
        "must-revalidate",
        "proxy-revalidate",
        "s-maxage=1",
        "no-cache",
    ] {
        assert!(
            read(&format!("cache-control: max-age=1, {directive}")).forbids_stale(),
            "{directive}"
        );
    }
    assert!(!read("cache-control: max-age=1, public, immutable").forbids_stale());
}
