use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{recording::Recording, swap::SwappedBody};

pin_project_lite::pin_project! {
    /// The body of an answer: from the cache, from the inner service as it is, or from the inner
    /// service while it is recorded.
    pub struct ResponseBody<R>
    where
        R: Body,
    {
        #[pin]
        kind: Kind<R>,
    }
}

pin_project_lite::pin_project! {
    #[project = KindProjection]
    enum Kind<R>
    where
        R: Body,
    {
        Full { bytes: Bytes },
        Passing { #[pin] body: R },
        Recorded { recording: Recording<R> },
        Swapped { body: Box<SwappedBody<R>> },
    }
}

impl<R: Body> ResponseBody<R> {
    pub(crate) const fn full(bytes: Bytes) -> Self {
        Self {
            kind: Kind::Full { bytes },
        }
    }

    pub(crate) const fn passing(body: R) -> Self {
        Self {
            kind: Kind::Passing { body },
        }
    }

    /// One in which markers are replaced.
    pub(crate) fn swapped(body: SwappedBody<R>) -> Self {
        Self {
            kind: Kind::Swapped {
                body: Box::new(body),
            },
        }
    }

    /// The bytes, if they are all there.
    pub(crate) fn into_full(self) -> Result<Bytes, Self> {
        match self.kind {
            Kind::Full { bytes } => Ok(bytes),
            kind => Err(Self { kind }),
        }
    }

    pub(crate) const fn recorded(recording: Recording<R>) -> Self {
        Self {
            kind: Kind::Recorded { recording },
        }
    }
}

/// An empty one: layers around the cache that make answers of their own (timeouts, sessions) ask
/// for it.
impl<R: Body> Default for ResponseBody<R> {
    fn default() -> Self {
        Self::full(Bytes::new())
    }
}

impl<R> Body for ResponseBody<R>
where
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match self.project().kind.project() {
            KindProjection::Full { bytes } if bytes.is_empty() => Poll::Ready(None),
            KindProjection::Full { bytes } => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
            KindProjection::Passing { body } => body.poll_frame(cx),
            KindProjection::Recorded { recording } => recording.poll_frame(cx),
            KindProjection::Swapped { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full { bytes } => bytes.is_empty(),
            Kind::Passing { body } => body.is_end_stream(),
            Kind::Recorded { recording } => recording.is_end_stream(),
            Kind::Swapped { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full { bytes } => SizeHint::with_exact(bytes.len() as u64),
            Kind::Passing { body } => body.size_hint(),
            Kind::Recorded { recording } => recording.size_hint(),
            Kind::Swapped { body } => body.size_hint(),
        }
    }
}

impl<R: Body> fmt::Debug for ResponseBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Full { .. } => "Full",
            Kind::Passing { .. } => "Passing",
            Kind::Recorded { .. } => "Recorded",
            Kind::Swapped { .. } => "Swapped",
        };
        f.debug_tuple("ResponseBody").field(&kind).finish()
    }
}
