//! A client that sees everything of an answer.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pitlane_testkit::Server;
use tokio::{net::TcpStream, time::timeout};

use crate::fixture::{CACHED, DEADLINE, message};

type Body = UnsyncBoxBody<Bytes, &'static str>;

/// One HTTP/2 connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Client {
    sender: http2::SendRequest<Body>,
    authority: String,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) head: HeaderMap,
    /// All data frames, one behind the other.
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Client {
    pub(crate) async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let io = TokioIo::new(stream);
        // A small window: what a test doesn't read soon stays with the server.
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(1 << 16)
            .initial_connection_window_size(1 << 20)
            .handshake(io)
            .await
            .unwrap();
        tokio::spawn(connection);
        Self {
            sender,
            authority: "echo.test".to_owned(),
        }
    }

    /// The same connection, by another name of the server.
    pub(crate) fn named(&self, authority: &str) -> Self {
        Self {
            sender: self.sender.clone(),
            authority: authority.to_owned(),
        }
    }

    /// Calls the cached method.
    pub(crate) async fn call(&self, text: &str) -> Answer {
        self.call_with(text, &[]).await
    }

    pub(crate) async fn call_with(&self, text: &str, metadata: &[(&str, &str)]) -> Answer {
        self.send(self.request(CACHED, metadata, full(message(text))))
            .await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let answer = async {
            let response = self.sender.clone().send_request(request).await.unwrap();
            Answer::read(response).await
        };
        timeout(DEADLINE, answer).await.expect("an answer in time")
    }

    /// Sends a request; the head comes, and the body is left to the caller.
    pub(crate) async fn open(&self, request: Request<Body>) -> http::Response<Incoming> {
        let mut sender = self.sender.clone();
        let answer = timeout(DEADLINE, sender.send_request(request)).await;
        answer.expect("a head in time").unwrap()
    }

    /// A request as gRPC clients make it, where `metadata` doesn't say otherwise.
    pub(crate) fn request(
        &self,
        path: &str,
        metadata: &[(&str, &str)],
        body: Body,
    ) -> Request<Body> {
        let mut request = Request::post(format!("http://{}{path}", self.authority));
        let named = |name: &str| metadata.iter().any(|(there, _)| *there == name);
        for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
            if !named(name) {
                request = request.header(name, value);
            }
        }
        for (name, value) in metadata {
            request = request.header(*name, *value);
        }
        request.body(body).unwrap()
    }
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

impl Answer {
    async fn read(response: http::Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned();
        Self {
            status: parts.status,
            head: parts.headers,
            body: body.to_bytes(),
            trailers,
        }
    }

    /// The text of its only message.
    pub(crate) fn text(&self) -> &str {
        let text = std::str::from_utf8(&self.body[5..]).unwrap();
        assert_eq!(self.body, message(text));
        text
    }

    pub(crate) fn cache_status(&self) -> &str {
        let value = self.head.get("cache-status");
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// The last word of Cache-Status.
    pub(crate) fn detail(&self) -> &str {
        self.cache_status().rsplit("detail=").next().unwrap()
    }

    pub(crate) fn is_hit(&self) -> bool {
        self.cache_status().starts_with("pitlane; hit")
    }

    /// Its status, from the trailers or, where there are none, from the head.
    pub(crate) fn grpc_status(&self) -> &str {
        let fields = self.trailers.as_ref().unwrap_or(&self.head);
        let value = fields.get("grpc-status");
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// What is the handler's own in its head.
    pub(crate) fn own_head(&self) -> HeaderMap {
        let mut head = self.head.clone();
        head.remove("cache-status");
        head.remove(header::DATE);
        head
    }
}

/// Lets everything that is ready run for a moment, where a test shows that something does *not*
/// happen.
pub(crate) async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}
