//! What the end-to-end tests share: a fixture that reflects all it is sent, and clients that send
//! exactly what they are told to.

mod ask;
mod fixture;
mod http1;
mod http2;

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use pitlane_testkit::Protocol;

pub use ask::{Ask, Payload};
pub use fixture::{Answer, Content, Fixture, Seen};

/// Longer than any answer takes: a test that waits for one fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// A whole answer as it came over the wire.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, without its transfer coding.
    pub body: Bytes,
}

impl Heard {
    /// One header's value; empty when it is absent or no text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Whether the header lines or the body contain this text, in any letter case.
    #[must_use]
    pub fn contains(&self, text: &str) -> bool {
        let values = self.headers.values().map(|value| value.as_bytes());
        let names = self.headers.keys().map(|name| name.as_str().as_bytes());
        let mut all = values.chain(names).chain([&*self.body]);
        all.any(|bytes| {
            let mut windows = bytes.windows(text.len());
            windows.any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
        })
    }
}

/// Sends one request on a connection of its own and waits for the whole answer.
///
/// # Errors
///
/// When there is none: the server closed the connection or refused the stream.
pub async fn send(protocol: Protocol, address: SocketAddr, ask: &Ask) -> io::Result<Heard> {
    let work = async {
        match protocol {
            Protocol::Http1 => http1::send(address, ask).await,
            Protocol::Http2 => http2::send(address, ask).await,
        }
    };
    tokio::time::timeout(PATIENCE, work)
        .await
        .map_err(|_| io::ErrorKind::TimedOut)?
}

/// Sends bytes as they are on a connection of their own and waits for one HTTP/1.1 answer; also
/// says whether it broke off, and then its body is what came before.
///
/// # Errors
///
/// When there is no answer at all: the server closed the connection.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> io::Result<(Heard, bool)> {
    tokio::time::timeout(PATIENCE, http1::exchange(address, bytes))
        .await
        .map_err(|_| io::ErrorKind::TimedOut)?
}
