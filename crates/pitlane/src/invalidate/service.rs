use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{InvalidateFuture, layer::Settings};

/// The service that an [`InvalidateLayer`](crate::InvalidateLayer) makes.
#[derive(Clone)]
pub struct Invalidate<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Invalidate<S> {
    pub(super) const fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl<S, Q, R> Service<Request<Q>> for Invalidate<S>
where
    S: Service<Request<Q>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = InvalidateFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let mut owing = self.settings.owing(&mut parts);
        // Some services begin when they are called, and not when they are first polled.
        if let Some(owing) = &mut owing {
            owing.begin();
        }
        let work = self.inner.call(Request::from_parts(parts, body));
        InvalidateFuture::new(work, Arc::clone(&self.settings), owing)
    }
}

impl<S: fmt::Debug> fmt::Debug for Invalidate<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invalidate")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
