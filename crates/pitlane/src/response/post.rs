//! Answers to POST that stand for the URI itself (RFC 9110 §9.3.3).

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pitlane_core::{Outcome, Reason};
use tower_service::Service;

use super::{
    body::ResponseBody,
    decorate::dress,
    fetch::Call,
    owing::Owing,
    settle::{Settling, count, tell},
};

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
        let mut response = work.await?;
        owing.answered(response.status(), response.headers());
        if owing.names_itself(response.headers()) && settling.renew(owing, &response) {
            return Ok(settling.settle_async(response, None).await);
        }
        count(&settings, settling.label.as_deref(), Outcome::Bypass, why);
        dress(&settings, response.headers_mut(), false);
        tell(&settings, response.headers_mut(), why, false, why);
        Ok(response.map(ResponseBody::passing))
    }
}

impl Settling {
    /// Invalidates what the request has changed, and says whether its answer is newer than that,
    /// and than everything else that was invalidated since the request began.
    fn renew<R>(&mut self, owing: Owing, response: &Response<R>) -> bool {
        let (mut head, ()) = Response::new(()).into_parts();
        head.status = response.status();
        head.headers = response.headers().clone();
        head.extensions = response.extensions().clone();
        let gathered = self.asked.gathered(&head);
        let basis = owing.pay_over(&gathered);
        let Some(basis) = basis.filter(|_| !gathered.stale) else {
            return false;
        };
        self.asked.rebase(basis, gathered);
        true
    }
}
