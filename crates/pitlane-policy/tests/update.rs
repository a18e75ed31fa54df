use crate::headers;
use pitlane_policy::{hop, update};

#[track_caller]
fn check_freshened(section: &str, stored: &str, newer: &str, expected: &str) {
    let mut seen = headers(stored);
    update::freshen(&mut seen, &headers(newer));
    assert_eq!(
        lines(&seen),
        lines(&headers(expected)),
        "RFC 9111 {section}: {newer}"
    );
}

/// All lines in their order.
pub(crate) fn lines(headers: &http::HeaderMap) -> Vec<(String, Vec<u8>)> {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), value.as_bytes().to_vec())
    };
    headers.iter().map(line).collect()
}

#[test]
fn newer_fields_replace_all_stored_lines_of_their_name() {
    check_freshened("3.2", "a: 1\nb: 2\nc: 3", "b: 4", "a: 1\nb: 4\nc: 3");
    check_freshened("3.2", "a: 1\na: 2\nb: 3", "a: 4", "a: 4\nb: 3");
    check_freshened("3.2", "a: 1\nb: 3", "a: 4\na: 5", "a: 4\na: 5\nb: 3");
    check_freshened("3.2", "a: 1", "x: 9\na: 1", "a: 1\nx: 9");
    check_freshened("3.2", "a: 1\nb: 2", "", "a: 1\nb: 2");
    check_freshened("3.2", "a: \t1  2", "b: \u{e9}", "a: 1  2\nb: \u{e9}");
    check_freshened(
        "3.2",
        "cache-control: max-age=1\ndate: {0}\nexpires: {1}\ncontent-type: text/plain\netag: \"a\"\nset-cookie: a=b",
        "Cache-Control: max-age=60\nDate: {100}\nExpires: {160}\nContent-Type: text/html\nETag: W/\"a\"\nSet-Cookie: a=c",
        "cache-control: max-age=60\ndate: {100}\nexpires: {160}\ncontent-type: text/html\netag: W/\"a\"\nset-cookie: a=c",
    );
}

#[test]
fn what_describes_the_stored_body_stays() {
    for field in ["content-length", "content-encoding", "content-range"] {
        check_freshened(
            "3.2",
            &format!("{field}: 1\na: 1"),
            &format!("{field}: 2\na: 2"),
            &format!("{field}: 1\na: 2"),
        );
        check_freshened("3.2", "a: 1", &format!("{field}: 2"), "a: 1");
    }
}

#[test]
fn fields_of_one_hop_are_not_taken_over() {
    let hop = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    for field in hop {
        check_freshened("3.1", "a: 1", &format!("{field}: x\na: 2"), "a: 2");
    }
    check_freshened(
        "3.1",
        "a: 1\nx-link: old",
        "connection: close, X-Link\nconnection: x-more\nx-link: new\nx-more: 1\na: 2",
        "a: 2\nx-link: old",
    );
}

#[test]
fn an_age_is_neither_kept_nor_taken_over() {
    check_freshened(
        "4.2.3",
        "a: 1\nage: 60\nb: 2\nc: 3",
        "a: 2",
        "a: 2\nb: 2\nc: 3",
    );
    check_freshened("4.2.3", "a: 1", "age: 5", "a: 1");
    check_freshened("4.2.3", "age: 60\nage: 61", "age: 5\na: 1", "a: 1");
}

#[test]
fn stripping_keeps_the_order_of_what_stays() {
    let mut stripped =
        headers("te: x\na: 1\nb: 2\nconnection: x-hop\na: 3\nc: 4\nx-hop: 5\nd: 6\nb: 7");
    hop::strip(&mut stripped);
    assert_eq!(
        lines(&stripped),
        lines(&headers("a: 1\na: 3\nb: 2\nb: 7\nc: 4\nd: 6"))
    );
}

#[track_caller]
fn check_confirms(stored: &str, answer: &str, expected: bool) {
    let seen = update::confirms(&headers(stored), &headers(answer));
    assert_eq!(seen, expected, "RFC 9111 4.3.4: {answer} for {stored}");
}

#[test]
fn a_304_with_a_tag_speaks_of_the_response_with_that_tag() {
    for (stored, answer, expected) in [
        ("etag: \"a\"", "etag: \"a\"", true),
        ("etag: \"a\"", "etag: \"b\"", false),
        ("etag: \"a\"", "etag: \"A\"", false),
        // A strong tag speaks of strong ones only, a weak one of both.
        ("etag: W/\"a\"", "etag: \"a\"", false),
        ("etag: \"a\"", "etag: W/\"a\"", true),
        ("etag: W/\"a\"", "etag: W/\"a\"", true),
        ("etag: W/\"a\"", "etag: W/\"b\"", false),
        // The tag outweighs the date.
        (
            "etag: \"a\"\nlast-modified: {-9}",
            "etag: \"b\"\nlast-modified: {-9}",
            false,
        ),
        (
            "etag: \"a\"\nlast-modified: {-9}",
            "etag: \"a\"\nlast-modified: {-5}",
            true,
        ),
        ("etag: a", "etag: a", true),
        ("etag: a", "etag: b", false),
        ("etag: \"a\"", "etag: a", false),
        ("etag: \"a\"", "etag: \"a\"\netag: \"a\"", false),
        ("last-modified: {-9}", "etag: \"a\"", false),
        ("x: y", "etag: \"a\"", false),
    ] {
        check_confirms(stored, answer, expected);
    }
}

#[test]
fn a_304_with_a_date_speaks_of_the_response_with_that_date() {
    for (stored, answer, expected) in [
        ("last-modified: {-9}", "last-modified: {-9}", true),
        ("last-modified: {-9}", "last-modified: {-8}", false),
        ("last-modified: {-9}", "last-modified: {-10}", false),
        (
            "etag: \"a\"\nlast-modified: {-9}",
            "last-modified: {-9}",
            true,
        ),
        (
            "etag: \"a\"\nlast-modified: {-9}",
            "last-modified: {-8}",
            false,
        ),
        ("etag: \"a\"", "last-modified: {-9}", false),
        (
            "last-modified: {-9}",
            "etag: \"a\"\nlast-modified: {-9}",
            true,
        ),
        (
            "last-modified: {-9}",
            "etag: \"a\"\nlast-modified: {-8}",
            false,
        ),
        (
            "last-modified: Sun, 06 Nov 1994 08:49:37 GMT",
            "last-modified: Sun Nov  6 08:49:37 1994",
            true,
        ),
        ("last-modified: then", "last-modified: then", true),
        ("last-modified: then", "last-modified: {-9}", false),
        (
            "last-modified: {-9}",
            "last-modified: {-9}\nlast-modified: {-9}",
            false,
        ),
    ] {
        check_confirms(stored, answer, expected);
    }
}

#[test]
fn a_304_without_a_validator_speaks_of_what_was_asked_about() {
    for stored in ["etag: \"a\"", "last-modified: {-9}", "x: y"] {
        check_confirms(stored, "date: {0}\ncache-control: max-age=60", true);
    }
}

#[track_caller]
fn check_head(stored: &str, head: &str, expected: bool) {
    let seen = update::head_confirms(&headers(stored), 10, &headers(head));
    assert_eq!(seen, expected, "RFC 9111 4.3.5: {head} for {stored}");
}

#[test]
fn a_head_describes_the_stored_response_if_all_that_it_says_fits() {
    let stored = "etag: \"a\"\nlast-modified: {-9}";
    for (head, expected) in [
        ("date: {0}", true),
        ("etag: \"a\"", true),
        ("etag: \"b\"", false),
        ("etag: W/\"a\"", false),
        ("etag: \"a\"\netag: \"a\"", false),
        ("last-modified: {-9}", true),
        ("last-modified: {-8}", false),
        ("content-length: 10", true),
        ("content-length: 11", false),
        ("content-length: 010", true),
        ("content-length: ten", false),
        ("content-length: 10, 10", false),
        ("etag: \"a\"\nlast-modified: {-9}\ncontent-length: 10", true),
        (
            "etag: \"a\"\nlast-modified: {-9}\ncontent-length: 11",
            false,
        ),
        (
            "etag: \"a\"\nlast-modified: {-8}\ncontent-length: 10",
            false,
        ),
        (
            "etag: \"b\"\nlast-modified: {-9}\ncontent-length: 10",
            false,
        ),
    ] {
        check_head(stored, head, expected);
    }
    check_head("x: y", "etag: \"a\"", false);
    check_head("x: y", "last-modified: {-9}", false);
    check_head("etag: W/\"a\"", "etag: W/\"a\"", true);
}

#[track_caller]
fn check_conditions(stored: &str, expected: &str) {
    let mut request = headers("accept: a\nif-none-match: \"theirs\"");
    request.remove("if-none-match");
    let (stored, asked) = (headers(stored), !expected.is_empty());
    assert_eq!(
        update::conditions(&stored, &mut request),
        asked,
        "{expected}"
    );
    assert_eq!(update::has_validator(&stored), asked, "{expected}");
    assert_eq!(
        lines(&request),
        lines(&headers(&format!("accept: a\n{expected}")))
    );
}

#[test]
fn a_stored_validator_is_sent_as_it_is() {
    for (stored, expected) in [
        ("etag: \"a\"", "if-none-match: \"a\""),
        ("etag: W/\"a,b\"", "if-none-match: W/\"a,b\""),
        ("etag: \"\"", "if-none-match: \"\""),
        ("etag: \"\u{e9}\"", "if-none-match: \"\u{e9}\""),
        ("last-modified: {-9}", "if-modified-since: {-9}"),
        (
            "last-modified: Sun Nov  6 08:49:37 1994",
            "if-modified-since: Sun Nov  6 08:49:37 1994",
        ),
        (
            "etag: \"a\"\nlast-modified: {-9}",
            "if-none-match: \"a\"\nif-modified-since: {-9}",
        ),
        ("etag: a\nlast-modified: {-9}", "if-modified-since: {-9}"),
        ("etag: \"a\"\nlast-modified: then", "if-none-match: \"a\""),
    ] {
        check_conditions(stored, expected);
    }
}

#[test]
fn what_is_no_validator_is_not_sent() {
    for stored in [
        "x: y",
        "etag:",
        "etag: a",
        "etag: \"a",
        "etag: \"a\"b",
        "etag: \"a b\"",
        "etag: w/\"a\"",
        "etag: \"a\", \"b\"",
        "etag: \"a\"\netag: \"a\"",
        "etag: *",
        "last-modified: 0",
        "last-modified: {-9}\nlast-modified: {-9}",
    ] {
        check_conditions(stored, "");
    }
}
