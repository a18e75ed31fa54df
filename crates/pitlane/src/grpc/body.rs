use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::recording::Recording;

pin_project_lite::pin_project! {
    /// The body of an answer: a message and its trailers from the cache, or from the inner
    /// service, as they come.
    pub struct GrpcBody<R>
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
        Stored { message: Option<Bytes>, trailers: Option<HeaderMap> },
        Passing { #[pin] body: R },
        Recorded { recording: Recording<R> },
    }
}

impl<R: Body> GrpcBody<R> {
    pub(crate) const fn stored(message: Bytes, trailers: HeaderMap) -> Self {
        Self {
            kind: Kind::Stored {
                message: Some(message),
                trailers: Some(trailers),
            },
        }
    }

    pub(crate) const fn passing(body: R) -> Self {
        Self {
            kind: Kind::Passing { body },
        }
    }

    pub(crate) const fn recorded(recording: Recording<R>) -> Self {
        Self {
            kind: Kind::Recorded { recording },
        }
    }
}

impl<R> Body for GrpcBody<R>
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
            KindProjection::Stored { message, trailers } => {
                let message = message.take().map(Frame::data);
                let next = message.or_else(|| trailers.take().map(Frame::trailers));
                Poll::Ready(next.map(Ok))
            }
            KindProjection::Passing { body } => body.poll_frame(cx),
            KindProjection::Recorded { recording } => recording.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Stored { trailers, .. } => trailers.is_none(),
            Kind::Passing { body } => body.is_end_stream(),
            Kind::Recorded { recording } => recording.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            // An exact length would become a Content-Length that the handler's own answer hasn't.
            Kind::Stored { .. } | Kind::Recorded { .. } => SizeHint::new(),
            Kind::Passing { body } => body.size_hint(),
        }
    }
}

impl<R: Body> fmt::Debug for GrpcBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Stored { .. } => "Stored",
            Kind::Passing { .. } => "Passing",
            Kind::Recorded { .. } => "Recorded",
        };
        f.debug_tuple("GrpcBody").field(&kind).finish()
    }
}
