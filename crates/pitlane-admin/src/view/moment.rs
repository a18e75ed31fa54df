//! Moments as people read them, from milliseconds since the Unix epoch.

/// `2026-11-23 14:05:09`, in UTC.
pub(crate) fn utc(millis: u64) -> String {
    let (days, rest) = (millis / 86_400_000, millis / 1000 % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// How long ago, or how far ahead, in one unit.
pub(crate) fn relative(millis: u64, now: u64) -> String {
    if millis > now.saturating_add(999) {
        return format!("in {}", unit(millis - now));
    }
    match now.saturating_sub(millis) {
        0..1000 => "just now".to_owned(),
        past => format!("{} ago", unit(past)),
    }
}

fn unit(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The civil date of a day since 1970-01-01: Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>), for days that are not negative.
const fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + 400 * era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (951_868_800, "2000-03-01 00:00:00"),
            (1_709_164_800, "2024-02-29 00:00:00"),
            (1_735_689_599, "2024-12-31 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(utc(1000 * seconds), expected);
        }
    }

    #[test]
    fn ages_have_one_unit() {
        let now = 1_000_000_000;
        for (ago, expected) in [
            (0, "just now"),
            (999, "just now"),
            (1000, "1 s ago"),
            (59_999, "59 s ago"),
            (60_000, "1 min ago"),
            (3_600_000, "1 h ago"),
            (172_800_000, "2 days ago"),
        ] {
            assert_eq!(relative(now - ago, now), expected);
        }
        assert_eq!(relative(now + 90_000, now), "in 1 min");
        assert_eq!(relative(now + 500, now), "just now");
    }
}
