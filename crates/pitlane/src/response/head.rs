//! Requests that pass an entry by: HEAD, and parts of the content.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use pitlane_core::{Outcome, Reason};
use pitlane_policy::update;
use tower_service::Service;

use super::{
    body::ResponseBody,
    decorate::dress,
    fetch::{Call, serve_stale},
    lookup::{Stale, response_of},
    service::Reading,
    settle::{Settling, count, is_failure, tell},
};
use crate::cache::Entry;

impl<S, Q> Call<S, Q> {
    /// Passes a request on as it is, though something stale is stored. That may stand in for a
    /// failure, and learns from the answer to a HEAD request.
    pub(crate) async fn pass_by<R>(
        self,
        stale: Stale,
    ) -> Result<Response<ResponseBody<R>>, S::Error>
    where
        S: Service<Request<Q>, Response = Response<R>> + Clone,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send,
    {
        let head = self.ask.scan.head;
        let (outcome, why) = if head {
            (Outcome::Miss, Reason::HeadMiss)
        } else {
            (Outcome::Bypass, Reason::Range)
        };
        let settings = Arc::clone(&self.settings);
        let cache = settings.cache.clone();
        let client = self.request.headers().clone();
        let (basis, seen) = (cache.basis(), Some(client.clone()));
        let (work, settling) = self.run(basis, seen, None, why);
        let answer = work.await;
        let failed = answer
            .as_ref()
            .map_or(true, |response| is_failure(response.status()));
        let entry = Arc::clone(&stale.entry);
        if failed && let Some(fallback) = stale.into_fallback(&cache) {
            let method = if head { Method::HEAD } else { Method::GET };
            let reading = Reading {
                head,
                conditional: Some((&method, &client)),
            };
            let label = settling.label.as_deref();
            return Ok(serve_stale(&settings, label, &fallback, &reading));
        }
        let mut response = answer?;
        count(&settings, settling.label.as_deref(), outcome, why);
        if head && response.status() == StatusCode::OK {
            settling.learn(&entry, &response);
        }
        dress(&settings, response.headers_mut(), false);
        tell(&settings, response.headers_mut(), why, false, why);
        Ok(response.map(ResponseBody::passing))
    }
}

impl Settling {
    /// What the head of a 200 says of the stored answer to GET (RFC 9111 §4.3.5): that it is
    /// still right, and for how long, or that it isn't.
    fn learn<R>(self, entry: &Entry, answer: &Response<R>) {
        let Some(stored) = response_of(entry) else {
            return;
        };
        let length = stored.body().len() as u64;
        let given = stored.given_head();
        if !update::head_confirms(&given, length, answer.headers()) {
            self.asked.withdraw(entry);
            return;
        }
        let (mut parts, ()) = Response::new(()).into_parts();
        parts.headers = answer.headers().clone();
        parts.extensions = answer.extensions().clone();
        // What was invalidated while the request was under way is judged by its position.
        let _ = self.freshen(parts, entry, stored, None);
    }
}
