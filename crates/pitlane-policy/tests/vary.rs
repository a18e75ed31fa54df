use crate::headers;
use pitlane_policy::Vary;

#[track_caller]
fn read(lines: &str) -> Vary {
    Vary::parse(&headers(lines))
}

#[track_caller]
fn fields(names: &[&str]) -> Vary {
    Vary::Fields(
        names
            .iter()
            .map(|name| name.parse().expect("a field name"))
            .collect(),
    )
}

#[test]
fn names_are_sorted_and_each_stands_once() {
    for (lines, names) in [
        ("vary: Accept", &["accept"][..]),
        ("vary: b, A,b ,\tc", &["a", "b", "c"]),
        ("vary: b\nvary: a", &["a", "b"]),
        ("vary: ,, a ,", &["a"]),
        (
            "vary: x-b, accept-encoding, x-a",
            &["accept-encoding", "x-a", "x-b"],
        ),
    ] {
        assert_eq!(read(lines), fields(names), "{lines}");
    }
}

#[test]
fn nothing_named_is_absent() {
    for lines in ["x: y", "vary:", "vary: ,", "vary:\nvary: , ,"] {
        assert_eq!(read(lines), Vary::Absent, "{lines}");
    }
}

#[test]
fn a_star_anywhere_and_a_bad_name_mean_anything() {
    for lines in [
        "vary: *",
        "vary: a, *",
        "vary: *, a",
        "vary: , *",
        "vary: a\nvary: *",
        "vary: a b",
        "vary: \"a\"",
        "vary: \u{e9}",
    ] {
        assert_eq!(read(lines), Vary::Any, "RFC 9110 12.5.5: {lines}");
    }
}

#[test]
fn a_union_depends_on_all_that_either_depends_on() {
    let (ab, bc) = (fields(&["a", "b"]), fields(&["b", "c"]));
    assert_eq!(ab.union(&bc), fields(&["a", "b", "c"]));
    assert_eq!(ab.union(&Vary::Absent), ab);
    assert_eq!(Vary::Absent.union(&Vary::Absent), Vary::Absent);
    assert_eq!(ab.union(&Vary::Any), Vary::Any);
    assert_eq!(Vary::Any.union(&Vary::Absent), Vary::Any);
}
