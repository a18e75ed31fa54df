use crate::headers;
use pitlane_policy::groups::{self, LONGEST_NAME, MOST_GROUPS, MOST_INVALIDATED};

/// Reads both fields, which have the same form.
#[track_caller]
fn check(section: &str, value: &str, expected: &[&str]) {
    let lines = |name: &str| {
        let lines = value.split('|').map(|line| format!("{name}: {line}\n"));
        headers(&lines.collect::<String>())
    };
    let groups = groups::of(&lines("cache-groups"));
    assert_eq!(
        groups.expect("within bounds"),
        expected,
        "{section}: {value}"
    );
    let invalidated = groups::invalidated(&lines("cache-group-invalidation"));
    assert_eq!(invalidated, expected, "{section}: {value}");
}

#[test]
fn a_list_of_strings_names_groups() {
    for (section, value, expected) in [
        ("9875 2", "\"scripts\"", &["scripts"][..]),
        ("9875 2", "\"a\", \"b\"", &["a", "b"]),
        ("9651 4.2", "\"a\",\t\"b\" , \"c\"", &["a", "b", "c"]),
        ("9651 4.2", "\"a\"|\"b\", \"c\"", &["a", "b", "c"]),
        ("9875 2.1", "\"A\", \"a\"", &["A", "a"]),
        ("9651 3.3.3", r#""a, \"b\"", "c\\d""#, &["a, \"b\"", "c\\d"]),
        ("9651 3.3.3", "\"\"", &[""]),
        ("9651 3.3.3", "\" a \"", &[" a "]),
        ("9651 3.1", "", &[]),
    ] {
        check(section, value, expected);
    }
    assert_eq!(groups::of(&headers("x: y")), Ok(vec![]));
    assert!(groups::invalidated(&headers("x: y")).is_empty());
}

#[test]
fn parameters_are_ignored() {
    check("9875 2", "\"a\";x, \"b\";y=1;z=\"c\"", &["a", "b"]);
}

#[test]
fn a_field_that_does_not_parse_is_ignored_whole() {
    for value in [
        "\"a\", \"b",
        "\"a\",",
        ",\"a\"",
        "\"a\",,\"b\"",
        "\"a\" \"b\"",
        "\"a\";",
        "\"a\\x\"",
        "\"\u{e9}\"",
        "\"a\"|",
    ] {
        check("9651 4.2", value, &[]);
    }
}

#[test]
fn a_member_that_is_no_string_spoils_the_list() {
    for member in [
        "b", "1", "1.5", "?1", ":YQ==:", "@1", "%\"b\"", "(\"b\")", "()",
    ] {
        check("9875 2", &format!("\"a\", {member}"), &[]);
        check("9875 2", &format!("{member}, \"a\""), &[]);
    }
}

fn list(count: usize, length: usize) -> String {
    let names: Vec<String> = (0..count).map(|n| format!("\"{n:0length$}\"")).collect();
    names.join(",")
}

#[test]
fn a_response_beyond_the_bounds_says_so_instead_of_losing_groups() {
    let read = |list: String| groups::of(&headers(&format!("cache-groups: {list}")));
    for (count, length) in [(32, 32), (MOST_GROUPS, LONGEST_NAME)] {
        assert_eq!(
            read(list(count, length)).expect("within bounds").len(),
            count
        );
    }
    for (count, length) in [(MOST_GROUPS + 1, 4), (1, LONGEST_NAME + 1)] {
        let error = read(list(count, length)).expect_err("beyond the bounds");
        assert!(error.to_string().contains("Cache-Groups"), "{error}");
    }
}

#[test]
fn all_of_a_long_list_is_invalidated() {
    let read =
        |list: String| groups::invalidated(&headers(&format!("cache-group-invalidation: {list}")));
    assert_eq!(read(list(MOST_INVALIDATED, 5)).len(), MOST_INVALIDATED);
    assert_eq!(read(list(MOST_INVALIDATED + 1, 5)).len(), MOST_INVALIDATED);
    // No response is in a group with too long a name; those around it still count.
    let long = list(1, LONGEST_NAME + 1);
    assert_eq!(read(format!("\"a\", {long}, \"b\"")), ["a", "b"]);
}
