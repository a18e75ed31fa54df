//! Answers to POST that stand for the URI itself (RFC 9110 §9.3.3).

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, response};
use http_body::Body;
use pitlane_core::{Outcome, Reason};
use tower_service::Service;
use tracing::Instrument;

use super::{
    body::ResponseBody,
    decorate::dress,
    fetch::Call,
    owing::Owing,
    settle::{Settling, tell},
};
use crate::cache::Scope;

impl<S, Q> Call<S, Q> {
    /// Passes a POST request on. An answer that says for how long it is fresh, and that it is
    /// what a GET would bring, is stored as that.
    pub(crate) async fn post<R>(
        self,
        mut owing: Owing,
    ) -> Result<Response<ResponseBody<R>>, S::Error>
    where
        S: Service<Request<Q>, Response = Response<R>> + Clone,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send,
    {
        let why = Reason::Method;
        let settings = Arc::clone(&self.settings);
        let seen = Some(self.request.headers().clone());
        let (work, mut settling) = self.run(settings.cache.basis(), seen, None, why);
        settling.asked.post = true;
        owing.begin();
        let work = work.instrument(settling.asked.filling.span());
        let response = work.await.inspect_err(|_| {
            settling.asker.count(Outcome::Bypass, Reason::Failed);
        })?;
        owing.answered(&response);
        let (mut parts, body) = response.into_parts();
        if owing.names_itself(&parts.headers) && settling.renew(owing, &parts) {
            let response = Response::from_parts(parts, body);
            return Ok(settling.settle_async(response, None).await);
        }
        let outer = Scope::current();
        if outer.is_open() {
            settling.asked.pass_on(&parts, &outer);
        }
        settling.asked.filling.end(why);
        settling.asker.count(Outcome::Bypass, why);
        dress(&settings, &mut parts.headers, false);
        tell(&settings, &mut parts.headers, why, false, why);
        Ok(Response::from_parts(parts, ResponseBody::passing(body)))
    }
}

impl Settling {
    /// Invalidates what the request has changed, and says whether its answer is newer than that,
    /// and than everything else that was invalidated since the request began.
    fn renew(&self, owing: Owing, answer: &response::Parts) -> bool {
        let (gathered, ids) = self.asked.gathered(answer);
        let basis = owing.pay_over(&gathered.basis, &ids);
        let basis = basis.filter(|_| !gathered.stale);
        basis.is_some_and(|basis| self.asked.dependencies.rebase(&gathered, basis))
    }
}
