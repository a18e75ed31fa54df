//! The command line: what each flag means and how its value is read.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use pitlane::parse_duration;
use secrecy::SecretString;

/// A gRPC service with cached unary methods.
#[derive(Clone, Debug, Parser)]
#[command(name = "tonic-server", version)]
pub struct Options {
    /// Address and port to listen on; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// Where Redis is: redis://HOST:PORT/DATABASE. Other users of this machine can see it here;
    /// PITLANE_REDIS_URL says it too, and PITLANE_REDIS_PASSWORD the password.
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub redis: Option<SecretString>,
    /// How long the handlers of GetClub and ListDrivers take, such as 200ms.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "0ms")]
    pub handler_delay: Duration,
    /// How far apart WatchResults sends results.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "1s")]
    pub result_pause: Duration,
}

/// A URL may hold a password, so no message of ours shows it.
fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(text.to_owned().into())
}
