//! The command line: what each flag means and how its value is read.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use pitlane::{parse_duration, parse_size};
use secrecy::SecretString;

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
    /// The most memory that stored responses take [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<u64>,
    /// The largest response body that is stored [default: 8MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_body: Option<u64>,
    /// Where Redis is: redis://HOST:PORT/DATABASE. Other users of this machine can see it here;
    /// PITLANE_REDIS_URL says it too, and PITLANE_REDIS_PASSWORD the password.
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub redis: Option<SecretString>,
    /// Proxies of one namespace share what is stored in Redis [default: pitlane]
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// How long a response is fresh when the origin says nothing, such as 60s. Without it only
    /// responses with explicit freshness are stored.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub ttl: Option<Duration>,
    /// Forward everything and store nothing; Cache-Status says so on every answer.
    #[arg(long)]
    pub no_cache: bool,
    /// Where the admin API listens; it is plain HTTP, so keep it on loopback.
    #[arg(long, value_name = "ADDR", requires = "admin_token_file")]
    pub admin: Option<SocketAddr>,
    /// The file with the token that opens the admin API, of at least 32 bytes.
    #[arg(long, value_name = "FILE", requires = "admin")]
    pub admin_token_file: Option<PathBuf>,
    /// Where Prometheus finds /metrics; whoever reaches it can read them, so keep it on loopback.
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<SocketAddr>,
}

/// A URL may hold a password, so no message of ours shows it.
fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(text.to_owned().into())
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
