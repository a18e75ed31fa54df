//! The command line.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use secrecy::SecretString;

/// A board of lap times on plain hyper.
#[derive(Clone, Debug, Parser)]
#[command(name = "hyper-server", version)]
pub struct Options {
    /// Address and port to listen on; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3002")]
    pub listen: SocketAddr,
    /// The file that the laps are kept in, a line each; without it they are kept in memory.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Redis to share pages through: redis://HOST:PORT/DATABASE. Other users of this machine can
    /// see it here; PITLANE_REDIS_URL says it too, and PITLANE_REDIS_PASSWORD the password.
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub redis: Option<SecretString>,
}

/// A URL may hold a password, so no message of ours shows it.
fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(text.to_owned().into())
}
