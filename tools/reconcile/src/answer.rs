//! Just enough of HTTP/1.1 to know how a request was answered.

use std::io;

use http::{HeaderMap, HeaderName, HeaderValue};
use pitlane::{Outcome, Reason, testing::CacheStatus};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// One connection that is kept as long as it holds.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) headers: HeaderMap,
    status: u16,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let buffer = Vec::with_capacity(8 << 10);
        Ok(Self { stream, buffer })
    }

    /// Asks, and reads the head of the answer. No answer at all is an error.
    pub(crate) async fn begin(&mut self, request: &str) -> io::Result<Head> {
        self.send(request).await?;
        let end = loop {
            let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
            self.fill().await?;
        };
        let head = Head::parse(&self.buffer[..end]);
        self.buffer.drain(..end);
        Ok(head)
    }

    pub(crate) async fn send(&mut self, request: &str) -> io::Result<()> {
        self.stream.write_all(request.as_bytes()).await
    }

    /// Reads the body, whose length the head says.
    pub(crate) async fn finish(&mut self, head: &Head, is_head: bool) -> io::Result<()> {
        let length = if is_head || matches!(head.status, 204 | 304) {
            0
        } else {
            head.length()
        };
        while self.buffer.len() < length {
            self.fill().await?;
        }
        self.buffer.drain(..length);
        Ok(())
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

impl Head {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        Self {
            headers,
            status: status
                .and_then(|status| status.parse().ok())
                .expect("a status"),
        }
    }

    pub(crate) const fn is_ok(&self) -> bool {
        self.status == 200
    }

    fn length(&self) -> usize {
        let length = self
            .headers
            .get("content-length")
            .expect("every body has a length");
        let length = length.to_str().ok().and_then(|length| length.parse().ok());
        length.expect("a length is a number")
    }

    /// How the node says that it has answered.
    pub(crate) fn outcome(&self) -> Outcome {
        let status = CacheStatus::of(&self.headers).expect("every answer has Cache-Status");
        match status.reason() {
            Some(Reason::StaleWhileRevalidate | Reason::MaxStale | Reason::StaleIfError) => {
                Outcome::Stale
            }
            Some(Reason::Validated) => Outcome::Revalidated,
            Some(Reason::OnlyIfCached) => Outcome::Miss,
            _ if status.is_hit() => Outcome::Hit,
            _ if status.is_collapsed() => Outcome::Collapsed,
            _ if status.is_miss() => Outcome::Miss,
            Some(Reason::Authorization | Reason::Range | Reason::Method) => Outcome::Bypass,
            // It passed because an earlier answer could not be stored; so could not this one, for
            // the reason that it tells.
            Some(_) if status.is_bypass() => Outcome::Miss,
            _ => panic!("what is this: {status}"),
        }
    }
}
