//! The command line: what each flag means and how its value is read.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::OriginUrl;

/// A caching reverse proxy for one HTTP origin.
#[derive(Clone, Debug, Parser)]
#[command(name = "reverse-proxy", version)]
pub struct Options {
    /// Address and port to listen on; port 0 picks a free one.
    #[arg(long, value_name = "ADDR")]
    pub listen: SocketAddr,
    /// The server to forward to: http://HOST or http://HOST:PORT.
    #[arg(long, value_name = "URL")]
    pub origin: OriginUrl,
    /// How the cache reads the origin's answers.
    #[arg(long, value_name = "PROFILE", default_value = "application")]
    pub profile: Profile,
    /// The most memory that stored responses take, such as 64MiB.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    pub memory: u64,
    /// The largest response body that is stored, such as 8MiB.
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = parse_size)]
    pub max_body: u64,
    /// How long a response is fresh when the origin says nothing, such as 60s. Without it only
    /// responses with explicit freshness are stored.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub ttl: Option<Duration>,
    /// Forward everything and store nothing.
    #[arg(long)]
    pub no_cache: bool,
}

/// Whose rules the cache follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// RFC 9111 to the letter, for an origin that relies on a standard shared cache.
    Rfc,
    /// The stricter rules for an application: what might be personal is not stored.
    Application,
}

/// Bytes: `64MiB`, `8KiB`, `1GiB`, `512B` or a plain number.
fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: &[(&str, u64)] = &[
        ("", 1),
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ];
    scaled(text, UNITS, "bytes, or one of B, KiB, MiB, GiB")
}

/// Whole numbers of one unit: `50ms`, `60s`, `15m`, `2h`, `14d`. A bare number would leave the
/// reader guessing, so a unit is asked for.
fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS: &[(&str, u64)] = &[
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    scaled(text, UNITS, "one of ms, s, m, h, d").map(Duration::from_millis)
}

/// Reads digits and then a unit; every error says what is wrong and at which character.
fn scaled(text: &str, units: &[(&str, u64)], expected: &str) -> Result<u64, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let place = text[..split].chars().count() + 1;
    if digits.is_empty() {
        return Err(format!("expected a whole number at character {place}"));
    }
    let Some((_, scale)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(match unit {
            "" => format!("the unit is missing at character {place} (expected {expected})"),
            _ => format!("unknown unit '{unit}' at character {place} (expected {expected})"),
        });
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*scale))
        .ok_or_else(|| format!("the number at character 1 is too large: {digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: PartialEq + std::fmt::Debug>(
        parse: fn(&str) -> Result<T, String>,
        text: &str,
        expected: Result<T, &str>,
    ) {
        assert_eq!(parse(text), expected.map_err(str::to_owned), "for {text:?}");
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        check(parse_size, "0", Ok(0));
        check(parse_size, "1500", Ok(1500));
        check(parse_size, "12B", Ok(12));
        check(parse_size, "8KiB", Ok(8192));
        check(parse_size, "64MiB", Ok(64 << 20));
        check(parse_size, "1GiB", Ok(1 << 30));
    }

    #[test]
    fn a_bad_size_says_what_and_where() {
        const UNITS: &str = "(expected bytes, or one of B, KiB, MiB, GiB)";
        for (text, complaint) in [
            ("64MB", format!("unknown unit 'MB' at character 3 {UNITS}")),
            (
                "64 MiB",
                format!("unknown unit ' MiB' at character 3 {UNITS}"),
            ),
            (
                "1.5GiB",
                format!("unknown unit '.5GiB' at character 2 {UNITS}"),
            ),
            ("", "expected a whole number at character 1".to_owned()),
            ("-1", "expected a whole number at character 1".to_owned()),
            (
                "99999999999GiB",
                "the number at character 1 is too large: 99999999999".to_owned(),
            ),
            (
                "99999999999999999999",
                "the number at character 1 is too large: 99999999999999999999".to_owned(),
            ),
        ] {
            check(parse_size, text, Err(&complaint));
        }
    }

    #[test]
    fn durations_have_a_unit() {
        check(parse_duration, "50ms", Ok(Duration::from_millis(50)));
        check(parse_duration, "60s", Ok(Duration::from_secs(60)));
        check(parse_duration, "15m", Ok(Duration::from_secs(900)));
        check(parse_duration, "2h", Ok(Duration::from_secs(7200)));
        check(parse_duration, "14d", Ok(Duration::from_secs(14 * 86_400)));
    }

    #[test]
    fn a_bad_duration_says_what_and_where() {
        const UNITS: &str = "(expected one of ms, s, m, h, d)";
        for (text, complaint) in [
            ("60", format!("the unit is missing at character 3 {UNITS}")),
            (
                "60sec",
                format!("unknown unit 'sec' at character 3 {UNITS}"),
            ),
            (
                "1h30m",
                format!("unknown unit 'h30m' at character 2 {UNITS}"),
            ),
            ("s", "expected a whole number at character 1".to_owned()),
        ] {
            check(parse_duration, text, Err(&complaint));
        }
    }
}
