use std::fmt::Display;

use http::HeaderMap;
use pitlane_core::Reason;

use super::CacheStatus;

/// Asserts that an answer came from what is stored, fresh or stale.
///
/// With a [`Reason`](crate::Reason) or its text: for that reason. See [`testing`](crate::testing).
///
/// # Panics
///
/// When it did not; the message says how it was answered instead, and why.
#[macro_export]
macro_rules! assert_hit {
    ($response:expr $(, $reason:expr)? $(,)?) => {
        $crate::__assert_cache_status!(Hit, $response $(, $reason)?)
    };
}

/// Asserts that the handler was asked because nothing that is stored could be used.
///
/// With a [`Reason`](crate::Reason) or its text: for that reason. See [`testing`](crate::testing).
///
/// # Panics
///
/// When it was not; the message says how the answer was made instead, and why.
#[macro_export]
macro_rules! assert_miss {
    ($response:expr $(, $reason:expr)? $(,)?) => {
        $crate::__assert_cache_status!(Miss, $response $(, $reason)?)
    };
}

/// Asserts that the cache had no part in an answer.
///
/// With a [`Reason`](crate::Reason) or its text: for that reason. See [`testing`](crate::testing).
///
/// # Panics
///
/// When it had; the message says how the answer was made instead, and why.
#[macro_export]
macro_rules! assert_bypass {
    ($response:expr $(, $reason:expr)? $(,)?) => {
        $crate::__assert_cache_status!(Bypass, $response $(, $reason)?)
    };
}

/// Asserts the [`Reason`](crate::Reason) of an answer, given as such or as text, however it was
/// made. See [`testing`](crate::testing).
///
/// # Panics
///
/// When there was another reason; the message says which.
#[macro_export]
macro_rules! assert_reason {
    ($response:expr, $reason:expr $(,)?) => {
        $crate::__assert_cache_status!(Anything, $response, $reason)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __assert_cache_status {
    ($expected:ident, $response:expr) => {
        $crate::testing::check(
            $crate::testing::Expected::$expected,
            $response.headers(),
            ::core::option::Option::None,
        )
    };
    ($expected:ident, $response:expr, $reason:expr) => {
        $crate::testing::check(
            $crate::testing::Expected::$expected,
            $response.headers(),
            ::core::option::Option::Some(&$reason),
        )
    };
}

/// How an answer should have been made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// From the cache.
    Hit,
    /// By the handler, in the cache's stead.
    Miss,
    /// By the handler, past the cache.
    Bypass,
    /// In any way.
    Anything,
}

/// What the macros are made of.
#[track_caller]
pub fn check(expected: Expected, headers: &HeaderMap, reason: Option<&dyn Display>) {
    #[expect(
        clippy::manual_map,
        reason = "a failure inside a closure would be told at the closure's line"
    )]
    let reason = match reason {
        Some(reason) => Some(known(&reason.to_string())),
        None => None,
    };
    if let Err(message) = judge(expected, headers, reason) {
        panic!("{message}");
    }
}

fn judge(expected: Expected, headers: &HeaderMap, reason: Option<Reason>) -> Result<(), String> {
    let wanted = expected.words(reason);
    let Some(status) = CacheStatus::of(headers) else {
        return Err(format!(
            "expected {wanted}, and no member of Cache-Status is Pitlane's: the layer is not \
             around this handler, or it was told `without_cache_status`"
        ));
    };
    if expected.is(&status) && reason.is_none_or(|reason| status.reason() == Some(reason)) {
        return Ok(());
    }
    let found = status.words();
    let why = match status.reason() {
        Some(reason) => format!("{reason}: {}", reason.explain()),
        None => format!("{:?}", status.detail()),
    };
    Err(format!(
        "expected {wanted}, and this is {found}\n  {why}\n  cache-status: {status}"
    ))
}

impl Expected {
    fn is(self, status: &CacheStatus) -> bool {
        match self {
            Self::Hit => status.is_hit(),
            Self::Miss => status.is_miss(),
            Self::Bypass => status.is_bypass(),
            Self::Anything => true,
        }
    }

    fn words(self, reason: Option<Reason>) -> String {
        let what = match self {
            Self::Hit => "a hit",
            Self::Miss => "a miss",
            Self::Bypass => "a bypass",
            Self::Anything => "an answer",
        };
        reason.map_or_else(
            || what.to_owned(),
            |reason| format!("{what} for the reason {:?}", reason.as_str()),
        )
    }
}

/// A typing error should say so, instead of that the answer has another reason.
#[track_caller]
fn known(text: &str) -> Reason {
    let mut all = Reason::ALL.iter().copied();
    match all.find(|reason| reason.as_str() == text) {
        Some(reason) => reason,
        None => {
            let all: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
            panic!("{text:?} is no reason; there are: {}", all.join(", "))
        }
    }
}
