use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, header, request::Parts};
use http_body::Body;
use pitlane_core::{Outcome, Position, Reason};
use pitlane_policy::{Profile, RequestDirectives, conditional};
use tower_service::Service;

use super::{
    admit::{Ask, Asking, admit, only_asks},
    body::ResponseBody,
    bounds::{Answered, Asked, Inner},
    fetch::{Call, fetch},
    forms,
    future::ResponseFuture,
    heed::heed,
    key::{Host, Place, with_buffer},
    keyed::{Content, OnlyAsks},
    layer::Settings,
    lookup::{Found, find},
    owing::Owing,
    serve::{gateway_timeout, serve},
    status::{Telling, add_key, key_parameter, outcome},
    swap::Swaps,
};
use crate::cache::{Entry, Led, within};
use crate::stats::{Asker, Seen, UNMATCHED, tell};
use crate::trace;

/// The service that a [`ResponseCacheLayer`](crate::ResponseCacheLayer) makes.
///
/// It is always ready: a hit doesn't need the inner service. On a miss the inner service is
/// cloned and driven to readiness on its own.
#[derive(Clone)]
pub struct ResponseCache<S> {
    pub(super) inner: S,
    pub(super) settings: Arc<Settings>,
}

impl<S> ResponseCache<S> {
    pub(crate) const fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl<S, Q, R> Service<Request<Q>> for ResponseCache<S>
where
    S: Service<Request<Q>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    Q: Body + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, Q, R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let (parts, body) = request.into_parts();
        #[cfg(feature = "explain")]
        if Self::inquiry(&parts).is_some() {
            return self.answer_asked(parts, body);
        }
        if trace::is_wanted() {
            return self.answer_traced(parts, body);
        }
        self.answer_now(parts, body)
    }
}

impl<S: Clone> ResponseCache<S> {
    /// The same service under other settings.
    #[cfg(feature = "explain")]
    pub(super) fn under(&self, settings: Arc<Settings>) -> Self {
        Self {
            inner: self.inner.clone(),
            settings,
        }
    }

    #[inline(always)]
    pub(super) fn answer_now<Q, R>(&self, parts: Parts, body: Q) -> ResponseFuture<S, Q, R>
    where
        S: Inner<Q, R>,
        Q: Asked,
        R: Answered,
    {
        if self.settings.finishes {
            return self.answer_finished(parts, body);
        }
        self.answer(parts, body)
    }

    // On its way in and out the request and the future would be copied once more.
    #[inline(always)]
    fn answer<Q, R>(&self, mut parts: Parts, body: Q) -> ResponseFuture<S, Q, R>
    where
        S: Inner<Q, R>,
        Q: Asked,
        R: Answered,
    {
        if !self.settings.enabled {
            parts.extensions.remove::<Content>();
            return self.bypass(Reason::Disabled, parts, body);
        }
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return self.answer_other(parts, body);
        }
        let body_is_empty = body.is_end_stream();
        self.look(Asking::Head { body_is_empty }, parts, body)
    }

    /// The answer to another method than GET and HEAD.
    fn answer_other<Q, R>(&self, mut parts: Parts, body: Q) -> ResponseFuture<S, Q, R>
    where
        S: Inner<Q, R>,
        Q: Asked,
        R: Answered,
    {
        // A layer further in has a body of its own to look at.
        match parts.extensions.remove() {
            Some(Content::Digest(digest)) => {
                if parts.method == Method::POST {
                    // Neither parts nor conditions are defined for it (RFC 9110 §13.1, §14.2).
                    conditional::strip(&mut parts.headers);
                    parts.headers.remove(header::RANGE);
                }
                if only_asks(&parts.uri, &parts.headers) {
                    parts.extensions.insert(OnlyAsks);
                }
                self.look(Asking::Content(&digest), parts, body)
            }
            Some(Content::TooLong) => self.bypass(Reason::RequestBody, parts, body),
            None if parts.method == Method::POST && self.stores_posts() => self.post(parts, body),
            None => self.bypass(Reason::Method, parts, body),
        }
    }

    #[inline(always)]
    fn look<Q, R>(&self, asking: Asking<'_>, parts: Parts, body: Q) -> ResponseFuture<S, Q, R>
    where
        S: Inner<Q, R>,
        Q: Asked,
        R: Answered,
    {
        if self.settings.shapes() {
            return self.look_shaped(asking, parts, body);
        }
        with_buffer(|key| match admit(&self.settings, &parts, asking, key) {
            Ok(ask) => self.ask_now(ask, key, parts, body),
            Err(reason) => self.bypass(reason, parts, body),
        })
    }

    #[inline(always)]
    fn ask_now<Q, R>(&self, ask: Ask, key: &[u8], parts: Parts, body: Q) -> ResponseFuture<S, Q, R>
    where
        S: Inner<Q, R>,
        Q: Asked,
        R: Answered,
    {
        if self.settings.cache.must_confirm() || self.is_behind(&parts) {
            self.ask_confirmed(ask, key.to_vec(), parts, body)
        } else {
            self.ask(ask, key, parts, body)
        }
    }

    /// An answer that gets its last touch here, wherever it comes from.
    #[cold]
    fn answer_finished<Q, R>(&self, mut parts: Parts, body: Q) -> ResponseFuture<S, Q, R>
    where
        S: Inner<Q, R>,
        Q: Asked,
        R: Answered,
    {
        let settings = Arc::clone(&self.settings);
        let swaps = (!settings.swaps.is_empty()).then(|| Swaps::of(&settings));
        let asks = parts.method.is_safe() || parts.extensions.get::<Content>().is_some();
        if swaps.is_some() && asks {
            // No two answers are the same content.
            conditional::strip(&mut parts.headers);
            parts.headers.remove(header::RANGE);
        }
        let tells_key = settings.cache_status && settings.cache_status_key;
        let key = tells_key
            .then(|| {
                let shaped = settings.shapes().then(|| settings.shaped(&parts));
                let seen = shaped.as_ref().unwrap_or(&parts);
                key_parameter(settings.uri_of(seen), Host::of(&seen.headers))
            })
            .flatten();
        let answer = self.answer(parts, body);
        ResponseFuture::boxed(async move {
            let mut response = answer.await?;
            add_key(response.headers_mut(), key);
            Ok(match swaps {
                Some(swaps) => swaps.swap(response),
                None => response,
            })
        })
    }

    /// A request that is given another shape before the cache looks at it. One that the cache has no
    /// part in goes on as it came.
    #[cold]
    fn look_shaped<Q, R>(
        &self,
        asking: Asking<'_>,
        parts: Parts,
        body: Q,
    ) -> ResponseFuture<S, Q, R>
    where
        S: Inner<Q, R>,
        Q: Asked,
        R: Answered,
    {
        let shaped = self.settings.shaped(&parts);
        with_buffer(|key| match admit(&self.settings, &shaped, asking, key) {
            Ok(ask) if self.settings.dry_run => self.try_out(ask, key, &shaped, parts, body),
            Ok(ask) => self.ask_now(ask, key, shaped, body),
            Err(reason) => self.bypass(reason, parts, body),
        })
    }

    /// Decides as if it were to answer, and has the inner service answer.
    fn try_out<Q, R>(
        &self,
        ask: Ask,
        key: &[u8],
        shaped: &Parts,
        parts: Parts,
        body: Q,
    ) -> ResponseFuture<S, Q, R>
    where
        S: Inner<Q, R>,
        Q: Asked,
        R: Answered,
    {
        let settings = &self.settings;
        let now = settings.cache.shared().clock.now();
        let (found, variant) = find(&settings.cache, key, &shaped.headers, now);
        let found = match heed(settings, &ask, &shaped.headers, found, now) {
            Ok(found) => found,
            Err(reason) => return self.bypass(reason, parts, body),
        };
        match found {
            Found::Fresh { .. } | Found::WhileRevalidate { .. } | Found::Accepted { .. } => {
                self.bypass(Reason::DryRun, parts, body)
            }
            Found::Pass | Found::Miss { .. } if ask.scan.head => {
                self.bypass(Reason::HeadMiss, parts, body)
            }
            Found::Pass | Found::Miss { .. } if ask.scan.range => {
                self.bypass(Reason::Range, parts, body)
            }
            Found::Pass | Found::Miss { .. } => {
                let why = match found {
                    Found::Miss { why, .. } => why,
                    _ => Reason::HitForMiss,
                };
                let uri = settings.uri_of(shaped).clone();
                let call = self.call_inner(ask, key, variant, parts, body);
                ResponseFuture::pass(Call { uri, ..call }.try_out(why))
            }
        }
    }

    fn bypass<Q, R>(&self, reason: Reason, mut parts: Parts, body: Q) -> ResponseFuture<S, Q, R>
    where
        S: Service<Request<Q>, Response = Response<R>>,
        R: Body,
    {
        let settings = Arc::clone(&self.settings);
        settings.count(&parts, outcome(reason), reason);
        let owing = (matches!(
            reason,
            Reason::Method | Reason::MethodOverride | Reason::UriOverride
        ) && !parts.method.is_safe())
        .then(|| settings.owing(&parts))
        .flatten();
        if !settings.encodings.is_empty() {
            forms::unmark(&mut parts.headers);
        }
        let request = Request::from_parts(parts, body);
        ResponseFuture::bypass(self.inner.clone(), request, settings, reason, owing)
    }

    fn ask<Q, R>(&self, ask: Ask, key: &[u8], mut parts: Parts, body: Q) -> ResponseFuture<S, Q, R>
    where
        S: Inner<Q, R>,
        Q: Asked,
        R: Answered,
    {
        let settings = &self.settings;
        if ask.scan.cookie && settings.per_user.is_none() && settings.profile != Profile::Rfc {
            // Only harmless ones are left, and an answer for everybody must not depend on them.
            parts.headers.remove(header::COOKIE);
        }
        #[cfg(feature = "audit")]
        if self.is_audited(&parts) {
            return self.pass_audited(parts, body);
        }
        let (now, began) = settings.cache.shared().clock.look();
        let (found, variant) = find(&settings.cache, key, &parts.headers, now);
        let found = match found {
            // This very computation asks: it goes on as if this layer weren't here.
            Found::WhileRevalidate { .. } | Found::Miss { .. }
                if Led::contains(&parts.extensions, settings.cache.digest(key)) =>
            {
                Found::Pass
            }
            found => found,
        };
        let found = match heed(settings, &ask, &parts.headers, found, now) {
            Ok(found) => found,
            Err(reason) if reason == Reason::OnlyIfCached => {
                settings.count(&parts, Outcome::Miss, reason);
                return ResponseFuture::ready(gateway_timeout(settings));
            }
            Err(reason) => return self.bypass(reason, parts, body),
        };
        found.count(settings.cache.stats());
        let served = |entry: &Arc<Entry>, age, ttl, outcome, detail| {
            let seen = Seen::of(entry).since(began);
            settings.count_seen(&parts, outcome, detail, seen);
            let telling = Telling::Hit { ttl, detail };
            serve(settings, entry, &ask.reading(&parts), age, telling)
        };
        match found {
            Found::Fresh { entry, age, ttl } => {
                let ttl = ttl.cast_signed();
                let response = served(&entry, age, ttl, Outcome::Hit, Reason::Fresh);
                #[cfg(feature = "audit")]
                if settings.audit.is_some() {
                    self.audit(&entry, parts, body);
                }
                ResponseFuture::ready(response)
            }
            Found::WhileRevalidate {
                entry,
                age,
                stale_for,
            } => {
                let (ttl, why) = (-stale_for.cast_signed(), Reason::StaleWhileRevalidate);
                let response = served(&entry, age, ttl, Outcome::Stale, why);
                if !ask.scan.head {
                    self.call_inner(ask, key, variant, parts, body).refresh();
                }
                ResponseFuture::ready(response)
            }
            Found::Accepted {
                entry,
                age,
                stale_for,
            } => {
                let (ttl, why) = (-stale_for.cast_signed(), Reason::MaxStale);
                ResponseFuture::ready(served(&entry, age, ttl, Outcome::Stale, why))
            }
            Found::Miss {
                stale: Some(stale), ..
            } if ask.scan.head || ask.scan.range => {
                let call = self.call_inner(ask, key, variant, parts, body);
                ResponseFuture::boxed(call.pass_by(stale))
            }
            // A HEAD answer has no body to store, and a GET in its place might cost more than
            // the client asked for.
            Found::Miss { .. } | Found::Pass if ask.scan.head => {
                self.bypass(Reason::HeadMiss, parts, body)
            }
            // A part isn't stored, and may be all that the client can take.
            Found::Miss { .. } | Found::Pass if ask.scan.range => {
                self.bypass(Reason::Range, parts, body)
            }
            Found::Pass
            | Found::Miss {
                why: Reason::RequestNoCache,
                stale: None,
            } => {
                let why = match found {
                    Found::Miss { why, .. } => why,
                    _ => Reason::HitForMiss,
                };
                ResponseFuture::pass(self.call_inner(ask, key, variant, parts, body).pass(why))
            }
            // Somebody else's validation is no use to this request.
            Found::Miss {
                why,
                stale: Some(stale),
            } if why == Reason::RequestNoCache || stale.is_never_fresh() => {
                let call = self.call_inner(ask, key, variant, parts, body);
                ResponseFuture::boxed(call.alone(why, Some(stale)))
            }
            Found::Miss { why, stale } => {
                let call = self.call_inner(ask, key, variant, parts, body);
                ResponseFuture::boxed(fetch(call, why, stale))
            }
        }
    }

    /// Whether an answer to POST may stand for GET. Where others write to the log as well, its own
    /// invalidation can't be told from theirs.
    fn stores_posts(&self) -> bool {
        let settings = &self.settings;
        settings.profile == Profile::Rfc
            && !settings.shapes()
            && !settings.strip_unkeyed
            && settings.cache.shared().uplink.is_none()
    }

    fn post<Q, R>(&self, parts: Parts, body: Q) -> ResponseFuture<S, Q, R>
    where
        S: Inner<Q, R>,
        Q: Asked,
        R: Answered,
    {
        with_buffer(|key| {
            let asked = admit(&self.settings, &parts, Asking::Answer, key).ok();
            let stores = |ask: &Ask| {
                !(ask.scan.conditional
                    || ask.scan.directives
                        && RequestDirectives::from_headers(&parts.headers).no_store)
            };
            let asked = asked.filter(stores);
            match asked.zip(self.settings.owing(&parts)) {
                Some((ask, owing)) => {
                    let call = self.call_inner(ask, key, None, parts, body);
                    ResponseFuture::boxed(call.post(owing))
                }
                None => self.bypass(Reason::Method, parts, body),
            }
        })
    }

    /// Whether the client has seen more of the log than this node has read.
    fn is_behind(&self, parts: &Parts) -> bool {
        let Some(name) = &self.settings.position_header else {
            return false;
        };
        let position = parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        let position = position.and_then(|text| text.parse::<Position>().ok());
        let shared = self.settings.cache.shared();
        position.is_some_and(|position| !shared.has_reached(position))
    }

    /// Has the log confirm what memory holds, and only then looks there.
    fn ask_confirmed<Q, R>(
        &self,
        mut ask: Ask,
        key: Vec<u8>,
        parts: Parts,
        body: Q,
    ) -> ResponseFuture<S, Q, R>
    where
        S: Inner<Q, R>,
        Q: Asked,
        R: Answered,
    {
        let this = self.clone();
        let answer = async move {
            let cache = this.settings.cache.clone();
            let budget = cache.budget();
            let confirmed = cache.shared().confirm(budget.as_ref()).await;
            if confirmed {
                ask.budget = budget;
                return this.ask(ask, &key, parts, body).await;
            }
            let passed = async move { this.bypass(Reason::Unconfirmed, parts, body).await };
            within(budget, passed).await
        };
        ResponseFuture::boxed(answer)
    }

    fn call_inner<Q>(
        &self,
        mut ask: Ask,
        key: &[u8],
        variant: Option<Place>,
        mut parts: Parts,
        body: Q,
    ) -> Call<S, Q> {
        let label = self
            .settings
            .route_label
            .as_ref()
            .and_then(|label| label(&parts))
            .map(Box::from);
        Call {
            place: Place::new(&self.settings.cache, key.to_vec()),
            asker: Asker::new(label, &mut parts.extensions, &self.settings.cache),
            budget: ask.budget.take().or_else(|| self.settings.cache.budget()),
            uri: self.settings.uri_of(&parts).clone(),
            inner: self.inner.clone(),
            settings: Arc::clone(&self.settings),
            request: Request::from_parts(parts, body),
            ask,
            variant,
        }
    }
}

impl Settings {
    /// Whether requests are looked at in another form than they came in.
    pub(super) const fn shapes(&self) -> bool {
        self.dry_run || !self.shape.is_plain()
    }

    pub(super) fn shaped(&self, parts: &Parts) -> Parts {
        // Not what a layer outside has made of it: something in between may have changed it.
        self.shape.give(parts, self.given_uri(parts))
    }

    /// What an unsafe request will owe.
    fn owing(&self, parts: &Parts) -> Option<Owing> {
        if parts.extensions.get::<OnlyAsks>().is_some() {
            return None;
        }
        if self.shape.is_plain() {
            Owing::of(self, parts)
        } else {
            Owing::of(self, &self.shaped(parts))
        }
    }

    pub(crate) fn count(&self, parts: &Parts, outcome: Outcome, reason: Reason) {
        self.count_seen(parts, outcome, reason, Seen::default());
    }

    /// Counts a request of which more is known.
    fn count_seen(&self, parts: &Parts, outcome: Outcome, reason: Reason, seen: Seen<'_>) {
        tell(&parts.extensions, outcome);
        let label = self.route_label.as_ref().and_then(|label| label(parts));
        let label = label.unwrap_or(UNMATCHED);
        self.cache.stats().count_seen(label, outcome, reason, seen);
    }
}

impl<S> fmt::Debug for ResponseCache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCache")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
