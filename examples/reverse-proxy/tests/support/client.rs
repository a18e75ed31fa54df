//! Clients: raw bytes where bytes matter, hyper's connections where bodies do.

use std::error::Error;
use std::net::SocketAddr;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("someone listens")
}

pub(crate) async fn write(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) {
    stream
        .write_all(bytes.as_ref())
        .await
        .expect("the other side reads");
}

/// Sends one raw request on a connection of its own and reads one message.
pub(crate) async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> String {
    let mut stream = connect(address).await;
    write(&mut stream, request).await;
    read_message(&mut stream).await
}

/// Reads a head and the body that its `content-length` declares, or up to the end of its chunks.
pub(crate) async fn read_message(stream: &mut TcpStream) -> String {
    let mut message = super::origin::read_head(stream).await;
    let head = message.to_ascii_lowercase();
    if head.contains("transfer-encoding: chunked") {
        while !message.contains("\r\n0\r\n") || !message.ends_with("\r\n\r\n") {
            read_more(stream, &mut message, 1).await;
        }
    } else if let Some((_, rest)) = head.split_once("content-length: ") {
        let length = rest
            .lines()
            .next()
            .and_then(|line| line.parse().ok())
            .expect("a length");
        read_more(stream, &mut message, length).await;
    }
    message
}

async fn read_more(stream: &mut TcpStream, message: &mut String, count: usize) {
    let mut bytes = vec![0; count];
    stream
        .read_exact(&mut bytes)
        .await
        .expect("the message is complete");
    message.extend(bytes.iter().map(|byte| char::from(*byte)));
}

/// Everything until the other side closes, and whether it closed in an orderly way.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is one of the ways to say that the message was cut short.
    let _ = stream.read_to_end(&mut bytes).await;
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

pub(crate) async fn http1<B>(address: SocketAddr) -> http1::SendRequest<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let io = TokioIo::new(connect(address).await);
    let (sender, connection) = http1::handshake(io).await.expect("a handshake");
    tokio::spawn(connection);
    sender
}

/// HTTP/2 with prior knowledge.
pub(crate) async fn http2<B>(address: SocketAddr) -> http2::SendRequest<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let io = TokioIo::new(connect(address).await);
    let handshake = http2::handshake(TokioExecutor::new(), io).await;
    let (sender, connection) = handshake.expect("a handshake");
    tokio::spawn(connection);
    sender
}

pub(crate) async fn text(response: Response<Incoming>) -> String {
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a complete body");
    String::from_utf8(body.to_bytes().to_vec()).expect("text")
}
