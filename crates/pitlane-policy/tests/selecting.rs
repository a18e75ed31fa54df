use crate::headers;
use http::{HeaderMap, HeaderName, HeaderValue};
use pitlane_policy::selecting_value;
use proptest::prelude::*;
use std::collections::HashMap;

fn value(name: &HeaderName, request: &HeaderMap) -> Vec<u8> {
    let mut out = b"before".to_vec();
    selecting_value(name, request, &mut out);
    assert!(out.starts_with(b"before"), "what was there is kept");
    out.split_off(6)
}

/// Whether two requests select the same variant; `|` separates lines, `-` is an absent field.
#[track_caller]
fn check(name: &str, a: &str, b: &str, same: bool) {
    let field: HeaderName = name.parse().expect("a field name");
    let [left, right] = [a, b].map(|lines| {
        let lines = lines
            .split('|')
            .filter(|line| *line != "-")
            .map(|line| format!("{name}: {line}\n"));
        value(&field, &headers(&lines.collect::<String>()))
    });
    assert_eq!(left == right, same, "{name}: {a:?} and {b:?}");
}

#[test]
fn white_space_and_lines_do_not_matter() {
    for name in ["x-any", "accept-language", "accept-encoding"] {
        check(name, "a,b", "a ,\t b", true);
        check(name, "a, b", "a|b", true);
        check(name, "-", "-", true);
        check(name, "a, b", "a, c", false);
        check(name, "a, b", "ab", false);
        check(name, "a", "a, a", false);
        check(name, "-", "", false);
    }
}

#[test]
fn order_does_not_matter_where_weights_say_what_is_preferred() {
    for name in [
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
    ] {
        check(name, "a;q=0.5, b", "b, a;q=0.5", true);
        check(name, "a ; q=0.5", "a;q=0.5", true);
        check(name, "a,,b", "a,b,", true);
        check(name, "a;q=0.5, b", "a, b;q=0.5", false);
        check(name, "a;q=0, b", "b", false);
    }
    check("x-any", "a, b", "b, a", false);
    check("x-any", "a,,b", "a,b", false);
    check("x-any", "a ; b", "a;b", false);
}

#[test]
fn only_the_case_of_languages_is_folded() {
    check("accept-language", "de-AT, en", "EN, de-at", true);
    check("accept-encoding", "gzip", "GZIP", false);
    check("x-any", "a", "A", false);
}

#[test]
fn quoted_strings_stay_as_they_are() {
    check("x-any", "\"a, b\"", "\"a,b\"", false);
    check("accept", "a/b;c=\"x ; y\"", "a/b;c=\"x;y\"", false);
    check("accept", "a/b;c=\"x, y\", z/z", "z/z, a/b;c=\"x, y\"", true);
    check(
        "accept",
        "a/b;c=\"x\\\", y\", z/z",
        "z/z, a/b;c=\"x\\\", y\"",
        true,
    );
}

#[test]
fn a_field_with_an_open_quote_is_taken_literally() {
    for name in ["accept", "x-any"] {
        check(name, "\"a, b", "\"a,b", false);
        check(name, "\"a|b\"", "\"a, b\"", false);
        check(name, "a, \"", "a, \"", true);
    }
}

#[test]
fn fields_that_are_no_lists_are_taken_literally() {
    for name in ["user-agent", "cookie", "authorization", "referer"] {
        check(name, "a, b", "a,b", false);
        check(name, "a|b", "a, b", false);
        check(name, "a, b", "a, b", true);
    }
}

#[test]
fn a_list_too_long_to_sort_keeps_its_order() {
    let forward: Vec<String> = (0..33).map(|n| format!("x{n:02}")).collect();
    let backward: Vec<String> = forward.iter().rev().cloned().collect();
    check("accept", &forward.join(","), &backward.join(","), false);
    check("accept", &forward.join(","), &forward.join(" , "), true);
    check(
        "accept",
        &forward[..32].join(","),
        &backward[1..].join(","),
        true,
    );
}

#[test]
fn a_buffer_that_has_been_used_once_is_not_allocated_again() {
    let name = http::header::ACCEPT;
    let request = headers("accept: text/html, application/json;q=0.9\naccept: */*;q=0.1");
    let mut out = Vec::new();
    selecting_value(&name, &request, &mut out);
    let (capacity, address) = (out.capacity(), out.as_ptr());
    out.clear();
    selecting_value(&name, &request, &mut out);
    assert_eq!((out.capacity(), out.as_ptr()), (capacity, address));
}

proptest! {
    #![proptest_config(crate::soup::config())]

    #[test]
    fn parts_written_one_after_another_can_be_told_apart(
        lists in proptest::collection::vec(proptest::collection::vec("[ab,;\" \\\\]{0,6}", 0..3), 2..12),
    ) {
        // Every concatenation of two parts must come from one pair of parts only.
        let name = http::header::ACCEPT;
        let parts: Vec<Vec<u8>> = lists.iter().map(|lines| {
            let mut request = HeaderMap::new();
            for line in lines {
                request.append(&name, HeaderValue::from_str(line).expect("a field value"));
            }
            value(&name, &request)
        }).collect();
        let mut seen = HashMap::new();
        for pair in parts.iter().flat_map(|a| parts.iter().map(move |b| (a, b))) {
            prop_assert!(pair.0 == pair.1 || !pair.0.starts_with(pair.1), "none is a prefix of another");
            let before = seen.insert([pair.0.as_slice(), pair.1].concat(), pair);
            prop_assert!(before.is_none_or(|before| before == pair));
        }
    }

    #[test]
    fn a_plain_field_is_the_same_only_if_its_members_are(a in "[ab ,]{0,8}", b in "[ab ,]{0,8}") {
        let name = HeaderName::from_static("x-any");
        let [left, right] = [&a, &b].map(|text| {
            let mut request = HeaderMap::new();
            request.insert(&name, HeaderValue::from_str(text).expect("a field value"));
            value(&name, &request)
        });
        let members = |text: &str| text.split(',').map(|member| member.trim().to_owned()).collect::<Vec<_>>();
        prop_assert_eq!(left == right, members(&a) == members(&b));
    }
}
