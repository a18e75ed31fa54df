use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pitlane_core::{Joined, Reason};
use tower_service::Service;
use tracing::Instrument;

use super::{
    body::ResponseBody,
    bounds::{Answered, Asked, Inner},
    fetch::Call,
    lookup::{Found, Stale, find},
    settle::is_failure,
};
use crate::cache::{Flown, Lead};
use crate::{stats::Trouble, trace};

impl<S, Q> Call<S, Q> {
    /// Renews an entry in the background, unless somebody does already.
    pub(crate) fn refresh<R>(self)
    where
        S: Inner<Q, R>,
        Q: Asked,
        R: Answered,
    {
        // Whoever asked has its answer.
        self.asker.dismiss();
        let Joined::Lead(lead) = self.join() else {
            return;
        };
        let cache = self.settings.cache.clone();
        let timeout = self.settings.refresh_timeout;
        let span = trace::refresh(cache.name());
        let renewal = async move {
            let work = async {
                let Ok(response) = self.renew(lead).await else {
                    return;
                };
                drain(response.into_body()).await;
            };
            if tokio::time::timeout(timeout, work).await.is_err() {
                tracing::debug!("a refresh in the background took too long");
            }
        };
        let spawned = cache.shared().spawn(renewal.instrument(span));
        if !spawned {
            cache.note(Trouble::BackgroundFull);
        }
    }

    /// The computation of a refresh: like a leader's, but the stale entry it replaces stays when
    /// it fails, and nobody's request is counted.
    async fn renew<R>(mut self, lead: Lead) -> Result<Response<ResponseBody<R>>, S::Error>
    where
        S: Service<Request<Q>, Response = Response<R>> + Clone,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send,
    {
        let cache = self.settings.cache.clone();
        let now = cache.shared().clock.now();
        let (found, variant) = find(&cache, &self.place.key, self.request.headers(), now);
        self.variant = variant;
        let stale = match found {
            Found::Fresh { entry, .. } => {
                lead.land(Flown::Entry(entry));
                return Ok(Response::new(ResponseBody::full(Bytes::new())));
            }
            Found::WhileRevalidate {
                entry,
                age,
                stale_for,
            } => Some(Stale {
                entry,
                age,
                stale_for,
                on_error: false,
            }),
            Found::Miss { stale, .. } => stale,
            _ => None,
        };
        if let Some(Found::Fresh { entry, .. }) = self.look_remote().await {
            lead.land(Flown::Entry(entry));
            return Ok(Response::new(ResponseBody::full(Bytes::new())));
        }
        let (work, settling) = self.compute(Some(&lead), Reason::Expired, stale.as_ref());
        let answer = work.instrument(settling.asked.filling.span()).await;
        if answer
            .as_ref()
            .map_or(true, |answer| is_failure(answer.status()))
        {
            settling.asked.filling.end(Reason::Failed);
        }
        let response = answer?;
        if is_failure(response.status()) {
            lead.land(Flown::Failed);
            return Ok(response.map(ResponseBody::passing));
        }
        Ok(settling.quiet().settle_async(response, Some(lead)).await)
    }
}

/// Reads a body to its end and forgets it.
async fn drain<B: Body>(body: B) {
    let mut body = std::pin::pin!(body);
    while let Some(Ok(_)) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {}
}
