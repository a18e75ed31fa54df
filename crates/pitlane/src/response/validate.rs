//! Stored answers that the inner service confirms (RFC 9111 §4.3).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header, response};
use http_body::Body;
use pitlane_core::{Gathered, Outcome, Reason};
use pitlane_policy::{
    conditional::{self, Precondition},
    update,
};

use super::{
    body::ResponseBody,
    decorate::dress,
    lookup::response_of,
    service::{Reading, serve},
    settle::{Settling, count, reason_to_pass, tell},
    status::Telling,
    store::Committed,
    stored::StoredResponse,
};
use crate::cache::{Entry, Flown, Lead, Scope};

/// Makes a request ask whether `entry` is still right; says whether it can.
pub(crate) fn ask(entry: &Entry, request: &mut HeaderMap) -> bool {
    response_of(entry)
        .filter(|stored| stored.has_validator())
        .is_some_and(|stored| update::conditions(&stored.given_head(), request))
}

impl Settling {
    /// The inner service answered 304 to the layer's own condition.
    pub(crate) fn confirmed<R: Body>(
        mut self,
        answer: response::Parts,
        entry: &Entry,
        lead: Option<Lead>,
    ) -> Response<ResponseBody<R>> {
        let Some(stored) = response_of(entry) else {
            return self.contradicted(answer, lead);
        };
        if !update::confirms(&stored.given_head(), &answer.headers) {
            return self.contradicted(answer, lead);
        }
        let settings = Arc::clone(&self.asked.settings);
        let (why, label) = (self.why, self.label.take());
        let (counted, conditional) = (self.counted, self.conditional.take());
        let dependencies = Arc::clone(&self.asked.dependencies);
        match self.freshen(answer, entry, stored, lead) {
            Ok(Committed { entry, refusal }) => {
                let detail = refusal.unwrap_or(Reason::Validated);
                if counted {
                    count(&settings, label.as_deref(), Outcome::Revalidated, detail);
                }
                let telling = match refusal {
                    None => Telling::Validated { why },
                    Some(detail) => Telling::Forward {
                        why,
                        stored: false,
                        detail,
                        status: Some(StatusCode::NOT_MODIFIED),
                    },
                };
                let reading = Reading {
                    head: false,
                    conditional: conditional.as_ref().map(|headers| (&Method::GET, headers)),
                };
                let age = entry.freshness.initial_age().as_secs();
                serve(&settings, &entry, &reading, age, telling)
            }
            Err((mut parts, detail)) => {
                Scope::current().absorb(&dependencies);
                if counted {
                    count(&settings, label.as_deref(), Outcome::Revalidated, detail);
                }
                dress(&settings, &mut parts.headers, false);
                tell(&settings, &mut parts.headers, why, false, detail);
                let body = ResponseBody::full(stored.body().clone());
                Response::from_parts(parts, body)
            }
        }
    }

    /// Stores `stored` once more under the head that an answer gives it (§3.2), as of the
    /// position noted before the inner service was asked.
    ///
    /// # Errors
    ///
    /// The head that results, and why nothing may be stored under it.
    pub(crate) fn freshen(
        self,
        mut answer: response::Parts,
        entry: &Entry,
        stored: &StoredResponse,
        lead: Option<Lead>,
    ) -> Result<Committed, (response::Parts, Reason)> {
        let mut headers = stored.given_head();
        if !answer.headers.contains_key(header::DATE) {
            // The old one would make the confirmed answer as old as it was.
            headers.remove(header::DATE);
        }
        update::freshen(&mut headers, &answer.headers);
        if let Some(age) = answer.headers.remove(header::AGE) {
            headers.insert(header::AGE, age);
        }
        self.asked.date(&mut headers);
        answer.status = stored.status();
        answer.headers = headers;
        // Whatever ended the entry before still does.
        let dependencies = &self.asked.dependencies;
        dependencies.absorb(&Gathered {
            basis: dependencies.basis(),
            ids: entry.meta.tags.ids().to_vec(),
            names: entry.meta.tags.names().to_vec(),
            stale: false,
        });
        let length = stored.body().len() as u64;
        let judged = self.asked.judge(&answer, length == 0, Some(length));
        match judged {
            Ok(judged) => {
                let draft = self.asked.draft(&answer, judged, lead);
                Ok(draft.commit(&[stored.body().clone()]))
            }
            Err(reason) => {
                let reason = reason_to_pass(&self.asked, &answer, lead, reason);
                Err((answer, reason))
            }
        }
    }

    /// The 304 speaks of something else than what is stored. It can't be used, and the request
    /// can't be sent again.
    fn contradicted<R: Body>(
        self,
        mut answer: response::Parts,
        lead: Option<Lead>,
    ) -> Response<ResponseBody<R>> {
        let settings = Arc::clone(&self.asked.settings);
        let detail = Reason::ValidationMismatch;
        // The next request asks without conditions.
        self.asked.remember_pass();
        if let Some(lead) = lead {
            lead.land(Flown::Failed);
        }
        self.count(detail);
        if !self.holds_for_client(&answer.headers) {
            answer.status = StatusCode::BAD_GATEWAY;
            answer.headers.clear();
        }
        dress(&settings, &mut answer.headers, false);
        tell(&settings, &mut answer.headers, self.why, false, detail);
        Response::from_parts(answer, ResponseBody::full(Bytes::new()))
    }

    /// Whether the client has what a 304 speaks of.
    fn holds_for_client(&self, answer: &HeaderMap) -> bool {
        let said = |client: &HeaderMap| {
            let (etag, modified) = (answer.get(header::ETAG), answer.get(header::LAST_MODIFIED));
            conditional::evaluate(&Method::GET, client, etag, modified) == Precondition::NotModified
        };
        self.conditional.as_ref().is_some_and(said)
    }
}
