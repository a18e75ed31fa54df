//! Delta-seconds (RFC 9111 §1.2.2).

use std::time::Duration;

/// The largest time span this crate reads: 2^31 seconds, 68 years.
///
/// RFC 9111 §1.2.2 asks that larger numbers count as this one. Stopping here, and not at the
/// largest integer, lets callers add it to any realistic point in time.
pub(crate) const MAX: Duration = Duration::from_secs(1 << 31);

/// A non-negative whole number of seconds; anything else is None.
///
/// Leading zeros are fine, signs and fractions are not.
pub(crate) fn parse(digits: &[u8]) -> Option<Duration> {
    let seconds = crate::syntax::number(digits)?;
    Some(Duration::from_secs(seconds).min(MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, seconds: Option<u64>) {
        assert_eq!(
            parse(text.as_bytes()),
            seconds.map(Duration::from_secs),
            "{text:?}"
        );
    }

    #[test]
    fn whole_numbers_are_read_and_saturate() {
        check("0", Some(0));
        check("60", Some(60));
        check("0000000000000000000000000060", Some(60));
        check("2147483647", Some((1 << 31) - 1));
        check("2147483649", Some(1 << 31));
        check("18446744073709551616", Some(1 << 31));
        check("99999999999999999999999999999999999999999", Some(1 << 31));
    }

    #[test]
    fn anything_else_is_not_a_number() {
        for text in [
            "", "-1", "+1", "1.5", "1e3", "0x10", " 1", "1 ", "a", "1a", "'1'", "\u{661}",
        ] {
            check(text, None);
        }
    }
}
