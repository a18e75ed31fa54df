use std::{
    convert::Infallible,
    fmt::{self, Write as _},
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use pitlane_testkit::{Reply, ReplyBody};
use tower_service::Service;

/// All that a handler can see of a request.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The target, with scheme and authority where the request had them.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Seen {
    /// One header's value; empty when it is absent or no text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Everything, as text.
    #[must_use]
    pub fn echo(&self) -> String {
        let mut text = format!("{} {}\n", self.method, self.uri);
        for (name, value) in &self.headers {
            let _ = writeln!(text, "{name}: {}", value.as_bytes().escape_ascii());
        }
        let _ = writeln!(text, "body: {}", self.body.escape_ascii());
        text
    }
}

/// What the fixture answers with.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers beside those that every answer has.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub content: Content,
}

/// A body.
#[derive(Clone, Debug)]
pub enum Content {
    /// Everything that was seen.
    Echo,
    /// This text.
    Text(String),
    /// Nothing, and its head says so.
    Empty,
    /// Nothing, but only its end says so.
    EmptyStream,
}

impl Default for Answer {
    fn default() -> Self {
        Self::status(200)
    }
}

impl Answer {
    /// An echo with this status.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content: Content::Echo,
        }
    }

    /// With one more header line.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With another body.
    #[must_use]
    pub fn content(mut self, content: Content) -> Self {
        self.content = content;
        self
    }
}

type Script = Arc<dyn Fn(&Seen, usize) -> Answer + Send + Sync>;

/// A handler that reflects every input in its answer's body and headers, and counts its calls.
#[derive(Clone)]
pub struct Fixture {
    script: Script,
    cache_control: Option<&'static str>,
    calls: Arc<AtomicUsize>,
}

impl Fixture {
    /// A handler that answers as `script` says, which is given the number of the call from 1.
    pub fn new(script: impl Fn(&Seen, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self {
            script: Arc::new(script),
            cache_control: None,
            calls: Arc::default(),
        }
    }

    /// A Cache-Control for answers that don't have their own.
    #[must_use]
    pub const fn cache_control(mut self, value: Option<&'static str>) -> Self {
        self.cache_control = value;
        self
    }

    /// How often it was called.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn reply(&self, seen: &Seen) -> Reply {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = (self.script)(seen, call);
        let mut response = Response::builder()
            .status(StatusCode::from_u16(answer.status).expect("a status"))
            .header("x-call", call)
            .header("x-echo-uri", seen.uri.to_string())
            .header("x-echo-host", seen.header("host"))
            .header("x-echo", seen.header("x-reflect"));
        let has = |name| answer.headers.iter().any(|(known, _)| *known == name);
        if let Some(value) = self.cache_control.filter(|_| !has("cache-control")) {
            response = response.header("cache-control", value);
        }
        if !has("content-type") {
            response = response.header("content-type", "text/plain");
        }
        for (name, value) in &answer.headers {
            response = response.header(*name, value);
        }
        let body = match answer.content {
            Content::Echo => full(seen.echo()),
            Content::Text(text) => full(text),
            Content::Empty => full(""),
            Content::EmptyStream => UnsyncBoxBody::new(Nothing),
        };
        response.body(body).expect("an answer")
    }
}

fn full(bytes: impl Into<Bytes>) -> ReplyBody {
    UnsyncBoxBody::new(Full::new(bytes.into()).map_err(|never: Infallible| match never {}))
}

/// A body that doesn't know that it is empty.
struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(None)
    }
}

impl<B> Service<Request<B>> for Fixture
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Debug,
{
    type Response = Reply;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let fixture = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            // A body that breaks off is as long as it came.
            let body = body.collect().await.map(|body| body.to_bytes());
            let seen = Seen {
                method: head.method.to_string(),
                uri: head.uri,
                headers: head.headers,
                body: body.unwrap_or_default(),
            };
            Ok(fixture.reply(&seen))
        })
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture")
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}
