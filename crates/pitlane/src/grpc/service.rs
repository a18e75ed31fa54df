use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use pitlane_core::Reason;
use tower_service::Service;
use tracing::Instrument;

use super::{
    admit::admit,
    body::GrpcBody,
    future::{GrpcFuture, Reading},
    layer::{Method, Settings},
};
use crate::{replay::ReplayBody, response::outcome, trace};

/// The service that a [`GrpcCacheLayer`](crate::GrpcCacheLayer) makes.
///
/// It is always ready: a hit doesn't need the inner service. On a miss the inner service is
/// cloned and driven to readiness on its own.
#[derive(Clone)]
pub struct GrpcCache<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> GrpcCache<S> {
    pub(crate) const fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl<S, Q, R> Service<Request<Q>> for GrpcCache<S>
where
    S: Service<Request<ReplayBody<Q>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    Q: Body<Data = Bytes> + Send + 'static,
    Q::Error: Send,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    type Response = Response<GrpcBody<R>>;
    type Error = S::Error;
    type Future = GrpcFuture<S, Q, R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        if !trace::is_wanted() {
            return self.answer(request);
        }
        let span = trace::request(self.settings.cache.name());
        if span.is_disabled() {
            return self.answer(request);
        }
        let answer = span.in_scope(|| self.answer(request));
        GrpcFuture::boxed(answer.instrument(span))
    }
}

impl<S: Clone> GrpcCache<S> {
    fn answer<Q, R>(&self, request: Request<Q>) -> GrpcFuture<S, Q, R>
    where
        S: Service<Request<ReplayBody<Q>>, Response = Response<R>>,
        Q: Body<Data = Bytes>,
        R: Body,
    {
        let (parts, body) = request.into_parts();
        let Some(method) = self.settings.methods.get(parts.uri.path()).cloned() else {
            return self.pass(None, Reason::NotNamed, parts, body);
        };
        match admit(&self.settings, &method, &parts) {
            Err(reason) => self.pass(Some(&method), reason, parts, body),
            Ok(admitted) => GrpcFuture::reading(Reading::new(
                self.inner.clone(),
                Arc::clone(&self.settings),
                method,
                admitted,
                parts,
                body,
            )),
        }
    }

    fn pass<Q, R>(
        &self,
        method: Option<&Method>,
        reason: Reason,
        parts: Parts,
        body: Q,
    ) -> GrpcFuture<S, Q, R>
    where
        S: Service<Request<ReplayBody<Q>>, Response = Response<R>>,
        Q: Body<Data = Bytes>,
        R: Body,
    {
        self.settings.count(&parts, method, outcome(reason), reason);
        let request = Request::from_parts(parts, ReplayBody::passing(body));
        // What the cache has nothing to do with stays as it is.
        let telling = method.map(|_| reason);
        GrpcFuture::pass(self.inner.clone(), request, &self.settings, telling)
    }
}

impl<S> fmt::Debug for GrpcCache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcCache")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
