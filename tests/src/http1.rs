//! HTTP/1.1 by hand: client libraries repair what these tests are about.

use std::{io, net::SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{Ask, Heard, Payload};

type Reader = BufReader<TcpStream>;

pub(crate) async fn send(address: SocketAddr, ask: &Ask) -> io::Result<Heard> {
    match exchange(address, &bytes_of(ask)).await? {
        (heard, false) => Ok(heard),
        (_, true) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Sends bytes on a connection of their own and reads one answer, and whether it broke off.
pub(crate) async fn exchange(address: SocketAddr, bytes: &[u8]) -> io::Result<(Heard, bool)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(bytes).await?;
    let mut reader = BufReader::new(stream);
    let (status, headers) = loop {
        let status = status(&line(&mut reader).await?)?;
        let headers = headers(&mut reader).await?;
        // An interim answer comes before the one that counts.
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            break (status, headers);
        }
    };
    let bodiless = bytes.starts_with(b"HEAD ") || matches!(status.as_u16(), 101 | 204 | 304);
    let mut body = Vec::new();
    let cut = if bodiless {
        false
    } else {
        match read_body(&mut reader, &headers, &mut body).await {
            Ok(()) => false,
            Err(error) if is_end(&error) => true,
            Err(error) => return Err(error),
        }
    };
    let body = body.into();
    let heard = Heard {
        status,
        headers,
        body,
    };
    Ok((heard, cut))
}

fn bytes_of(ask: &Ask) -> Vec<u8> {
    let mut bytes = format!("{} {} HTTP/1.1\r\n", ask.method, ask.target).into_bytes();
    let mut push = |name: &str, value: &[u8]| {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    };
    for host in &ask.hosts {
        push("Host", host.as_bytes());
    }
    for (name, value) in &ask.headers {
        push(name, value);
    }
    match &ask.payload {
        None => bytes.extend_from_slice(b"\r\n"),
        Some(Payload::Length(body)) => {
            push("Content-Length", body.len().to_string().as_bytes());
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(body);
        }
        Some(Payload::Chunked(body)) => {
            push("Transfer-Encoding", b"chunked");
            bytes.extend_from_slice(format!("\r\n{:x}\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(body);
            bytes.extend_from_slice(b"\r\n0\r\n\r\n");
        }
    }
    bytes
}

async fn line(reader: &mut Reader) -> io::Result<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).await?;
    let line = line
        .strip_suffix(b"\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(line.iter().copied().map(char::from).collect())
}

fn status(line: &str) -> io::Result<StatusCode> {
    let code = line.split(' ').nth(1).unwrap_or_default();
    code.parse().map_err(invalid)
}

async fn headers(reader: &mut Reader) -> io::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    loop {
        let line = line(reader).await?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| invalid("a header line without a colon"))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(invalid)?;
        headers.append(name, HeaderValue::from_str(value.trim()).map_err(invalid)?);
    }
}

/// Whether a message just ended, in an orderly way or not.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset)
}

/// Reads a body to its end. What came before it broke off is there all the same.
async fn read_body(reader: &mut Reader, headers: &HeaderMap, body: &mut Vec<u8>) -> io::Result<()> {
    if headers.contains_key("transfer-encoding") {
        loop {
            let size = usize::from_str_radix(&line(reader).await?, 16).map_err(invalid)?;
            read_part(reader, size, body).await?;
            line(reader).await?;
            if size == 0 {
                return Ok(());
            }
        }
    }
    let Some(length) = headers.get("content-length") else {
        reader.read_to_end(body).await?;
        return Ok(());
    };
    let length = length.to_str().map_err(invalid)?;
    read_part(reader, length.parse().map_err(invalid)?, body).await
}

async fn read_part(reader: &mut Reader, size: usize, body: &mut Vec<u8>) -> io::Result<()> {
    let limit = u64::try_from(size).map_err(invalid)?;
    match reader.take(limit).read_to_end(body).await? {
        read if read < size => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
