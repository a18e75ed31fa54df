//! Recorded requests and answers, explained by the same layer as live ones.
//!
//! A recording goes through a [`ResponseCacheLayer`] over an empty cache, with a handler that answers
//! as it did when it was recorded: nothing is decided here that the layer wouldn't decide. No
//! clock is read and nothing is waited for.
//!
//! # Example
//!
//! ```
//! use pitlane::explain::offline::{self, Options};
//!
//! # fn main() -> Result<(), pitlane::Error> {
//! let recording = offline::read(b"\
//! GET /clubs HTTP/1.1
//! host: example.org
//! cookie: session=1
//!
//! HTTP/1.1 200 OK
//! cache-control: max-age=60
//! ")?;
//! let why = offline::explain(&recording.exchanges[0], &Options::new())?;
//! assert_eq!(
//!     why.sentence,
//!     "The request carries a cookie that is not listed as harmless: `session`.",
//! );
//!
//! let options = Options::new().add_harmless_cookie("session");
//! let why = offline::explain(&recording.exchanges[0], &options)?;
//! assert!(why.stored);
//! # Ok(())
//! # }
//! ```

mod canned;
mod har;
mod heads;
mod instant;
mod options;

use std::{
    fmt,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version, header};
use pitlane_core::Timestamp;
use pitlane_policy::date;
use tower::ServiceExt;
use tower_layer::Layer;

#[cfg(doc)]
use crate::ResponseCacheLayer;
use crate::error::{Error, ErrorKind};

use super::{asking, explanation::Explanation};
use canned::Canned;
pub use har::read_har;
pub use heads::read_heads;
pub use options::Options;

/// A longer recording is refused, in bytes.
pub const MOST_BYTES: usize = 64 << 20;
/// More of them in one recording are refused.
pub const MOST_EXCHANGES: usize = 10_000;
/// More fields in one head are refused.
pub const MOST_FIELDS: usize = 1000;

/// What was read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recording {
    /// What can be explained, in the order in which it was recorded.
    pub exchanges: Vec<Exchange>,
    /// What is in it beside that, and why it can't be.
    pub skipped: Vec<Skipped>,
}

/// What a recording holds that is no request with its answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Skipped {
    /// Where: the path in the JSON document.
    pub place: String,
    /// Why it was left out.
    pub why: String,
}

/// A request and its answer.
#[derive(Clone)]
pub struct Exchange {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) version: Version,
    pub(super) request: HeaderMap,
    /// The request had a body.
    pub(super) asks_with_body: bool,
    pub(super) status: StatusCode,
    pub(super) response: HeaderMap,
    pub(super) content: Content,
    /// When the answer came, in milliseconds since the Unix epoch.
    pub(super) received: Option<Timestamp>,
}

/// What is known of a body.
#[derive(Clone)]
pub(super) enum Content {
    /// All of it.
    Text(Bytes),
    /// How long it is.
    Size(u64),
    /// Nothing but the head.
    Unknown,
}

/// Reads a recording: HAR 1.2 if it begins like JSON, else a pair of header blocks.
///
/// # Errors
///
/// [`ErrorKind::Explain`] if it is neither; the message names the place in the JSON document, or the
/// line.
pub fn read(recording: &[u8]) -> Result<Recording, Error> {
    let recording = recording.strip_prefix(b"\xef\xbb\xbf").unwrap_or(recording);
    if recording.trim_ascii_start().first() == Some(&b'{') {
        read_har(recording)
    } else {
        read_heads(recording)
    }
}

/// How a layer with these options would have answered, had it met the request first.
///
/// # Errors
///
/// [`ErrorKind::Configuration`] if the options make no layer.
pub fn explain(exchange: &Exchange, options: &Options) -> Result<Explanation, Error> {
    let (caches, layer) = options.layer(exchange.received(options))?;
    let cache = caches.get("default")?;
    let answer = exchange.answer(cache.tier().max_body());
    let service = layer.layer(tower::service_fn(move |_| {
        let answer = answer.clone();
        async move { Ok::<_, std::convert::Infallible>(answer) }
    }));
    let (request, asked) = asking::pretend(exchange.request());
    let mut work = pin!(service.oneshot(request));
    // Nothing in it waits: it answers when it is asked to.
    let answer = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    if let Poll::Ready(Ok(answer)) = answer {
        canned::read(answer.into_body());
    }
    asked.explanations().pop().ok_or_else(|| {
        let message = "the layer did not answer: that is a mistake of Pitlane's";
        Error::new(ErrorKind::Explain, message)
    })
}

impl Exchange {
    /// The method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// What was asked for.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The answer's status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    fn request(&self) -> Request<Canned> {
        let mut request = Request::new(if self.asks_with_body {
            Canned::of(Bytes::from_static(b" "))
        } else {
            Canned::default()
        });
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        *request.headers_mut() = self.request.clone();
        request
    }

    /// The answer as a handler gives it. What was recorded of its length may be that of another
    /// form, so it is what the content's is, unless it says too much.
    fn answer(&self, max_body: u64) -> Response<Canned> {
        let mut headers = self.response.clone();
        let declared = declared(&headers);
        headers.remove(header::CONTENT_LENGTH);
        let never = matches!(self.status.as_u16(), 100..=199 | 204 | 205 | 304);
        let content = match &self.content {
            Content::Text(text) => text.clone(),
            Content::Size(0) => Bytes::new(),
            Content::Unknown if never || declared == Some(0) => Bytes::new(),
            Content::Size(_) | Content::Unknown => Bytes::from_static(b" "),
        };
        let size = match self.content {
            Content::Size(size) => Some(size),
            _ => declared,
        };
        if let Some(size) = size.filter(|size| *size > max_body) {
            headers.insert(header::CONTENT_LENGTH, size.into());
        }
        let mut answer = Response::new(Canned::of(content));
        *answer.status_mut() = self.status;
        *answer.headers_mut() = headers;
        answer
    }

    /// When it was received: as recorded, or when the answer says that it was made.
    fn received(&self, options: &Options) -> Timestamp {
        let said = self.response.get(header::DATE).and_then(date::parse);
        let received = self.received.or_else(|| said.map(Timestamp::from));
        received.unwrap_or(options.at)
    }
}

fn declared(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Neither the query nor any field: they may be secrets.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("method", &self.method)
            .field("host", &self.uri.host())
            .field("path", &self.uri.path())
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Explain, message)
}
