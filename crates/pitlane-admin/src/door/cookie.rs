//! The cookie of a sign-in.

use http::header::COOKIE as HEADER;
use http::{HeaderMap, HeaderValue};

/// What the cookie is called.
pub(crate) const COOKIE: &str = "pitlane_admin";

/// The cookie's value, where there is exactly one.
///
/// Another page of this host, under another path or on another port, could set a second one of
/// that name; a browser would send both, and not say which is whose.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(HEADER).iter();
    let pairs = all
        .filter_map(|value: &HeaderValue| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    let mut ours = pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE);
    match (ours.next(), ours.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[&str], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, value.parse().unwrap());
        }
        assert_eq!(cookie(&headers), expected, "{values:?}");
    }

    #[test]
    fn one_cookie_of_the_name_is_read_among_others() {
        check(&["pitlane_admin=abc"], Some("abc"));
        check(&["a=b; pitlane_admin=abc; c=d"], Some("abc"));
        check(&["a=b", "pitlane_admin=abc"], Some("abc"));
        check(
            &[
                "xpitlane_admin=abc",
                "pitlane_admin2=abc",
                "PITLANE_ADMIN=abc",
            ],
            None,
        );
        check(&[], None);
    }

    #[test]
    fn two_of_the_name_are_none() {
        check(&["pitlane_admin=abc; pitlane_admin=abc"], None);
        check(&["pitlane_admin=abc", "pitlane_admin=def"], None);
    }
}
