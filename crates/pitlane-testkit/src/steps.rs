use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

use super::{Gate, Reply};

type BodyError = Box<dyn std::error::Error + Send + Sync>;
type Step = Pin<Box<dyn Future<Output = Result<Frame<Bytes>, BodyError>> + Send>>;

/// A body that is made step by step, while it is read: data, waits, errors, trailers, and
/// whatever code a handler might run between two frames.
#[derive(Default)]
#[must_use]
pub struct Steps {
    steps: VecDeque<Step>,
    length: Option<u64>,
}

impl Steps {
    /// An empty body.
    pub fn new() -> Self {
        Self::default()
    }

    /// A frame of data that is there at once.
    pub fn data(self, data: impl Into<Bytes>) -> Self {
        let data = data.into();
        self.then(async move { data })
    }

    /// A frame of data that some code makes.
    pub fn then(mut self, work: impl Future<Output = Bytes> + Send + 'static) -> Self {
        self.steps
            .push_back(Box::pin(async move { Ok(Frame::data(work.await)) }));
        self
    }

    /// Waits at a gate, and then gives a frame of data.
    pub fn gated(self, gate: &Gate, data: impl Into<Bytes>) -> Self {
        let (gate, data) = (gate.clone(), data.into());
        self.then(async move {
            gate.pass().await;
            data
        })
    }

    /// The body breaks here.
    pub fn error(mut self) -> Self {
        self.steps
            .push_back(Box::pin(async { Err("the body broke".into()) }));
        self
    }

    /// One trailer.
    ///
    /// # Panics
    ///
    /// When it is none.
    pub fn trailer(mut self, name: &'static str, value: &'static str) -> Self {
        let name = HeaderName::from_static(name);
        let trailers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        self.steps
            .push_back(Box::pin(async move { Ok(Frame::trailers(trailers)) }));
        self
    }

    /// Claims a length, which may be a lie.
    pub const fn claiming(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }

    /// An answer with this body.
    ///
    /// # Panics
    ///
    /// When a header is none.
    #[must_use]
    pub fn reply(self, headers: &[(&str, &str)]) -> Reply {
        let mut response = Response::builder();
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(UnsyncBoxBody::new(self)).expect("an answer")
    }
}

impl Body for Steps {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(step) = self.steps.front_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(step.as_mut().poll(cx));
        self.steps.pop_front();
        Poll::Ready(Some(frame))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steps")
            .field("left", &self.steps.len())
            .finish_non_exhaustive()
    }
}
