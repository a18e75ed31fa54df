use crate::{headers, received, seconds};
use pitlane_policy::age;
use std::time::Duration;

#[test]
fn the_first_member_of_the_first_line_counts() {
    for (lines, expected) in [
        ("age: 60", Some(60)),
        ("age: 0060", Some(60)),
        ("age: 0", Some(0)),
        ("age: 60, 70", Some(60)),
        ("age: 60\nage: 70", Some(60)),
        ("age: 99999999999999999999", Some(1 << 31)),
        ("x: y", None),
        ("age:", None),
        ("age: , 60", None),
        ("age: -60", None),
        ("age: 60.5", None),
        ("age: \"60\"", None),
        ("age: 60 s", None),
        ("age: old\nage: 60", None),
    ] {
        assert_eq!(
            age::parse(&headers(lines)),
            expected.map(seconds),
            "RFC 9111 5.1: {lines}"
        );
    }
}

#[test]
fn a_response_is_as_old_as_the_older_of_date_and_age_say() {
    let before = |ago: u64| Some(received() - seconds(ago));
    for (date, age, expected) in [
        (None, None, 0),
        (None, Some(5), 5),
        (before(9), None, 9),
        (before(9), Some(5), 9),
        (before(5), Some(9), 9),
        (Some(received() + seconds(60)), Some(5), 5),
        (Some(received() + seconds(60)), None, 0),
        (before(1_700_000_000), Some(u64::MAX), 1 << 31),
    ] {
        let initial = age::initial_age(received(), date, age.map(seconds));
        assert_eq!(
            initial,
            seconds(expected),
            "RFC 9111 4.2.3: {date:?} {age:?}"
        );
    }
}

#[test]
fn the_fraction_that_a_date_cannot_carry_is_not_age() {
    let late = received() + Duration::from_millis(900);
    assert_eq!(
        age::initial_age(late, Some(received()), None),
        Duration::ZERO
    );
}
