//! Stored answers that the inner service confirms (RFC 9111 §4.3).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header, response};
use http_body::Body;
use pitlane_core::{Outcome, Reason};
use pitlane_policy::{
    ResponseDirectives,
    conditional::{self, Precondition},
    update,
};

use super::{
    body::ResponseBody,
    decorate::dress,
    lookup::{is_never_fresh, response_of},
    serve::{Reading, serve},
    settle::{Settling, reason_to_pass, tell},
    status::Telling,
    store::Committed,
    stored::StoredResponse,
};
use crate::cache::{Entry, Lead, Scope};

/// What is confirmed keeps the tags of every computation before. Beyond so many a new one is
/// made.
const MOST_TAGS: usize = 1024;

/// Makes a request ask whether `entry` is still right; says whether it can.
pub(crate) fn ask(entry: &Entry, request: &mut HeaderMap) -> bool {
    response_of(entry)
        .filter(|stored| stored.has_validator() && entry.meta.tags.ids().len() <= MOST_TAGS)
        .is_some_and(|stored| update::conditions(&stored.given_head(), request))
}

impl Settling {
    /// Whether the inner service answered 304 for something else than it was asked about.
    pub(crate) fn is_contradicted_by<R>(&self, answer: &Response<R>) -> bool {
        if answer.status() != StatusCode::NOT_MODIFIED {
            return false;
        }
        let stored = self.validating.as_deref().and_then(response_of);
        stored.is_some_and(|stored| {
            let given = stored.given_head();
            !update::confirms(&given, answer.headers())
                && !is_weakly_the_same(&given, answer.headers())
        })
    }

    /// The inner service answered 304 to the layer's own condition.
    pub(crate) fn confirmed<R: Body>(
        mut self,
        answer: response::Parts,
        entry: &Arc<Entry>,
        lead: Option<Lead>,
    ) -> Response<ResponseBody<R>> {
        let Some(stored) = response_of(entry) else {
            return self.contradicted(answer, entry, lead);
        };
        let given = stored.given_head();
        if !update::confirms(&given, &answer.headers) {
            if is_weakly_the_same(&given, &answer.headers) {
                return self.confirmed_weakly(entry, lead);
            }
            return self.contradicted(answer, entry, lead);
        }
        let settings = Arc::clone(&self.asked.settings);
        let (why, asker) = (self.why, self.asker.take());
        let (counted, conditional) = (self.counted, self.conditional.take());
        let tally = |detail| {
            if counted {
                asker.count(Outcome::Revalidated, detail);
            }
        };
        match self.freshen(
            answer,
            entry,
            stored,
            lead,
            !is_never_fresh(&entry.freshness),
        ) {
            Ok(Committed { entry, refusal }) => {
                tally(refusal.unwrap_or(Reason::Validated));
                let telling = match refusal {
                    None => Telling::Validated { why },
                    Some(detail) => unstored(why, detail),
                };
                let reading = Reading {
                    head: false,
                    conditional: conditional.as_ref(),
                    headers: conditional.as_ref(),
                };
                let age = entry.freshness.initial_age().as_secs();
                serve(&settings, &entry, &reading, age, telling)
            }
            Err((mut parts, detail)) => {
                tally(detail);
                dress(&settings, &mut parts.headers, false);
                tell(&settings, &mut parts.headers, why, false, detail);
                let body = ResponseBody::full(stored.body().clone());
                Response::from_parts(parts, body)
            }
        }
    }

    /// Stores `stored` once more under the head that an answer gives it (§3.2), as of the
    /// position noted before the inner service was asked. Other nodes get it only if `share` says
    /// so: a body may be large, and who asks may ask often.
    ///
    /// # Errors
    ///
    /// The head that results, and why nothing may be stored under it. Then what is stored is no
    /// more either.
    pub(crate) fn freshen(
        self,
        mut answer: response::Parts,
        entry: &Arc<Entry>,
        stored: &StoredResponse,
        lead: Option<Lead>,
        share: bool,
    ) -> Result<Committed, (response::Parts, Reason)> {
        let own_cookie = answer.headers.contains_key(header::SET_COOKIE)
            && !ResponseDirectives::from_headers(&answer.headers).public;
        self.asked.give_head(&mut answer, stored);
        // Whatever ended the entry before still does.
        let ended_by = &entry.meta.tags;
        let dependencies = &self.asked.dependencies;
        dependencies.add_tags(ended_by.ids(), ended_by.names());
        let length = stored.body().len() as u64;
        let judged = if own_cookie {
            // That the first answer was public says nothing of this visitor's cookie.
            Err(Reason::SetCookie)
        } else {
            self.asked.judge(&answer, length == 0, Some(length))
        };
        match judged {
            Ok(judged) => {
                let mut draft = self.asked.draft(&answer, judged, lead);
                draft.keep_tag(stored);
                Ok(draft.commit_body(stored.body().clone(), share))
            }
            Err(reason) => {
                self.asked.filling.end(reason);
                self.asked.pass_on(&answer, &Scope::current());
                self.asked.withdraw(entry);
                self.asked.remember_pass();
                Err((
                    answer.clone(),
                    reason_to_pass(&self.asked, &answer, lead, reason),
                ))
            }
        }
    }

    /// The tag is the stored one but for its strength: what is stored may be used, and not be
    /// updated (§4.3.4).
    fn confirmed_weakly<R: Body>(
        self,
        entry: &Arc<Entry>,
        lead: Option<Lead>,
    ) -> Response<ResponseBody<R>> {
        let settings = Arc::clone(&self.asked.settings);
        if let Some(lead) = lead {
            lead.release();
        }
        self.asked.filling.end(Reason::Validated);
        if self.counted {
            self.asker.count(Outcome::Revalidated, Reason::Validated);
        }
        let reading = Reading {
            head: false,
            conditional: self.conditional.as_ref(),
            headers: self.conditional.as_ref(),
        };
        let now = settings.cache.shared().clock.now();
        let age = entry.freshness.age(entry.meta.resident(now)).as_secs();
        let telling = unstored(self.why, Reason::Validated);
        serve(&settings, entry, &reading, age, telling)
    }

    /// The 304 speaks of something else than what is stored. It can't be used, and the request
    /// can't be sent again.
    fn contradicted<R: Body>(
        self,
        mut answer: response::Parts,
        entry: &Arc<Entry>,
        lead: Option<Lead>,
    ) -> Response<ResponseBody<R>> {
        let settings = Arc::clone(&self.asked.settings);
        let detail = Reason::ValidationMismatch;
        self.forget(entry);
        if let Some(lead) = lead {
            lead.release();
        }
        self.asked.filling.end(detail);
        self.count(detail);
        if !self.holds_for_client(&answer.headers) {
            answer.status = StatusCode::BAD_GATEWAY;
            answer.headers.clear();
        }
        dress(&settings, &mut answer.headers, false);
        tell(&settings, &mut answer.headers, self.why, false, detail);
        Response::from_parts(answer, ResponseBody::full(Bytes::new()))
    }

    /// Nobody asks about `entry` again: the next requests ask without conditions.
    pub(crate) fn forget(&self, entry: &Arc<Entry>) {
        self.asked.withdraw(entry);
        self.asked.remember_pass();
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

fn unstored(why: Reason, detail: Reason) -> Telling {
    Telling::Forward {
        why,
        stored: false,
        detail,
        status: Some(StatusCode::NOT_MODIFIED),
    }
}

fn is_weakly_the_same(stored: &HeaderMap, answer: &HeaderMap) -> bool {
    let Some(tag) = stored.get(header::ETAG) else {
        return false;
    };
    let mut asked = HeaderMap::new();
    asked.insert(header::IF_NONE_MATCH, tag.clone());
    conditional::evaluate(&Method::GET, &asked, answer.get(header::ETAG), None)
        == Precondition::NotModified
}
