//! From a call with its key to an answer: a stored one, somebody else's, or the handler's.

use std::{future::poll_fn, sync::Arc, task::Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header, request::Parts, response};
use http_body::Body;
use pitlane_core::{Outcome, Reason, Tag};
use tower::util::ServiceExt;
use tower_service::Service;
use tracing::Instrument;

use super::{
    admit::{Admitted, Codings, hide_unkeyed, is_grpc},
    body::GrpcBody,
    layer::{Method, Settings},
    message::PREFIX,
    recording::{Draft, Recorded, Recording},
    reply::{GRPC_ENCODING, GRPC_STATUS, Unreadable, decode},
};
use crate::{
    cache::{Claimed, Fill, Found, Led, Place, Tier, Wanted},
    replay::ReplayBody,
    response::{CacheHint, Telling, outcome},
    stats::{Asker, Filling, Seen},
};

/// A call whose answer has a key.
pub(crate) struct Call<S> {
    inner: S,
    settings: Arc<Settings>,
    method: Arc<Method>,
    codings: Codings,
    parts: Parts,
    /// The whole message, with its prefix.
    message: Bytes,
    place: Place,
}

/// Answers a call that memory has nothing fresh for.
pub(crate) async fn answer<S, Q, R>(call: Call<S>) -> Result<Response<GrpcBody<R>>, S::Error>
where
    S: Service<Request<ReplayBody<Q>>, Response = Response<R>> + Clone,
    Q: Body<Data = Bytes>,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    let cache = call.settings.cache.clone();
    if Led::contains(&call.parts.extensions, call.place.digest) {
        // The cache around this one counts and stores.
        let answer = call.inner.oneshot(request(call.parts, call.message)).await;
        return answer.map(|response| response.map(GrpcBody::passing));
    }
    let (wanted, tags) = call.wanted();
    let fill = match cache.claim_wanted(wanted.clone()).await {
        Claimed::Fill(fill) => fill,
        Claimed::Hit(found) => match call.serve(found) {
            Some(response) => return Ok(response),
            None => cache.begin(wanted, None, cache.budget(), Reason::UriMiss),
        },
    };
    call.compute(fill, tags).await
}

impl<S> Call<S> {
    pub(crate) fn new(
        inner: S,
        settings: Arc<Settings>,
        method: Arc<Method>,
        admitted: Admitted,
        parts: Parts,
        message: Bytes,
    ) -> Self {
        let codings = admitted.codings;
        let place = Place::new(&settings.cache, admitted.key(&blake3::hash(&message)));
        Self {
            inner,
            settings,
            method,
            codings,
            parts,
            message,
            place,
        }
    }

    /// What is looked for, and the tags that the request itself names.
    fn wanted(&self) -> (Wanted, Vec<Tag>) {
        let payload = self.message.get(PREFIX..).unwrap_or_default();
        let tags = self.settings.tags.as_ref();
        let tags = tags.map_or_else(Vec::new, |tags| tags(&self.method.path, payload));
        let log = self.settings.cache.shared().log.tags();
        let ids = tags.iter().map(|tag| tag.id(log));
        let wanted = Wanted {
            place: self.place.clone(),
            tags: self.method.tags.iter().copied().chain(ids).collect(),
        };
        (wanted, tags)
    }

    /// The answer that memory has, if it is fresh.
    pub(crate) fn answer_now<R: Body>(&self) -> Option<Response<GrpcBody<R>>> {
        let cache = &self.settings.cache;
        if cache.must_confirm() {
            return None;
        }
        match cache.peek(&self.place) {
            Ok(found) if !found.stale => self.serve(found),
            Ok(_) => None,
            Err(why) => {
                cache.stats().count_lookup(why);
                None
            }
        }
    }

    /// A stored answer, unless what was found is none.
    fn serve<R: Body>(&self, found: Found) -> Option<Response<GrpcBody<R>>> {
        let reply = match decode(&found.bytes) {
            Ok(reply) => reply,
            Err(unreadable) => {
                self.discard(&found, unreadable);
                return None;
            }
        };
        let ((outcome, reason), telling) = told(&found);
        let method = Some(&*self.method);
        let seen = Seen::of(&found.entry);
        let settings = &self.settings;
        settings.count_seen(&self.parts, method, (outcome, reason), seen);
        found.take();
        let mut response = Response::new(GrpcBody::stored(reply.message, reply.trailers));
        *response.headers_mut() = reply.head;
        if self.settings.cache_status {
            telling.write(response.headers_mut());
        }
        Some(response)
    }

    /// Takes what is no answer out of memory, and what no version could read out of Redis.
    fn discard(&self, found: &Found, unreadable: Unreadable) {
        let cache = &self.settings.cache;
        let place = &self.place;
        cache.tier().withdraw(place.digest, &found.entry);
        if unreadable == Unreadable::Corrupt {
            tracing::warn!(
                cache = cache.name(),
                "what is stored is no answer; deleting it"
            );
            cache.withdraw(place);
        }
    }

    /// Has the handler compute the answer, for all who wait for it.
    async fn compute<Q, R>(
        mut self,
        fill: Fill,
        tags: Vec<Tag>,
    ) -> Result<Response<GrpcBody<R>>, S::Error>
    where
        S: Service<Request<ReplayBody<Q>>, Response = Response<R>> + Clone,
        Q: Body<Data = Bytes>,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send,
    {
        hide_unkeyed(&self.settings, &mut self.parts, self.codings);
        let extensions = &mut self.parts.extensions;
        Led::add(extensions, self.place.digest);
        let asker = Asker::new(
            Some((*self.method.path).into()),
            extensions,
            &self.settings.cache,
        );
        let filling = Filling::begin(&self.settings.cache);
        let request = request(self.parts, self.message);
        let work = fill.run(self.inner.oneshot(request));
        let answer = work.instrument(filling.span()).await;
        let why = fill.why();
        let draft = Draft {
            settings: self.settings,
            method: self.method,
            codings: self.codings,
            head: http::HeaderMap::new(),
            ttl: None,
            tags,
            fill,
            filling,
        };
        match answer {
            Ok(response) => Ok(settle(response, draft, &asker, why).await),
            Err(error) => {
                asker.count(outcome(why), Reason::Failed);
                draft.give_up(Reason::Failed);
                Err(error)
            }
        }
    }
}

/// Decides from the head whether an answer may be stored, and sends it on its way.
async fn settle<R>(
    response: Response<R>,
    mut draft: Draft,
    asker: &Asker,
    why: Reason,
) -> Response<GrpcBody<R>>
where
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    let settings = Arc::clone(&draft.settings);
    let (mut parts, body) = response.into_parts();
    let (body, recorded) = match judge(&parts, draft.codings) {
        Err(reason) => {
            draft.refuse(reason, parts.headers.get(GRPC_STATUS));
            (GrpcBody::passing(body), Recorded::Refused(reason))
        }
        Ok(()) => {
            draft.describe(&parts);
            let recording = Recording::new(body, draft);
            let recorded = poll_fn(|cx| Poll::Ready(recording.prefetch(cx))).await;
            if recorded == Recorded::Open {
                recording.drive_for_followers();
            }
            (GrpcBody::recorded(recording), recorded)
        }
    };
    let (stored, detail) = match recorded {
        Recorded::Refused(reason) => (false, reason),
        Recorded::Stored | Recorded::Open => (true, why),
    };
    asker.count(outcome(why), detail);
    if settings.cache_status {
        let status = None;
        let telling = Telling::Forward {
            why,
            stored,
            detail,
            status,
        };
        telling.write(&mut parts.headers);
    }
    Response::from_parts(parts, body)
}

/// Whether an answer with such a head may be stored.
fn judge(parts: &response::Parts, codings: Codings) -> Result<(), Reason> {
    let headers = &parts.headers;
    if parts.status != StatusCode::OK {
        Err(Reason::Status)
    } else if !headers.get(header::CONTENT_TYPE).is_some_and(is_grpc)
        || !codings.admit(headers.get(GRPC_ENCODING))
    {
        Err(Reason::NotGrpc)
    } else if let Some(status) = headers.get(GRPC_STATUS) {
        // Trailers in the place of a head: there is no message.
        Err(if status == "0" {
            Reason::NotUnary
        } else {
            Reason::GrpcStatus
        })
    } else if headers.contains_key(header::SET_COOKIE) {
        Err(Reason::SetCookie)
    } else if parts
        .extensions
        .get()
        .is_some_and(|hint: &CacheHint| hint.no_store)
    {
        Err(Reason::Hint)
    } else {
        Ok(())
    }
}

/// How a stored answer is counted and told of.
fn told(found: &Found) -> ((Outcome, Reason), Telling) {
    let ttl = found.left;
    if let Some(why) = found.collapsed {
        let counted = (Outcome::Collapsed, Reason::Collapsed);
        return (counted, Telling::Collapsed { why, ttl });
    }
    let (outcome, detail) = match found.tier {
        _ if found.stale => (Outcome::Stale, Reason::StaleWhileRevalidate),
        Tier::Remote => (Outcome::Hit, Reason::Remote),
        _ => (Outcome::Hit, Reason::Fresh),
    };
    ((outcome, detail), Telling::Hit { ttl, detail })
}

fn request<Q: Body<Data = Bytes>>(parts: Parts, message: Bytes) -> Request<ReplayBody<Q>> {
    Request::from_parts(parts, ReplayBody::whole(message))
}
