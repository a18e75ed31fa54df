//! HTTP/1.1 by hand: client libraries repair what these tests are about.

use std::{io, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{Ask, Heard, Payload};

type Reader = BufReader<TcpStream>;

pub(crate) async fn send(address: SocketAddr, ask: &Ask) -> io::Result<Heard> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&bytes_of(ask)).await?;
    let mut reader = BufReader::new(stream);
    let status = status(&line(&mut reader).await?)?;
    let headers = headers(&mut reader).await?;
    let bodiless =
        ask.method == "HEAD" || matches!(status.as_u16(), 204 | 304) || status.is_informational();
    let body = if bodiless {
        Bytes::new()
    } else {
        body(&mut reader, &headers).await?.into()
    };
    Ok(Heard {
        status,
        headers,
        body,
    })
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

async fn body(reader: &mut Reader, headers: &HeaderMap) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if headers.contains_key("transfer-encoding") {
        loop {
            let size = usize::from_str_radix(&line(reader).await?, 16).map_err(invalid)?;
            let start = body.len();
            body.resize(start + size, 0);
            reader
                .read_exact(body.get_mut(start..).unwrap_or_default())
                .await?;
            line(reader).await?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    let Some(length) = headers.get("content-length") else {
        reader.read_to_end(&mut body).await?;
        return Ok(body);
    };
    let length = length.to_str().map_err(invalid)?;
    body.resize(length.parse().map_err(invalid)?, 0);
    reader.read_exact(&mut body).await?;
    Ok(body)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
