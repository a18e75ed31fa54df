//! `Age`, and what is made of it.

use crate::input::{self, Knobs, field, received};
use http::header::AGE;
use pitlane_policy::{Freshness, Verdict, age};
use std::time::Duration;

const MOST: Duration = Duration::from_secs(1 << 31);

/// Two numbers, then `Age` lines.
pub(crate) fn run(bytes: &[u8]) {
    let mut knobs = Knobs::new(bytes);
    let [lifetime, resident] = [knobs.number(), knobs.number()].map(span);
    let since_date = span(knobs.number());
    let lines = input::values(knobs.text());
    let read = age::parse(&field(&AGE, &lines));
    let first = lines.first().map(|line| line.as_bytes());
    assert_eq!(read, first.and_then(expected), "{lines:?}");
    initial_age_is_the_larger_one(read, since_date);
    age_only_grows(read.unwrap_or_default(), lifetime, resident);
}

/// Half of the numbers are small, where all the boundaries are.
fn span(number: u64) -> Duration {
    Duration::from_secs(if number & 1 == 0 {
        number >> 1
    } else {
        number >> 1 & 0xff
    })
}

/// The first member of the first line, digits only, saturating.
fn expected(line: &[u8]) -> Option<Duration> {
    let text: String = line.iter().copied().map(char::from).collect();
    let first = text.split(',').next()?.trim_matches([' ', '\t']).to_owned();
    if first.is_empty() || !first.chars().all(|one| one.is_ascii_digit()) {
        return None;
    }
    let significant = first.trim_start_matches('0');
    match significant.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds).min(MOST)),
        Err(_) if significant.is_empty() => Some(Duration::ZERO),
        Err(_) => Some(MOST),
    }
}

fn initial_age_is_the_larger_one(read: Option<Duration>, since_date: Duration) {
    let date = received().checked_sub(since_date);
    let initial = age::initial_age(received(), date, read);
    let apparent = date.map_or(Duration::ZERO, |_| since_date);
    assert_eq!(initial, apparent.max(read.unwrap_or_default()).min(MOST));
    let ahead = received().checked_add(since_date);
    let of_the_future = age::initial_age(received(), ahead, read);
    assert_eq!(
        of_the_future,
        read.unwrap_or_default(),
        "a clock ahead of ours"
    );
}

/// Stale is never called fresh, and nothing gets younger.
fn age_only_grows(initial: Duration, lifetime: Duration, resident: Duration) {
    let freshness = Freshness::new(lifetime).with_initial_age(initial);
    let later = resident.saturating_add(Duration::from_secs(1));
    let (age, next) = (freshness.age(resident), freshness.age(later));
    assert!(
        initial <= age && age <= next,
        "{freshness:?} at {resident:?}"
    );
    let is_fresh = matches!(freshness.judge(resident), Verdict::Fresh { .. });
    assert_eq!(is_fresh, age < lifetime, "{freshness:?} at {resident:?}");
    if !is_fresh {
        let verdict = freshness.judge(later);
        assert!(
            !matches!(verdict, Verdict::Fresh { .. }),
            "{freshness:?} at {later:?}"
        );
    }
}
