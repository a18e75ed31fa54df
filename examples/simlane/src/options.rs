//! What can be said on the command line.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use secrecy::SecretString;

/// How the site is started.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "simlane",
    version,
    about = "A racing-club site, every page of it cached by Pitlane"
)]
pub struct Options {
    /// Address to listen on; API writes are open, so keep it on loopback.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,

    /// SQLite file or `sqlite:` URL; filled with demo data when empty
    /// [default: a file in a fresh temporary folder]
    #[arg(long, value_name = "FILE|URL")]
    pub database: Option<String>,

    /// Redis to share cached answers through, with other servers over the
    /// same database: redis://HOST:PORT. A password is better kept in
    /// PITLANE_REDIS_PASSWORD, where other users can't see it.
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub redis: Option<SecretString>,

    /// Whether responses are cached.
    #[arg(long, value_enum, default_value = "on")]
    pub cache: Switch,

    /// Time that every page and API handler sleeps before it asks the
    /// database (`50ms`, `2s`), which makes a slow site out of a fast one.
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = duration)]
    pub handler_delay: Duration,

    /// File with the token that opens /admin/cache/, of at least 32 bytes
    /// [default: a new one in a file that only you can read]
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,

    /// Emit `x-shown-tags` and `x-touched-tags`: a hook for tests, not a flag.
    #[arg(skip)]
    pub expose_tags: bool,

    /// What a request may lose to Redis, where tests need more than the usual
    /// 50 ms: a hook as well.
    #[arg(skip)]
    pub redis_budget: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 3000)),
            database: None,
            redis: None,
            cache: Switch::On,
            handler_delay: Duration::ZERO,
            admin_token_file: None,
            expose_tags: false,
            redis_budget: None,
        }
    }
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
}

/// A URL may hold a password, so no message of ours shows it.
fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(text.to_owned().into())
}

/// Reads `250ms`, `2s`, `1.5s` or a bare `0`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration such as 50ms or 2s");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (number, per_second) = match text.strip_suffix("ms") {
        Some(number) => (number, 1000.0),
        None => (text.strip_suffix('s').ok_or_else(wrong)?, 1.0),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number / per_second).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Duration>) {
        assert_eq!(duration(text).ok(), expected, "{text}");
    }

    #[test]
    fn durations_carry_a_unit() {
        check("0", Some(Duration::ZERO));
        check("50ms", Some(Duration::from_millis(50)));
        check("2s", Some(Duration::from_secs(2)));
        check("1.5s", Some(Duration::from_millis(1500)));
        for wrong in ["", "50", "ms", "-1s", "1h", "nans"] {
            check(wrong, None);
        }
    }

    #[test]
    fn defaults_of_the_command_line_are_the_defaults_of_the_struct() {
        let parsed = Options::parse_from(["simlane"]);
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Options::default()));
    }

    #[test]
    fn a_flag_that_does_not_exist_yet_is_an_error() {
        let error = Options::try_parse_from(["simlane", "--admin-token=secret"]).unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::UnknownArgument);
    }

    #[test]
    fn options_show_no_password() {
        let options = Options::parse_from(["simlane", "--redis=redis://:hunter2@127.0.0.1"]);
        assert!(options.redis.is_some());
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}
