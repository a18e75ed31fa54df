//! Requests that somebody collects traces of.

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use tower_service::Service;

use super::{future::ResponseFuture, service::ResponseCache};
use crate::trace;

impl<S: Clone> ResponseCache<S> {
    /// Answers within a span of its own. An answer that is there at once needs no more of it.
    #[cold]
    pub(super) fn answer_traced<Q, R>(&self, parts: Parts, body: Q) -> ResponseFuture<S, Q, R>
    where
        S: Service<Request<Q>, Response = Response<R>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        Q: Body + Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send,
    {
        let span = trace::request(self.settings.cache.name());
        if span.is_disabled() {
            return self.answer_now(parts, body);
        }
        let answer = span.in_scope(|| self.answer_now(parts, body));
        answer.within(span)
    }
}
