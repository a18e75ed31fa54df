use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::{Body, Frame, SizeHint};

use super::measure::Measuring;

pin_project_lite::pin_project! {
    /// The body of a response of a [`Measured`](crate::Measured) service: the inner service's own.
    /// Its request is recorded when it ends, fails or is dropped, whichever is first.
    pub struct MeasuredBody<R> {
        #[pin]
        inner: R,
        measuring: Option<Measuring>,
    }
}

impl<R> MeasuredBody<R> {
    pub(super) const fn new(inner: R, measuring: Option<Measuring>) -> Self {
        Self { inner, measuring }
    }
}

impl<R: Body> Body for MeasuredBody<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        let mut this = self.project();
        let read = ready!(this.inner.as_mut().poll_frame(cx));
        // Who knows that it was the last frame doesn't ask for another.
        if this.measuring.is_some()
            && (matches!(read, None | Some(Err(_))) || this.inner.is_end_stream())
        {
            *this.measuring = None;
        }
        Poll::Ready(read)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// For bodies that say what they are without being read, and for those who want none.
impl<R: Default> Default for MeasuredBody<R> {
    fn default() -> Self {
        Self::new(R::default(), None)
    }
}

impl<R> fmt::Debug for MeasuredBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeasuredBody").finish_non_exhaustive()
    }
}
