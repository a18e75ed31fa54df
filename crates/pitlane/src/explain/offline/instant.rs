//! Times as recordings write them (RFC 3339).

use pitlane_core::Timestamp;

/// `None` for what is no time, and for years before 1970.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let (year, rest_of_date) = number(date, 4)?;
    let (month, rest_of_date) = number(rest_of_date.strip_prefix('-')?, 2)?;
    let (day, end) = number(rest_of_date.strip_prefix('-')?, 2)?;
    let (hour, rest) = number(rest, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (millis, zone) = fraction(rest)?;
    let plain = end.is_empty()
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !plain {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let at = (seconds - offset(zone)?) * 1000 + millis;
    u64::try_from(at).ok().map(Timestamp::from_millis)
}

/// So many digits, and what is behind them.
fn number(text: &str, digits: usize) -> Option<(i64, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    Some((number.parse().ok()?, rest)).filter(|_| is_number)
}

/// Milliseconds, of a fraction as long as one likes.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(fraction) = text.strip_prefix(['.', ',']) else {
        return Some((0, text));
    };
    let end = fraction.find(|c: char| !c.is_ascii_digit());
    let (digits, rest) = fraction.split_at(end.unwrap_or(fraction.len()));
    let mut millis: String = digits.chars().take(3).collect();
    while millis.len() < 3 {
        millis.push('0');
    }
    (!digits.is_empty()).then_some((millis.parse().ok()?, rest))
}

/// How far a zone is ahead, in seconds.
fn offset(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => return Some(0),
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = number(rest, 2)?;
    let (minutes, end) = number(rest.strip_prefix(':').unwrap_or(rest), 2)?;
    (end.is_empty() && hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days since 1970 of a date in the Gregorian calendar, by counting years from March on.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leaps = year / 4 - year / 100 + year / 400;
    365 * year + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        let found = parse(text).map(|at| at.as_millis());
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn times_are_read_with_any_zone_and_fraction() {
        check("1970-01-01T00:00:00Z", Some(0));
        check("2000-02-29T12:30:45.5Z", Some(951_827_445_500));
        check("2023-11-14T22:13:20.123456Z", Some(1_700_000_000_123));
        check("2023-11-15T00:13:20.123+02:00", Some(1_700_000_000_123));
        check("2023-11-14T17:13:20-0500", Some(1_700_000_000_000));
        check("2024-12-31T23:59:60Z", Some(1_735_689_600_000));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "T",
            "2023-11-14",
            "2023-11-14T22:13Z",
            "2023-11-14T22:13:20",
            "2023-11-14T22:13:20.Z",
            "2023-13-14T22:13:20Z",
            "2023-11-32T22:13:20Z",
            "2023-11-14T24:13:20Z",
            "2023-11-14T22:13:20+2:00",
            "+023-11-14T22:13:20Z",
            "1969-12-31T23:59:59Z",
            "2023-11-14T22:13:20Zx",
            "２023-11-14T22:13:20Z",
        ] {
            check(text, None);
        }
    }
}
