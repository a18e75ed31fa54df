use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use pitlane_core::{Basis, Followed, Joined, Outcome, Reason, TagId};
use pitlane_policy::{Profile, RequestDirectives, RequestFacts, conditional, hop};
use tokio::task::futures::TaskLocalFuture;
use tower::util::{Oneshot, ServiceExt};
use tower_service::Service;
use tracing::Instrument;

use super::{
    admit::Ask,
    body::ResponseBody,
    forms,
    heed::heed,
    key::{Host, Place, Target, Who},
    layer::Settings,
    lookup::{Found, Stale, find, find_remote, is_never_fresh},
    serve::{Reading, serve},
    settle::{Settling, is_failure},
    status::Telling,
    store::Asked,
    validate,
};
use crate::cache::{Budget, Entry, Flown, Lead, Led, Usable, Work, run_in};
use crate::stats::{Asker, Filling};

/// After this many flights that ended without something usable a request goes alone.
const MAX_ROUNDS: usize = 4;

/// A request that needs the inner service.
pub(crate) struct Call<S, Q> {
    pub(crate) inner: S,
    pub(crate) settings: Arc<Settings>,
    pub(crate) request: Request<Q>,
    /// What the client asked for; a router may have changed it in the request.
    pub(crate) uri: Uri,
    pub(crate) ask: Ask,
    /// The place without variants.
    pub(crate) place: Place,
    /// The variant's place, where the URI is known to vary.
    pub(crate) variant: Option<Place>,
    pub(crate) asker: Asker,
    /// What the request may lose to Redis, where that is asked at all.
    pub(crate) budget: Option<Budget>,
}

/// The inner service's work within its dependency scope.
pub(crate) type Scoped<S, Q> = TaskLocalFuture<Arc<Work>, Oneshot<S, Request<Q>>>;

/// Answers a request that found nothing usable: by one computation for all who ask at once.
pub(crate) async fn fetch<S, Q, R>(
    mut call: Call<S, Q>,
    mut why: Reason,
    stale: Option<Stale>,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<Q>, Response = Response<R>> + Clone,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    for _ in 0..MAX_ROUNDS {
        let follower = match call.join() {
            Joined::Lead(lead) => return call.lead(lead, why, stale).await,
            Joined::Follow(follower) => follower,
        };
        match follower.await {
            Followed::Lead(lead) => return call.lead(lead, why, stale).await,
            Followed::Released => break,
            Followed::Landed(Flown::Failed) => {
                let fallback = stale.clone();
                match fallback.and_then(|stale| stale.into_fallback(&call.settings.cache)) {
                    Some(fallback) => return Ok(call.serve_fallback(&fallback)),
                    None => break,
                }
            }
            #[cfg(feature = "data")]
            Followed::Landed(Flown::Error(_)) => break,
            // It was validated for somebody else.
            Followed::Landed(Flown::Entry(entry)) if is_never_fresh(&entry.freshness) => break,
            Followed::Landed(Flown::Entry(entry)) => match call.judge_landed(&entry) {
                Ok((age, ttl)) => return Ok(call.serve_collapsed(&entry, why, age, ttl)),
                Err(reason) => {
                    why = reason;
                    if reason == Reason::RequestNoCache {
                        break;
                    }
                }
            },
        }
    }
    // What is stored may have been replaced, or found to be nothing to ask about.
    let (found, variant) = call.find_again();
    call.variant = variant;
    let stale = match found {
        Found::Fresh { entry, age, ttl } => {
            return Ok(call.serve_collapsed(&entry, why, age, ttl.cast_signed()));
        }
        Found::Miss { stale, .. } => stale,
        _ => None,
    };
    call.alone(why, stale).await
}

impl<S, Q> Call<S, Q> {
    pub(crate) fn join(&self) -> Joined<Flown, Basis> {
        let shared = self.settings.cache.shared();
        let current = |basis: &Basis| shared.is_current(basis, &self.tags());
        shared
            .flights
            .join(self.place().digest, shared.log.basis(), current)
    }

    /// What an invalidation must name to end the answer, as far as that is known before it is
    /// computed.
    fn tags(&self) -> Vec<TagId> {
        tags_of(
            &self.settings,
            &self.uri,
            self.request.headers(),
            &self.ask.who,
        )
    }

    /// What memory has for this request at this moment.
    fn find_again(&self) -> (Found, Option<Place>) {
        let cache = &self.settings.cache;
        let now = cache.shared().clock.now();
        let headers = self.request.headers();
        let (found, variant) = find(cache, &self.place.key, headers, now);
        let heeded = heed(&self.settings, &self.ask, headers, found, now);
        (heeded.unwrap_or(Found::Pass), variant)
    }

    fn place(&self) -> &Place {
        self.variant.as_ref().unwrap_or(&self.place)
    }

    /// Judges what a flight landed with as a hit, at this moment: it may be another variant, or
    /// have been invalidated while it was computed.
    fn judge_landed(&mut self, entry: &Entry) -> Result<(u64, i64), Reason> {
        let cache = &self.settings.cache;
        let now = cache.shared().clock.now();
        let (_, variant) = find(cache, &self.place.key, self.request.headers(), now);
        self.variant = variant;
        if *entry.key != *self.place().key {
            return Err(Reason::VaryMiss);
        }
        let landed = match entry.judge(&cache.shared().log, now) {
            Usable::Fresh { age, ttl } => (age, ttl.cast_signed()),
            Usable::WhileRevalidate { age, stale_for, .. } => (age, -stale_for.cast_signed()),
            Usable::Stale { reason, .. } | Usable::No(reason) => return Err(reason),
        };
        if self.ask.scan.directives && self.settings.profile == Profile::Rfc {
            let said = RequestDirectives::from_headers(self.request.headers());
            if !said.accept(&entry.freshness, entry.meta.resident(now)) {
                return Err(Reason::RequestNoCache);
            }
        }
        Ok(landed)
    }

    fn reading(&self) -> Reading<'_> {
        let conditional = self.ask.scan.conditional.then(|| self.request.headers());
        Reading {
            head: self.ask.scan.head,
            conditional,
            headers: Some(self.request.headers()),
        }
    }

    fn serve_collapsed<R: Body>(
        &self,
        entry: &Arc<Entry>,
        why: Reason,
        age: u64,
        ttl: i64,
    ) -> Response<ResponseBody<R>> {
        self.count_given(Outcome::Collapsed, Reason::Collapsed, entry);
        let telling = Telling::Collapsed { why, ttl };
        serve(&self.settings, entry, &self.reading(), age, telling)
    }

    /// Looks into the remote tier, on behalf of all who wait for the same.
    pub(crate) async fn look_remote(&mut self) -> Option<Found> {
        self.budget.as_ref()?;
        let budget = self.budget.clone();
        let cache = self.settings.cache.clone();
        let (place, variant) = (self.place.clone(), self.variant.take());
        let headers = self.request.headers();
        let (found, variant) = find_remote(&cache, &place, variant, headers, budget.as_ref()).await;
        self.variant = variant;
        let now = cache.shared().clock.now();
        heed(
            &self.settings,
            &self.ask,
            self.request.headers(),
            found,
            now,
        )
        .ok()
    }

    fn serve_hit<R: Body>(
        &self,
        entry: &Arc<Entry>,
        age: u64,
        ttl: i64,
        (outcome, detail): (Outcome, Reason),
    ) -> Response<ResponseBody<R>> {
        self.count_given(outcome, detail, entry);
        let telling = Telling::Hit { ttl, detail };
        serve(&self.settings, entry, &self.reading(), age, telling)
    }

    fn serve_fallback<R: Body>(&self, fallback: &Stale) -> Response<ResponseBody<R>> {
        serve_stale(&self.settings, &self.asker, fallback, &self.reading(), None)
    }

    fn count_given(&self, outcome: Outcome, reason: Reason, entry: &Entry) {
        self.asker.count_given(outcome, reason, entry);
    }

    /// Computes for everybody who waits.
    async fn lead<R>(
        mut self,
        lead: Lead,
        why: Reason,
        mut stale: Option<Stale>,
    ) -> Result<Response<ResponseBody<R>>, S::Error>
    where
        S: Service<Request<Q>, Response = Response<R>> + Clone,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send,
    {
        // The flight before this one may have landed after the request had looked.
        let (found, variant) = self.find_again();
        self.variant = variant;
        match found {
            Found::Fresh { entry, age, ttl } => {
                lead.land(Flown::Entry(Arc::clone(&entry)));
                return Ok(self.serve_collapsed(&entry, why, age, ttl.cast_signed()));
            }
            Found::Pass => {
                lead.release();
                return self.alone(Reason::HitForMiss, None).await;
            }
            Found::Miss {
                stale: Some(newer), ..
            } => stale = Some(newer),
            Found::WhileRevalidate { .. } | Found::Accepted { .. } | Found::Miss { .. } => {}
        }
        match self.look_remote().await {
            Some(Found::Fresh { entry, age, ttl }) => {
                lead.land(Flown::Entry(Arc::clone(&entry)));
                let told = (Outcome::Hit, Reason::Remote);
                return Ok(self.serve_hit(&entry, age, ttl.cast_signed(), told));
            }
            Some(Found::Accepted {
                entry,
                age,
                stale_for,
            }) => {
                lead.release();
                let told = (Outcome::Stale, Reason::MaxStale);
                return Ok(self.serve_hit(&entry, age, -stale_for.cast_signed(), told));
            }
            Some(Found::Miss {
                stale: Some(there), ..
            }) => stale = stale.or(Some(there)),
            // Whether it may also stand in for a failure is seen when there is one.
            Some(Found::WhileRevalidate {
                entry,
                age,
                stale_for,
            }) => {
                stale = stale.or(Some(Stale {
                    entry,
                    age,
                    stale_for,
                    on_error: true,
                }));
            }
            _ => {}
        }
        let (work, settling) = self.compute(Some(&lead), why, stale.as_ref());
        let answer = work.instrument(settling.asked.filling.span()).await;
        finish(answer, settling, stale, Some(lead)).await
    }

    /// Computes for this request alone. What is stale is validated, and may stand in for a
    /// failure.
    pub(crate) async fn alone<R>(
        self,
        why: Reason,
        stale: Option<Stale>,
    ) -> Result<Response<ResponseBody<R>>, S::Error>
    where
        S: Service<Request<Q>, Response = Response<R>> + Clone,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send,
    {
        let (work, settling) = match &stale {
            Some(_) => self.compute(None, why, stale.as_ref()),
            None => self.pass(why),
        };
        let answer = work.instrument(settling.asked.filling.span()).await;
        finish(answer, settling, stale, None).await
    }

    /// Begins the computation of an entry: notes the position, opens the scope, and hides the
    /// client's preconditions, so that the answer is a whole one, or says that what is stale is
    /// still right.
    pub(crate) fn compute<R>(
        mut self,
        lead: Option<&Lead>,
        why: Reason,
        stale: Option<&Stale>,
    ) -> (Scoped<S, Q>, Settling)
    where
        S: Service<Request<Q>, Response = Response<R>> + Clone,
    {
        let basis = self.settings.cache.basis();
        if let Some(lead) = lead {
            lead.rebase(basis);
            Led::add(self.request.extensions_mut(), self.place.digest);
        }
        let conditional = self
            .ask
            .scan
            .conditional
            .then(|| self.request.headers().clone());
        if conditional.is_some() {
            let headers = self.request.headers_mut();
            conditional::strip(headers);
            headers.remove(header::RANGE);
        }
        let headers = Some(self.request.headers().clone());
        self.hide_unkeyed();
        // Judged behind the position: what was ended before it is no more to be confirmed.
        let validating = stale
            .filter(|stale| stale.is_left(&self.settings.cache))
            .map(|stale| Arc::clone(&stale.entry))
            .filter(|entry| validate::ask(entry, self.request.headers_mut()));
        if validating.is_some() {
            self.settings.cache.stats().count_revalidation(why);
        }
        let (work, settling) = self.run(basis, headers, conditional, why);
        (
            work,
            Settling {
                validating,
                ..settling
            },
        )
    }

    /// Begins a computation that nobody waits for. Its answer is stored too if it may be.
    pub(crate) fn pass<R>(mut self, why: Reason) -> (Scoped<S, Q>, Settling)
    where
        S: Service<Request<Q>, Response = Response<R>> + Clone,
    {
        let basis = self.settings.cache.basis();
        self.hide_unkeyed();
        self.run(basis, None, None, why)
    }

    /// Like [`pass`](Self::pass) for a layer that changes nothing: the answer may be one of several
    /// variants.
    pub(crate) fn try_out<R>(self, why: Reason) -> (Scoped<S, Q>, Settling)
    where
        S: Service<Request<Q>, Response = Response<R>> + Clone,
    {
        let basis = self.settings.cache.basis();
        let headers = self.request.headers().clone();
        self.run(basis, Some(headers), None, why)
    }

    /// Leaves nothing in the request but what the key holds.
    pub(crate) fn hide_unkeyed(&mut self) {
        if self.settings.strip_unkeyed {
            let has_body = !matches!(*self.request.method(), Method::GET | Method::HEAD);
            let settings = Arc::clone(&self.settings);
            let keyed = |name: &_| settings.is_keyed(name, has_body);
            hop::retain(self.request.headers_mut(), keyed);
        }
    }

    pub(crate) fn run<R>(
        mut self,
        basis: Basis,
        headers: Option<HeaderMap>,
        conditional: Option<HeaderMap>,
        why: Reason,
    ) -> (Scoped<S, Q>, Settling)
    where
        S: Service<Request<Q>, Response = Response<R>> + Clone,
    {
        if !self.settings.encodings.is_empty() {
            forms::unmark(self.request.headers_mut());
        }
        let dependencies = Work::new(basis, self.budget);
        let scan = self.ask.scan;
        let extensions = self.settings.personal.is_some();
        let asked = Asked {
            extensions: extensions.then(|| Box::new(self.request.extensions().clone())),
            place: self.place,
            host: self.request.headers().get(header::HOST).cloned(),
            who: self.ask.who,
            uri: self.uri,
            headers,
            facts: RequestFacts {
                authorized: scan.authorized,
                cross_origin: scan.origin,
            },
            post: false,
            dependencies: Arc::clone(&dependencies),
            conditional: scan.conditional && conditional.is_none(),
            began: self.settings.cache.shared().clock.now(),
            filling: Filling::begin(&self.settings.cache),
            settings: self.settings,
        };
        let work = run_in(dependencies, self.inner.oneshot(self.request));
        (
            work,
            Settling {
                asked,
                conditional,
                validating: None,
                why,
                asker: self.asker,
                counted: true,
            },
        )
    }
}

/// What an invalidation must name to end the answer to a request, as far as the request tells.
pub(crate) fn tags_of(
    settings: &Settings,
    uri: &Uri,
    headers: &HeaderMap,
    who: &Who,
) -> Vec<TagId> {
    let cache = &settings.cache;
    let target = Target::of(uri, Host::of(headers));
    let mut tags = target.map_or_else(Vec::new, |target| target.implied_tags(cache, uri));
    let log = cache.shared().log.tags();
    tags.extend(who.tags().map(|tag| tag.id(log)));
    tags
}

/// Ends a computation: by what may stand in for its failure, or by its answer.
async fn finish<R, E>(
    answer: Result<Response<R>, E>,
    settling: Settling,
    stale: Option<Stale>,
    lead: Option<Lead>,
) -> Result<Response<ResponseBody<R>>, E>
where
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    let contradicted = answer
        .as_ref()
        .is_ok_and(|response| settling.is_contradicted_by(response));
    let failed = contradicted
        || answer
            .as_ref()
            .map_or(true, |response| is_failure(response.status()));
    let settings = Arc::clone(&settling.asked.settings);
    if let Some(fallback) = stale
        .filter(|_| failed)
        .and_then(|stale| stale.into_fallback(&settings.cache))
    {
        if contradicted {
            settling.forget(&fallback.entry);
        }
        if let Some(lead) = lead {
            lead.land(Flown::Failed);
        }
        // Only GETs are computed.
        let headers = settling.conditional.as_ref();
        let reading = Reading {
            head: false,
            conditional: headers,
            headers,
        };
        settling.asked.filling.end(Reason::Failed);
        let status = answer.ok().map(|response| response.status());
        let asker = &settling.asker;
        return Ok(serve_stale(&settings, asker, &fallback, &reading, status));
    }
    match answer {
        Ok(response) => Ok(settling.settle_async(response, lead).await),
        Err(error) => {
            settling.count(Reason::Failed);
            if let Some(lead) = lead {
                lead.land(Flown::Failed);
            }
            Err(error)
        }
    }
}

pub(crate) fn serve_stale<R: Body>(
    settings: &Settings,
    asker: &Asker,
    fallback: &Stale,
    reading: &Reading<'_>,
    status: Option<StatusCode>,
) -> Response<ResponseBody<R>> {
    asker.count_given(Outcome::Stale, Reason::StaleIfError, &fallback.entry);
    let telling = Telling::StandIn {
        status,
        ttl: -fallback.stale_for.cast_signed(),
    };
    serve(settings, &fallback.entry, reading, fallback.age, telling)
}
