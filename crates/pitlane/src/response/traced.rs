//! Requests that somebody collects traces of.

use http::request::Parts;

use super::{
    bounds::{Answered, Asked, Inner},
    future::ResponseFuture,
    service::ResponseCache,
};
use crate::trace;

impl<S: Clone> ResponseCache<S> {
    /// Answers within a span of its own. An answer that is there at once needs no more of it.
    #[cold]
    pub(super) fn answer_traced<Q, R>(&self, parts: Parts, body: Q) -> ResponseFuture<S, Q, R>
    where
        S: Inner<Q, R>,
        Q: Asked,
        R: Answered,
    {
        let span = trace::request(self.settings.cache.name());
        if span.is_disabled() {
            return self.answer_now(parts, body);
        }
        let answer = span.in_scope(|| self.answer_now(parts, body));
        answer.within(span)
    }
}
