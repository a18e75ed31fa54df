//! The `Age` field and a response's age on arrival (RFC 9111 §4.2.3, §5.1).

use crate::{seconds, syntax};
use http::HeaderMap;
use http::header::AGE;
use std::time::{Duration, SystemTime};

/// The first member of the first `Age` line, in seconds; anything but digits is ignored.
///
/// Values above 2^31 count as 2^31 (RFC 9111 §1.2.2).
#[must_use]
pub fn parse(headers: &HeaderMap) -> Option<Duration> {
    let line = headers.get(AGE)?.as_bytes();
    let (first, _) = syntax::split_before(line, |byte| byte == b',');
    seconds::parse(syntax::trim(first))
}

/// How old a response already is when it is received: the larger of its `Age` and of the time
/// since its `Date`, in whole seconds.
///
/// RFC 9111 §4.2.3 adds the time that the request took to an `Age`. It is left out here: the origin
/// is next door, and a response that another cache has aged must not age faster for being slow.
#[must_use]
pub fn initial_age(
    received: SystemTime,
    date: Option<SystemTime>,
    age: Option<Duration>,
) -> Duration {
    // `Date` has no fractions, so a response made just now would seem up to a second old.
    let apparent = date.and_then(|date| received.duration_since(date).ok());
    let apparent = Duration::from_secs(apparent.unwrap_or_default().as_secs());
    apparent.max(age.unwrap_or_default()).min(seconds::MAX)
}
