use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{body::MeasuredBody, future::MeasuredFuture, measure::Measure};

/// The service that a [`MetricsLayer`](crate::MetricsLayer) makes.
#[derive(Clone, Debug)]
pub struct Measured<S> {
    inner: S,
    measure: Arc<Measure>,
}

impl<S> Measured<S> {
    pub(super) const fn new(inner: S, measure: Arc<Measure>) -> Self {
        Self { inner, measure }
    }
}

impl<S, Q, R> Service<Request<Q>> for Measured<S>
where
    S: Service<Request<Q>, Response = Response<R>>,
{
    type Response = Response<MeasuredBody<R>>;
    type Error = S::Error;
    type Future = MeasuredFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        #[cfg(feature = "explain")]
        if crate::explain::is_marked(&parts) {
            let request = Request::from_parts(parts, body);
            return MeasuredFuture::unmeasured(self.inner.call(request));
        }
        let measuring = Measure::begin(&self.measure, &mut parts);
        let request = Request::from_parts(parts, body);
        MeasuredFuture::new(self.inner.call(request), measuring)
    }
}
