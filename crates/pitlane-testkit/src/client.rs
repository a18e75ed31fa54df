use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};

/// Which HTTP a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

/// A real client with a connection pool.
#[derive(Clone)]
pub struct Client(Pool<HttpConnector, Full<Bytes>>);

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// One header's value as text; empty when it is absent.
    ///
    /// # Panics
    ///
    /// When the value is no text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("a header of text"))
    }

    /// The body as text.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    /// Whether Cache-Status says that it came from the cache.
    #[must_use]
    pub fn is_hit(&self) -> bool {
        self.header("cache-status").starts_with("pitlane; hit")
    }

    /// The `detail` of Cache-Status.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.header("cache-status")
            .rsplit_once("detail=")
            .map_or("", |(_, detail)| detail)
    }
}

impl Client {
    /// A client that speaks one HTTP only.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        let mut builder = Pool::builder(TokioExecutor::new());
        builder.http2_only(protocol == Protocol::Http2);
        Self(builder.build_http())
    }

    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn begin(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
        self.0.request(request).await
    }

    /// Sends a request and waits for the whole answer.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let (head, body) = self.begin(request).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Answer {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    /// Sends a request without a body.
    pub async fn ask(&self, method: Method, url: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::default()).expect("a request"))
            .await
    }

    /// Sends a GET.
    pub async fn get(&self, url: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask(Method::GET, url, headers).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// One GET over HTTP/1.1 with a client of its own.
pub async fn get(url: &str, headers: &[(&str, &str)]) -> Answer {
    Client::new(Protocol::Http1).get(url, headers).await
}

/// What Cache-Status says, for one-line assertions.
#[must_use]
pub fn status_of(answer: &Answer) -> String {
    answer.header("cache-status").to_owned()
}
