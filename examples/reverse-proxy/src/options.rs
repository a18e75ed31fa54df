//! The command line: what each flag means and how its value is read.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use pitlane::{parse_duration, parse_size};

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
    /// Forward everything and store nothing; Cache-Status says so on every answer.
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

impl From<Profile> for pitlane::Profile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Rfc => Self::Rfc,
            Profile::Application => Self::Application,
        }
    }
}
