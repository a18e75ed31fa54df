use crate::headers;
use pitlane_policy::range::{self, Part, Selection};
use proptest::prelude::*;

/// A stored body of ten bytes with a strong tag and a strong date.
const STORED: &str = "etag: \"a\"\nlast-modified: {-1000}\ndate: {0}";

/// `-` between first and last, a comma between parts; `whole` and `none` for the other two.
fn shown(selection: &Selection) -> String {
    match selection {
        Selection::Whole => "whole".to_owned(),
        Selection::Unsatisfiable => "none".to_owned(),
        Selection::Parts(parts) => {
            let parts: Vec<String> = parts
                .iter()
                .map(|part| format!("{}-{}", part.first, part.last))
                .collect();
            parts.join(",")
        }
        _ => "unknown".to_owned(),
    }
}

#[track_caller]
fn check_of(section: &str, stored: &str, length: u64, request: &str, expected: &str) {
    let selection = range::select(&headers(request), &headers(stored), length);
    assert_eq!(
        shown(&selection),
        expected,
        "RFC 9110 {section}: {request} of {length} bytes of {stored}"
    );
}

#[track_caller]
fn check(section: &str, set: &str, expected: &str) {
    check_of(section, STORED, 10, &format!("range: {set}"), expected);
}

#[test]
fn one_range_is_cut_in_each_of_its_forms() {
    for (section, set, expected) in [
        ("14.1.2", "bytes=2-4", "2-4"),
        ("14.1.2", "bytes=0-0", "0-0"),
        ("14.1.2", "bytes=2-", "2-9"),
        ("14.1.2", "bytes=9-", "9-9"),
        ("14.1.2", "bytes=-3", "7-9"),
        ("14.1.2", "bytes=-10", "0-9"),
        ("14.1.2", "bytes=-11", "0-9"),
        ("14.1.2", "bytes=0-9", "0-9"),
        ("14.1.2", "bytes=0-10", "0-9"),
        ("14.1.2", "bytes=8-99999999999999999999999", "8-9"),
        ("14.1.2", "bytes=-99999999999999999999999", "0-9"),
        ("14.1.1", "bytes=002-004", "2-4"),
        ("14.1", "BYTES=2-4", "2-4"),
        ("14.1", "Bytes=2-4", "2-4"),
        ("5.6.1.2", "bytes= ,, 2-4 ,", "2-4"),
    ] {
        check(section, set, expected);
    }
}

#[test]
fn parts_that_are_not_there_cannot_be_answered() {
    for (section, set) in [
        ("14.1.2", "bytes=10-"),
        ("14.1.2", "bytes=10-20"),
        ("14.1.2", "bytes=99999999999999999999999-"),
        ("14.1.2", "bytes=-0"),
        ("14.1.2", "bytes=10-, -0, 11-12"),
    ] {
        check(section, set, "none");
    }
    for set in ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"] {
        check_of("15.5.17", STORED, 0, &format!("range: {set}"), "none");
    }
}

#[test]
fn what_is_no_set_of_byte_ranges_is_ignored() {
    for set in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=1-2-3",
        "bytes=4-2",
        "bytes=+1-2",
        "bytes=1-+2",
        "bytes=1 -2",
        "bytes=1- 2",
        "bytes=--1",
        "bytes=0-1,x",
        "bytes=0-1,4-2",
        "bytes =0-1",
        "bytes:0-1",
        "bytes 0-1",
        "seconds=0-1",
        "items=0-",
        "=0-1",
        "0-1",
        "bytes=0-1;q=1",
        "bytes=0x0-1",
        "\"bytes\"=0-1",
    ] {
        check("14.2", set, "whole");
    }
    check_of("14.2", STORED, 10, "x: y", "whole");
}

#[test]
fn a_range_on_several_lines_is_ignored() {
    for lines in [
        "range: bytes=0-1\nrange: bytes=0-1",
        "range: bytes=0-1\nrange:",
    ] {
        check_of("5.3", STORED, 10, lines, "whole");
    }
}

#[test]
fn several_parts_keep_the_order_of_the_request() {
    for (section, set, expected) in [
        ("14.2", "bytes=0-0,2-2", "0-0,2-2"),
        ("15.3.7.2", "bytes=7-8, 0-1", "7-8,0-1"),
        ("15.3.7.2", "bytes=-1,0-0", "9-9,0-0"),
        ("15.3.7.2", "bytes=0-1,20-30,4-5", "0-1,4-5"),
        ("15.3.7.2", "bytes=20-30,4-5", "4-5"),
    ] {
        check(section, set, expected);
    }
}

#[test]
fn parts_that_touch_are_joined_where_the_first_of_them_stood() {
    for (section, set, expected) in [
        ("15.3.7.2", "bytes=0-1,2-3", "0-3"),
        ("15.3.7.2", "bytes=2-3,0-1", "0-3"),
        ("15.3.7.2", "bytes=0-3,2-5", "0-5"),
        ("15.3.7.2", "bytes=0-4,1-2", "0-4"),
        ("15.3.7.2", "bytes=1-2,1-2", "1-2"),
        ("15.3.7.2", "bytes=0-0,2-2,1-1", "0-2"),
        ("15.3.7.2", "bytes=6-6,0-0,7-7,2-2", "6-7,0-0,2-2"),
        ("15.3.7.2", "bytes=8-8,4-4,0-0,5-7", "4-8,0-0"),
    ] {
        check(section, set, expected);
    }
}

#[test]
fn parts_that_come_to_more_than_the_whole_are_ignored() {
    check("17.15", "bytes=0-8,9-9", "0-9");
    for set in [
        "bytes=0-,0-",
        "bytes=0-8,8-9",
        "bytes=0-,-1",
        "bytes=0-5,0-5",
        "bytes=0-99999999999999999999,0-99999999999999999999",
    ] {
        check("17.15", set, "whole");
    }
}

#[test]
fn more_than_sixteen_parts_are_ignored() {
    let parts = |count: u64| {
        let parts: Vec<String> = (0..count).map(|n| format!("{}-{}", 3 * n, 3 * n)).collect();
        parts.join(",")
    };
    let asked = |set: &str| {
        range::select(
            &headers(&format!("range: bytes={set}")),
            &headers(STORED),
            1000,
        )
    };
    let sixteen = asked(&parts(16));
    assert!(matches!(&sixteen, Selection::Parts(parts) if parts.len() == 16));
    assert_eq!(asked(&parts(17)), Selection::Whole);
    assert_eq!(asked(&parts(1000)), Selection::Whole);
    // Those that aren't there count too: each costs the server a look.
    let absent = vec!["5000-5001"; 17].join(",");
    assert_eq!(asked(&absent), Selection::Whole);
    assert_eq!(asked(&absent[10..]), Selection::Unsatisfiable);
}

#[track_caller]
fn check_if_range(section: &str, stored: &str, if_range: &str, holds: bool) {
    let request = format!("range: bytes=0-1\n{if_range}");
    let expected = if holds { "0-1" } else { "whole" };
    check_of(section, stored, 10, &request, expected);
}

#[test]
fn if_range_compares_tags_strongly() {
    for (section, stored, tag, holds) in [
        ("13.1.5", STORED, "\"a\"", true),
        ("13.1.5", STORED, "\"b\"", false),
        ("13.1.5", STORED, "\"A\"", false),
        ("13.1.5", STORED, "W/\"a\"", false),
        ("8.8.3.2", "etag: W/\"a\"", "\"a\"", false),
        ("8.8.3.2", "etag: W/\"a\"", "W/\"a\"", false),
        ("13.1.5", "etag: \"a\"\netag: \"a\"", "\"a\"", false),
        ("13.1.5", "x: y", "\"a\"", false),
        ("13.1.5", STORED, "\"a\", \"b\"", false),
        ("13.1.5", STORED, "*", false),
        ("13.1.5", STORED, "a", false),
        ("13.1.5", STORED, "", false),
        ("13.1.5", "etag: a", "a", false),
        ("13.1.5", STORED, "\"a\"\nif-range: \"a\"", false),
    ] {
        check_if_range(section, stored, &format!("if-range: {tag}"), holds);
    }
}

#[test]
fn if_range_takes_only_the_very_date_and_only_a_strong_one() {
    for (section, stored, date, holds) in [
        ("13.1.5", STORED, "{-1000}", true),
        ("13.1.5", STORED, "{-999}", false),
        ("13.1.5", STORED, "{-1001}", false),
        ("8.8.2.2", "last-modified: {-1}\ndate: {0}", "{-1}", true),
        ("8.8.2.2", "last-modified: {0}\ndate: {0}", "{0}", false),
        ("8.8.2.2", "last-modified: {5}\ndate: {0}", "{5}", false),
        ("8.8.2.2", "last-modified: {-1000}", "{-1000}", false),
        (
            "8.8.2.2",
            "last-modified: {-1000}\ndate: now",
            "{-1000}",
            false,
        ),
        (
            "8.8.2.2",
            "last-modified: {-1000}\ndate: {0}\ndate: {0}",
            "{-1000}",
            false,
        ),
        ("13.1.5", "last-modified: then\ndate: {0}", "then", false),
        (
            "13.1.5",
            "last-modified: {-9}\nlast-modified: {-9}\ndate: {0}",
            "{-9}",
            false,
        ),
        ("13.1.5", "etag: \"a\"\ndate: {0}", "{-1000}", false),
        // The same second in another format is not the same text.
        (
            "13.1.5",
            "last-modified: Sun, 06 Nov 1994 08:49:37 GMT\ndate: {0}",
            "Sun Nov  6 08:49:37 1994",
            false,
        ),
        (
            "13.1.5",
            "last-modified: Sun Nov  6 08:49:37 1994\ndate: {0}",
            "Sun Nov  6 08:49:37 1994",
            true,
        ),
    ] {
        check_if_range(section, stored, &format!("if-range: {date}"), holds);
    }
}

#[test]
fn if_range_does_not_make_a_bad_range_count() {
    check_of("13.1.5", STORED, 10, "if-range: \"a\"", "whole");
    check_of(
        "13.1.5",
        STORED,
        10,
        "range: bytes=4-2\nif-range: \"a\"",
        "whole",
    );
    check_of(
        "13.1.5",
        STORED,
        10,
        "range: bytes=20-\nif-range: \"b\"",
        "whole",
    );
    check_of(
        "13.1.5",
        STORED,
        10,
        "range: bytes=20-\nif-range: \"a\"",
        "none",
    );
}

#[test]
fn what_was_cut_is_said() {
    let part = Part { first: 2, last: 4 };
    assert_eq!(part.len(), 3);
    assert_eq!(range::content_range(part, 10), "bytes 2-4/10");
    assert_eq!(range::unsatisfied(10), "bytes */10");
    let all = Part {
        first: 0,
        last: u64::MAX,
    };
    assert_eq!(all.len(), u64::MAX);
    assert_eq!(
        range::content_range(all, u64::MAX),
        "bytes 0-18446744073709551615/18446744073709551615"
    );
    assert_eq!(range::unsatisfied(u64::MAX), "bytes */18446744073709551615");
}

fn spec() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..40_u64, 0..40_u64).prop_map(|(first, more)| format!("{first}-{}", first + more)),
        (0..40_u64).prop_map(|first| format!("{first}-")),
        (0..40_u64).prop_map(|count| format!("-{count}")),
    ]
}

/// Byte by byte, from the grammar's meaning.
fn is_asked_for(spec: &str, byte: u64, length: u64) -> bool {
    let (first, last) = spec.split_once('-').expect("a range");
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) => (first..=last).contains(&byte),
        (Ok(first), Err(_)) => byte >= first,
        (Err(_), Ok(count)) => byte + count >= length,
        (Err(_), Err(_)) => unreachable!("a range has a number"),
    }
}

proptest! {
    #![proptest_config(crate::soup::config())]

    #[test]
    fn exactly_the_bytes_asked_for_are_selected(
        specs in prop::collection::vec(spec(), 1..20), length in 0..64_u64,
    ) {
        let request = headers(&format!("range: bytes={}", specs.join(", ")));
        let asked: Vec<bool> = (0..length)
            .map(|byte| specs.iter().any(|spec| is_asked_for(spec, byte, length)))
            .collect();
        match range::select(&request, &headers(STORED), length) {
            Selection::Unsatisfiable => prop_assert!(!asked.contains(&true)),
            Selection::Parts(parts) => {
                prop_assert!(!parts.is_empty() && parts.len() <= 16);
                let mut cut = vec![0; asked.len()];
                for part in &parts {
                    for byte in part.first..=part.last {
                        cut[usize::try_from(byte).unwrap()] += 1;
                    }
                }
                let expected: Vec<i32> = asked.into_iter().map(i32::from).collect();
                prop_assert_eq!(&cut, &expected, "each byte once: {:?}", parts);
                let mut sorted = parts.clone();
                sorted.sort_unstable_by_key(|part| part.first);
                prop_assert!(sorted.windows(2).all(|pair| pair[0].last + 1 < pair[1].first));
            }
            whole => {
                prop_assert_eq!(whole, Selection::Whole);
                let sum: usize = specs.iter()
                    .map(|spec| (0..length).filter(|byte| is_asked_for(spec, *byte, length)).count())
                    .sum();
                prop_assert!(specs.len() > 16 || sum as u64 > length);
            }
        }
    }

    #[test]
    fn no_range_panics(
        set in "(bytes|BYTES|x)?=?[-0-9, ]{0,40}", if_range in prop::option::of("[ -~]{0,12}"), length in any::<u64>(),
    ) {
        let mut request = headers("x: y");
        request.insert("range", set.parse().expect("a field value"));
        if let Some(value) = if_range {
            request.insert("if-range", value.parse().expect("a field value"));
        }
        if let Selection::Parts(parts) = range::select(&request, &headers(STORED), length) {
            for part in parts {
                prop_assert!(part.first <= part.last && part.last < length);
                prop_assert!(range::content_range(part, length).to_str().is_ok());
            }
        }
    }
}
