//! Sizes and durations as people write them in flags and configuration files.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// Reads a size in bytes: a whole number and `B`, `KiB`, `MiB` or `GiB`, or a number alone.
///
/// # Errors
///
/// [`ErrorKind::Configuration`] when the text is anything else or more than 2^64 - 1 bytes. The
/// message repeats the text and says what was expected.
///
/// # Example
///
/// ```
/// # fn main() -> Result<(), pitlane::Error> {
/// assert_eq!(pitlane::parse_size("64MiB")?, 64 << 20);
/// assert_eq!(pitlane::parse_size("1500")?, 1500);
/// assert!(pitlane::parse_size("64MB").is_err());
/// # Ok(())
/// # }
/// ```
pub fn parse_size(text: &str) -> Result<u64, Error> {
    const UNITS: [(&str, u64); 5] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("B", 1),
        ("", 1),
    ];
    scaled(text, &UNITS).ok_or_else(|| {
        wrong(format!(
            "{text:?} is no size: write a whole number and B, KiB, MiB or GiB, as in \"64MiB\""
        ))
    })
}

/// Reads a duration: a whole number and `ms`, `s`, `m`, `h` or `d` (24 hours). A number alone
/// would leave its reader guessing, so the unit is asked for.
///
/// # Errors
///
/// [`ErrorKind::Configuration`] when the text is anything else or more than 2^64 - 1
/// milliseconds. The message repeats the text and says what was expected.
///
/// # Example
///
/// ```
/// # use std::time::Duration;
/// # fn main() -> Result<(), pitlane::Error> {
/// assert_eq!(pitlane::parse_duration("15m")?, Duration::from_secs(900));
/// assert!(pitlane::parse_duration("900").is_err());
/// # Ok(())
/// # }
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, Error> {
    // Milliseconds before minutes and seconds: the longer suffix first.
    const UNITS: [(&str, u64); 5] = [
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    let millis = scaled(text, &UNITS);
    millis.map(Duration::from_millis).ok_or_else(|| {
        wrong(format!(
            "{text:?} is no duration: write a whole number and ms, s, m, h or d, as in \"15m\""
        ))
    })
}

/// A whole number and the first of `units` that the text ends in.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, scale) = units
        .iter()
        .find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, *scale)))?;
    let digits = digits.trim();
    // A sign would be read as well.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(scale)
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Configuration, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("1500", 1500),
            ("12B", 12),
            ("64KiB", 64 << 10),
            ("64 MiB", 64 << 20),
            ("1GiB", 1 << 30),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn durations_have_a_unit() {
        for (text, millis) in [
            ("0s", 0),
            ("250ms", 250),
            ("60s", 60_000),
            ("15m", 900_000),
            ("2h", 7_200_000),
            ("14d", 1_209_600_000),
        ] {
            let expected = Duration::from_millis(millis);
            assert_eq!(parse_duration(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_and_repeated() {
        for bad in [
            "",
            "MiB",
            "-1",
            "+1",
            "1.5GiB",
            "99999999999GiB",
            "64MB",
            "64mib",
            "1KiB2",
            "18446744073709551616",
        ] {
            let error = parse_size(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(&format!("{bad:?} is no size")));
        }
        for bad in [
            "",
            "s",
            "15",
            "1.5h",
            "-1s",
            "+1s",
            "99999999999999999999d",
            "1w",
            "1h30m",
            "60sec",
        ] {
            let error = parse_duration(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(
                error
                    .to_string()
                    .contains(&format!("{bad:?} is no duration"))
            );
        }
    }
}
