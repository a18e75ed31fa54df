use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;

use super::{
    body::MeasuredBody,
    measure::{Measuring, Status},
};

pin_project_lite::pin_project! {
    /// The future of a [`Measured`](crate::Measured) service. Dropped before it is done, it records
    /// the request as dropped.
    pub struct MeasuredFuture<F> {
        #[pin]
        inner: F,
        measuring: Option<Measuring>,
    }
}

impl<F> MeasuredFuture<F> {
    pub(super) const fn new(inner: F, measuring: Measuring) -> Self {
        Self {
            inner,
            measuring: Some(measuring),
        }
    }
}

#[cfg(feature = "explain")]
impl<F> MeasuredFuture<F> {
    /// Of a request that is none of those that are measured.
    pub(super) const fn unmeasured(inner: F) -> Self {
        Self {
            inner,
            measuring: None,
        }
    }
}

impl<F, R, E> Future for MeasuredFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<MeasuredBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        let mut measuring = this.measuring.take();
        if let Some(measuring) = &mut measuring {
            measuring.answered(answer.as_ref().map_or(Status::Error, |response| {
                Status::Answered(response.status())
            }));
        }
        Poll::Ready(answer.map(|response| response.map(|body| MeasuredBody::new(body, measuring))))
    }
}

impl<F> fmt::Debug for MeasuredFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeasuredFuture").finish_non_exhaustive()
    }
}
