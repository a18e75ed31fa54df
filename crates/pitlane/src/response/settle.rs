use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use http_body::Body;
use pitlane_core::Reason;

use super::{
    body::ResponseBody,
    decorate::dress,
    layer::Settings,
    lookup::response_of,
    recording::Recording,
    serve::{Reading, serve},
    status::{Telling, outcome},
    store::{Asked, Committed},
};
use crate::cache::{Entry, Flown, Lead, Scope};
use crate::stats::Asker;

/// What is left to do when the inner service has answered.
#[derive(Debug)]
pub(crate) struct Settling {
    pub(crate) asked: Asked,
    /// Preconditions of the client that the inner service did not see.
    pub(crate) conditional: Option<HeaderMap>,
    /// What the inner service was asked to confirm.
    pub(crate) validating: Option<Arc<Entry>>,
    pub(crate) why: Reason,
    pub(crate) asker: Asker,
    /// Whether it answers a request: a refresh doesn't.
    pub(crate) counted: bool,
}

impl Settling {
    /// Nobody's request is counted for a refresh.
    pub(crate) fn quiet(self) -> Self {
        Self {
            counted: false,
            ..self
        }
    }

    pub(crate) fn count(&self, reason: Reason) {
        if reason == Reason::Failed {
            self.asked.filling.end(reason);
        }
        if self.counted {
            let outcome = outcome(self.why);
            self.asker.count(outcome, reason);
        }
    }

    pub(crate) async fn settle_async<R>(
        self,
        response: Response<R>,
        lead: Option<Lead>,
    ) -> Response<ResponseBody<R>>
    where
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send,
    {
        let mut work = Some((self, response, lead));
        std::future::poll_fn(move |cx| match work.take() {
            Some((settling, response, lead)) => Poll::Ready(settling.settle(cx, response, lead)),
            None => Poll::Pending,
        })
        .await
    }

    /// Decides from the answer's head whether it is stored, and sends it on its way.
    pub(crate) fn settle<R>(
        mut self,
        cx: &mut Context<'_>,
        response: Response<R>,
        lead: Option<Lead>,
    ) -> Response<ResponseBody<R>>
    where
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send,
    {
        let why = self.why;
        let settings = Arc::clone(&self.asked.settings);
        let (mut parts, body) = response.into_parts();
        let validated = self.validating.take();
        if parts.status == StatusCode::NOT_MODIFIED
            && let Some(entry) = &validated
        {
            return self.confirmed(parts, entry, lead);
        }
        self.asked.date(&mut parts.headers);
        let outer = Scope::current();
        if outer.is_open() {
            self.asked.pass_on(&parts, &outer);
        }
        let exact = body.size_hint().exact();
        let judged = if validated.is_some() && parts.status.is_server_error() {
            // What could not be validated may still stand in for the next failure.
            Err(Reason::Failed)
        } else {
            self.asked.judge(&parts, body.is_end_stream(), exact)
        };
        if let Err(reason) = &judged {
            self.asked.filling.end(*reason);
        }
        // What nobody else can use is nothing to wait for.
        let shared = judged
            .as_ref()
            .map_or(true, |judged| !judged.is_never_fresh());
        let lead = if shared { lead } else { release(lead) };
        self.count(judged.as_ref().err().copied().unwrap_or(why));
        let drafted = match judged {
            Ok(judged) => Ok(self.asked.draft(&parts, judged, lead)),
            Err(reason) => Err(reason_to_pass(&self.asked, &parts, lead, reason)),
        };
        dress(&settings, &mut parts.headers, drafted.is_ok());
        let draft = match drafted {
            Ok(draft) => draft,
            Err(reason) => {
                tell(&settings, &mut parts.headers, why, false, reason);
                return Response::from_parts(parts, ResponseBody::passing(body));
            }
        };
        let recording = Recording::new(body, draft);
        if let Some(committed) = recording.prefetch(cx) {
            outer.absorb(recording.dependencies());
            return complete(&settings, parts, &committed, self.conditional.as_ref(), why);
        }
        recording.drive_for_followers();
        tell(
            &settings,
            &mut parts.headers,
            why,
            recording.is_recording(),
            why,
        );
        Response::from_parts(parts, ResponseBody::recorded(recording))
    }
}

/// Lets everybody who waits go.
fn release(lead: Option<Lead>) -> Option<Lead> {
    if let Some(lead) = lead {
        lead.release();
    }
    None
}

/// Lets everybody who waits go, because the answer can't be stored. Others need not wait for
/// this key for a while. A failure says nothing about the next answer, and must not push out what
/// may be served instead of it.
pub(crate) fn reason_to_pass(
    asked: &Asked,
    parts: &http::response::Parts,
    lead: Option<Lead>,
    reason: Reason,
) -> Reason {
    let Some(lead) = lead else { return reason };
    if parts.status.is_server_error() {
        lead.land(Flown::Failed);
    } else {
        if !is_provoked(parts.status) {
            asked.remember_pass();
        }
        lead.release();
    }
    reason
}

/// Statuses that say something of one request's head rather than of its URI: by sending such, anybody
/// could keep a page out of the cache.
fn is_provoked(status: StatusCode) -> bool {
    const PROVOKED: [u16; 18] = [
        400, 401, 403, 405, 406, 408, 412, 413, 414, 415, 416, 417, 421, 425, 428, 429, 431, 451,
    ];
    PROVOKED.contains(&status.as_u16())
}

/// The answer to the request that computed an entry, when all of it is known.
fn complete<R: Body>(
    settings: &Settings,
    mut parts: http::response::Parts,
    committed: &Committed,
    preconditions: Option<&HeaderMap>,
    why: Reason,
) -> Response<ResponseBody<R>> {
    let Committed { entry, refusal } = committed;
    let (stored, detail) = (refusal.is_none(), refusal.unwrap_or(why));
    let telling = Telling::Forward {
        why,
        stored,
        detail,
        status: preconditions.map(|_| parts.status),
    };
    if let Some(headers) = preconditions {
        let reading = Reading {
            head: false,
            conditional: Some(headers),
            headers: Some(headers),
        };
        return serve(
            settings,
            entry,
            &reading,
            entry.freshness.initial_age().as_secs(),
            telling,
        );
    }
    let Some(response) = response_of(entry) else {
        return Response::from_parts(parts, ResponseBody::full(Bytes::new()));
    };
    if let Some(etag) = response
        .headers()
        .get(header::ETAG)
        .filter(|_| !settings.dry_run)
    {
        parts.headers.insert(header::ETAG, etag.clone());
    }
    tell(settings, &mut parts.headers, why, stored, detail);
    Response::from_parts(parts, ResponseBody::full(response.body().clone()))
}

pub(crate) fn tell(
    settings: &Settings,
    headers: &mut HeaderMap,
    why: Reason,
    stored: bool,
    detail: Reason,
) {
    if settings.cache_status {
        Telling::Forward {
            why,
            stored,
            detail,
            status: None,
        }
        .write(headers);
    }
}

/// Statuses for which something stale may be served instead (RFC 5861 §4).
pub(crate) fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
