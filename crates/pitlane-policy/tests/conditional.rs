use crate::headers;
use http::Method;
use http::header::{ETAG, LAST_MODIFIED};
use pitlane_policy::conditional::{self, Precondition, Precondition::*};

/// The stored response has the ETag `"a"` and changed 1,000 seconds before the receipt.
#[track_caller]
fn check(section: &str, request: &str, expected: Precondition) {
    check_against(
        "etag: \"a\"\nlast-modified: {-1000}",
        &Method::GET,
        section,
        request,
        expected,
    );
}

#[track_caller]
fn check_against(
    stored: &str,
    method: &Method,
    section: &str,
    request: &str,
    expected: Precondition,
) {
    let stored = headers(stored);
    let (etag, changed) = (stored.get(ETAG), stored.get(LAST_MODIFIED));
    let seen = conditional::evaluate(method, &headers(request), etag, changed);
    assert_eq!(seen, expected, "RFC 9110 {section}: {method} {request}");
}

#[test]
fn if_none_match_compares_weakly_in_lists_and_lines() {
    for (request, expected) in [
        ("if-none-match: \"a\"", NotModified),
        ("if-none-match: W/\"a\"", NotModified),
        ("if-none-match: \"b\", \"a\"", NotModified),
        ("if-none-match: \"b\",\"a\",", NotModified),
        ("if-none-match: \"b,c\" , W/\"a\"", NotModified),
        ("if-none-match: \"b\"\nif-none-match: \"a\"", NotModified),
        ("if-none-match: *", NotModified),
        ("if-none-match: \"b\"", Proceed),
        ("if-none-match: \"A\"", Proceed),
        ("if-none-match: \"x,\"a\"", Proceed),
        ("if-none-match: w/\"a\"", Proceed),
        ("if-none-match: a", Proceed),
        ("if-none-match: a, \"a\"", NotModified),
        ("if-none-match: \"a", Proceed),
        ("if-none-match: \"a\"b", Proceed),
        ("if-none-match:", Proceed),
    ] {
        check("13.1.2", request, expected);
    }
    check_against(
        "etag: W/\"a\"",
        &Method::GET,
        "8.8.3.2",
        "if-none-match: \"a\"",
        NotModified,
    );
    check_against(
        "etag: a",
        &Method::GET,
        "8.8.3",
        "if-none-match: a",
        Proceed,
    );
    check_against(
        "x: y",
        &Method::GET,
        "13.1.2",
        "if-none-match: \"a\"",
        Proceed,
    );
}

#[test]
fn if_none_match_beats_if_modified_since() {
    check(
        "13.1.3",
        "if-none-match: \"b\"\nif-modified-since: {0}",
        Proceed,
    );
    check(
        "13.1.3",
        "if-none-match: \"a\"\nif-modified-since: {-9999}",
        NotModified,
    );
    check(
        "13.1.3",
        "if-none-match: junk\nif-modified-since: {0}",
        Proceed,
    );
}

#[test]
fn if_modified_since_is_not_modified_up_to_the_very_second() {
    for (request, expected) in [
        ("if-modified-since: {-999}", NotModified),
        ("if-modified-since: {-1000}", NotModified),
        ("if-modified-since: {-1001}", Proceed),
        ("if-modified-since: recently", Proceed),
        ("if-modified-since: {0}\nif-modified-since: {0}", Proceed),
    ] {
        check("13.1.3", request, expected);
    }
    check_against(
        "etag: \"a\"",
        &Method::GET,
        "13.1.3",
        "if-modified-since: {0}",
        Proceed,
    );
    let stored = "last-modified: {-1000}";
    check_against(
        stored,
        &Method::HEAD,
        "13.1.3",
        "if-modified-since: {0}",
        NotModified,
    );
    check_against(
        stored,
        &Method::POST,
        "13.1.3",
        "if-modified-since: {0}",
        Proceed,
    );
}

#[test]
fn a_precondition_of_a_write_fails_with_412() {
    check_against(
        "etag: \"a\"",
        &Method::PUT,
        "13.1.2",
        "if-none-match: \"a\"",
        Failed,
    );
    check_against(
        "etag: \"a\"",
        &Method::PUT,
        "13.1.2",
        "if-none-match: *",
        Failed,
    );
    check_against(
        "etag: \"a\"",
        &Method::PUT,
        "13.1.2",
        "if-none-match: \"b\"",
        Proceed,
    );
    check_against(
        "etag: \"a\"",
        &Method::HEAD,
        "13.1.2",
        "if-none-match: \"a\"",
        NotModified,
    );
}

#[test]
fn if_match_compares_strongly_and_beats_if_unmodified_since() {
    for (request, expected) in [
        ("if-match: \"a\"", Proceed),
        ("if-match: \"b\", \"a\"", Proceed),
        ("if-match: *", Proceed),
        ("if-match: W/\"a\"", Failed),
        ("if-match: \"b\"", Failed),
        ("if-match: \"a\"\nif-unmodified-since: {-9999}", Proceed),
        ("if-match: \"a\"\nif-none-match: \"a\"", NotModified),
        ("if-match: \"b\"\nif-none-match: \"a\"", Failed),
        ("if-unmodified-since: {-1000}", Proceed),
        ("if-unmodified-since: {-1001}", Failed),
        ("if-unmodified-since: once", Proceed),
        ("x: y", Proceed),
    ] {
        check("13.1.1", request, expected);
    }
    check_against(
        "etag: W/\"a\"",
        &Method::GET,
        "13.1.1",
        "if-match: W/\"a\"",
        Failed,
    );
}

#[test]
fn a_304_repeats_what_guides_caches_and_nothing_else() {
    let stored = headers(
        "etag: \"a\"\ndate: {0}\nvary: a\nvary: b\ncache-control: max-age=1\nexpires: {1}\ncontent-location: /x\n\
         last-modified: {-9}\ncontent-type: text/html\ncontent-length: 3\nset-cookie: a=b\nx: y",
    );
    let expected = headers(
        "etag: \"a\"\ndate: {0}\nvary: a\nvary: b\ncache-control: max-age=1\nexpires: {1}\ncontent-location: /x",
    );
    assert_eq!(conditional::not_modified_headers(&stored), expected);
}

#[test]
fn a_304_without_a_tag_carries_the_modification_date() {
    let stored = headers("last-modified: {-9}\ncontent-type: text/html");
    assert_eq!(
        conditional::not_modified_headers(&stored),
        headers("last-modified: {-9}")
    );
}

#[test]
fn stripping_leaves_an_unconditional_request() {
    for field in [
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
    ] {
        let mut request = headers(&format!("{field}: a\n{field}: b\nrange: bytes=0-1"));
        assert!(conditional::is_conditional(&request), "{field}");
        conditional::strip(&mut request);
        assert!(!conditional::is_conditional(&request), "{field}");
        assert_eq!(request, headers("range: bytes=0-1"));
    }
}
