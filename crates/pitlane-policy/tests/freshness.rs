use crate::seconds;
use pitlane_policy::Verdict::{Fresh, Stale, StaleIfError, StaleWhileRevalidate};
use pitlane_policy::{Freshness, Verdict};
use std::time::Duration;

#[track_caller]
fn check(freshness: Freshness, resident: u64, expected: Verdict) {
    assert_eq!(
        freshness.judge(seconds(resident)),
        expected,
        "after {resident} s of {freshness:?}"
    );
}

#[test]
fn lifetime_equal_to_age_is_stale() {
    let freshness = Freshness::new(seconds(60));
    check(
        freshness,
        0,
        Fresh {
            age: seconds(0),
            ttl: seconds(60),
        },
    );
    check(
        freshness,
        59,
        Fresh {
            age: seconds(59),
            ttl: seconds(1),
        },
    );
    check(
        freshness,
        60,
        Stale {
            age: seconds(60),
            stale_for: seconds(0),
        },
    );
    check(
        freshness,
        61,
        Stale {
            age: seconds(61),
            stale_for: seconds(1),
        },
    );
}

#[test]
fn the_age_on_arrival_counts() {
    let freshness = Freshness::new(seconds(60)).with_initial_age(seconds(50));
    check(
        freshness,
        9,
        Fresh {
            age: seconds(59),
            ttl: seconds(1),
        },
    );
    check(
        freshness,
        10,
        Stale {
            age: seconds(60),
            stale_for: seconds(0),
        },
    );
}

#[test]
fn each_stale_window_ends_before_its_last_second_is_full() {
    let freshness = Freshness::new(seconds(60))
        .with_stale_while_revalidate(seconds(10))
        .with_stale_if_error(seconds(30));
    let usable_on_error = true;
    check(
        freshness,
        60,
        StaleWhileRevalidate {
            age: seconds(60),
            stale_for: seconds(0),
            usable_on_error,
        },
    );
    check(
        freshness,
        69,
        StaleWhileRevalidate {
            age: seconds(69),
            stale_for: seconds(9),
            usable_on_error,
        },
    );
    check(
        freshness,
        70,
        StaleIfError {
            age: seconds(70),
            stale_for: seconds(10),
        },
    );
    check(
        freshness,
        89,
        StaleIfError {
            age: seconds(89),
            stale_for: seconds(29),
        },
    );
    check(
        freshness,
        90,
        Stale {
            age: seconds(90),
            stale_for: seconds(30),
        },
    );
}

#[test]
fn the_shorter_error_window_closes_inside_the_longer_other_one() {
    let freshness = Freshness::new(seconds(60))
        .with_stale_while_revalidate(seconds(30))
        .with_stale_if_error(seconds(10));
    let stale = |after: u64, usable_on_error| StaleWhileRevalidate {
        age: seconds(60 + after),
        stale_for: seconds(after),
        usable_on_error,
    };
    check(freshness, 69, stale(9, true));
    check(freshness, 70, stale(10, false));
}

#[test]
fn forbidding_stale_use_closes_both_windows() {
    let freshness = Freshness::new(seconds(60))
        .with_stale_while_revalidate(seconds(30))
        .with_stale_if_error(seconds(10))
        .without_stale();
    check(
        freshness,
        60,
        Stale {
            age: seconds(60),
            stale_for: seconds(0),
        },
    );
    assert!(freshness.forbids_stale());
}

#[test]
fn the_ends_of_time_saturate() {
    let endless = Freshness::new(Duration::MAX)
        .with_stale_while_revalidate(Duration::MAX)
        .with_stale_if_error(Duration::MAX);
    assert_eq!(endless.retention(), Duration::MAX);
    assert_eq!(
        endless.judge(Duration::ZERO),
        Fresh {
            age: Duration::ZERO,
            ttl: Duration::MAX
        }
    );
    let oldest = endless.with_initial_age(Duration::MAX).judge(Duration::MAX);
    let (age, stale_for) = (Duration::MAX, Duration::ZERO);
    assert_eq!(
        oldest,
        StaleWhileRevalidate {
            age,
            stale_for,
            usable_on_error: true
        }
    );
}

#[test]
fn retention_counts_from_arrival_to_the_end_of_the_longer_window() {
    let freshness = Freshness::new(seconds(60)).with_initial_age(seconds(20));
    assert_eq!(freshness.retention(), seconds(40));
    assert_eq!(
        freshness.with_stale_if_error(seconds(5)).retention(),
        seconds(45)
    );
    assert_eq!(
        freshness
            .with_stale_while_revalidate(seconds(9))
            .retention(),
        seconds(49)
    );
    assert_eq!(
        freshness.with_initial_age(seconds(100)).retention(),
        Duration::ZERO
    );
}
