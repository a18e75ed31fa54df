//! Requests that pass an entry by: HEAD, and parts of the content.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header, response};
use http_body::Body;
use pitlane_core::{Outcome, Reason};
use pitlane_policy::update;
use tower_service::Service;

use super::{
    body::ResponseBody,
    decorate::dress,
    fetch::{Call, serve_stale},
    lookup::{Stale, response_of},
    serve::Reading,
    settle::{Settling, is_failure, tell},
};
use crate::cache::{Entry, Scope, Usable};

impl<S, Q> Call<S, Q> {
    /// Passes a request on as it is, though something stale is stored. That may stand in for a
    /// failure, and learns from the answer to a HEAD request.
    pub(crate) async fn pass_by<R>(
        mut self,
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
        // Judged behind the position: what was ended before it is nothing to renew.
        let known = stale.is_left(&cache);
        let entry = Arc::clone(&stale.entry);
        if head {
            // Its answer may renew what is stored.
            self.hide_unkeyed();
        }
        let (work, settling) = self.run(basis, seen, None, why);
        let answer = work.await;
        let failed = answer
            .as_ref()
            .map_or(true, |response| is_failure(response.status()));
        if failed && let Some(fallback) = stale.into_fallback(&cache) {
            let reading = Reading {
                head,
                conditional: Some(&client),
                headers: Some(&client),
            };
            settling.asked.filling.end(Reason::Failed);
            let status = answer.ok().map(|response| response.status());
            let asker = &settling.asker;
            return Ok(serve_stale(&settings, asker, &fallback, &reading, status));
        }
        if answer.is_err() {
            settling.asker.count(outcome, Reason::Failed);
        }
        let (mut parts, body) = answer?.into_parts();
        let outer = Scope::current();
        if outer.is_open() {
            settling.asked.pass_on(&parts, &outer);
        }
        settling.asked.filling.end(why);
        settling.asker.count(outcome, why);
        if head && parts.status == StatusCode::OK && known {
            settling.learn(&entry, &parts);
        }
        dress(&settings, &mut parts.headers, false);
        tell(&settings, &mut parts.headers, why, false, why);
        Ok(Response::from_parts(parts, ResponseBody::passing(body)))
    }
}

impl Settling {
    /// What the head of a 200 says of the stored answer to GET (RFC 9111 §4.3.5): that it is
    /// still right, and for how long, or that it isn't.
    fn learn(self, entry: &Arc<Entry>, answer: &response::Parts) {
        let Some(stored) = response_of(entry) else {
            return;
        };
        let length = stored.body().len() as u64;
        if !update::head_confirms(&stored.given_head(), length, &answer.headers) {
            self.end(entry);
            return;
        }
        let named = [header::ETAG, header::LAST_MODIFIED];
        let named = named.iter().any(|name| answer.headers.contains_key(name));
        // Without a validator nothing tells one content from another of the same length.
        if named && stored.has_validator() {
            let (mut parts, ()) = Response::new(()).into_parts();
            parts.headers = answer.headers.clone();
            parts.extensions = answer.extensions.clone();
            // What was invalidated meanwhile is judged by the position. The body stays at home:
            // nobody is to send it to Redis by asking for heads.
            let _ = self.freshen(parts, entry, stored, None, false);
        }
    }

    /// Ends what an answer contradicts. What is stale already may still be validated.
    fn end(&self, entry: &Arc<Entry>) {
        let shared = self.asked.settings.cache.shared();
        let now = shared.clock.now();
        if matches!(entry.judge(&shared.log, now), Usable::Fresh { .. }) {
            self.asked.withdraw(entry);
        }
    }
}
