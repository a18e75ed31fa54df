use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, Request, Response, Uri, header};
use http_body::Body;
use pitlane_core::{Basis, Digest, Followed, Joined, Outcome, Reason, TagId};
use pitlane_policy::{RequestFacts, conditional};
use tokio::task::futures::TaskLocalFuture;
use tower::util::{Oneshot, ServiceExt};
use tower_service::Service;

use super::{
    admit::Ask,
    body::ResponseBody,
    decorate::decorate,
    key::{Host, Place, Target},
    layer::Settings,
    lookup::{Fallback, Found, find, find_remote},
    service::{Reading, heed, serve},
    settle::{Settling, count, is_failure, tell},
    status::Telling,
    store::{Asked, user_tag},
};
use crate::cache::{Budget, Entry, Flown, Lead, Usable, Work, run_in, within};

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
    pub(crate) label: Option<Box<str>>,
    /// What the request may lose to Redis, where that is asked at all.
    pub(crate) budget: Option<Budget>,
}

/// The keys whose answers are being computed around a request. A cache that is stacked twice, on a
/// router and on one of its routes, must not wait for itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Led(Vec<Digest>);

impl Led {
    fn add(extensions: &mut Extensions, key: Digest) {
        let Self(keys) = extensions.get_or_insert_default();
        keys.push(key);
    }

    pub(crate) fn contains(extensions: &Extensions, key: Digest) -> bool {
        let led = extensions.get::<Self>();
        led.is_some_and(|led| led.0.contains(&key))
    }
}

/// The inner service's work within its dependency scope.
pub(crate) type Scoped<S, Q> = TaskLocalFuture<Arc<Work>, Oneshot<S, Request<Q>>>;

/// Answers a request that found nothing usable: by one computation for all who ask at once.
pub(crate) async fn fetch<S, Q, R>(
    mut call: Call<S, Q>,
    mut why: Reason,
    fallback: Option<Fallback>,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<Q>, Response = Response<R>> + Clone,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    for _ in 0..MAX_ROUNDS {
        let follower = match call.join() {
            Joined::Lead(lead) => return call.lead(lead, why, fallback).await,
            Joined::Follow(follower) => follower,
        };
        match follower.await {
            Followed::Lead(lead) => return call.lead(lead, why, fallback).await,
            Followed::Released => break,
            Followed::Landed(Flown::Failed) => {
                match fallback.and_then(|fallback| fallback.again(&call.settings.cache)) {
                    Some(fallback) => return Ok(call.serve_fallback(&fallback)),
                    None => break,
                }
            }
            Followed::Landed(Flown::Entry(entry)) => match call.judge_landed(&entry) {
                Ok((age, ttl)) => return Ok(call.serve_collapsed(&entry, why, age, ttl)),
                Err(reason) => why = reason,
            },
        }
    }
    call.go_alone(why).await
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
        let cache = &self.settings.cache;
        let target = Target::of(&self.uri, Host::of(self.request.headers()));
        let mut tags = target.map_or_else(Vec::new, |target| target.implied_tags(cache, &self.uri));
        if let Some(user) = &self.ask.user {
            tags.push(user_tag(user).id(cache.shared().log.tags()));
        }
        tags
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
        match entry.judge(&cache.shared().log, now) {
            Usable::Fresh { age, ttl } => Ok((age, ttl.cast_signed())),
            Usable::WhileRevalidate { age, stale_for, .. } => Ok((age, -stale_for.cast_signed())),
            Usable::OnError { reason, .. } | Usable::No(reason) => Err(reason),
        }
    }

    fn reading(&self) -> Reading<'_> {
        let conditional = self
            .ask
            .scan
            .conditional
            .then(|| (self.request.method(), self.request.headers()));
        Reading {
            head: self.ask.scan.head,
            conditional,
        }
    }

    fn serve_collapsed<R: Body>(
        &self,
        entry: &Entry,
        why: Reason,
        age: u64,
        ttl: i64,
    ) -> Response<ResponseBody<R>> {
        self.count(Outcome::Collapsed, Reason::Collapsed);
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

    fn serve_remote<R: Body>(
        &self,
        entry: &Entry,
        age: u64,
        ttl: u64,
    ) -> Response<ResponseBody<R>> {
        let detail = Reason::Remote;
        self.count(Outcome::Hit, detail);
        let telling = Telling::Hit {
            ttl: ttl.cast_signed(),
            detail,
        };
        serve(&self.settings, entry, &self.reading(), age, telling)
    }

    fn serve_fallback<R: Body>(&self, fallback: &Fallback) -> Response<ResponseBody<R>> {
        serve_stale(
            &self.settings,
            self.label.as_deref(),
            fallback,
            &self.reading(),
        )
    }

    fn count(&self, outcome: Outcome, reason: Reason) {
        count(&self.settings, self.label.as_deref(), outcome, reason);
    }

    /// Passes a HEAD request on; something stale may stand in for a failure.
    pub(crate) async fn head<R>(
        self,
        fallback: Fallback,
    ) -> Result<Response<ResponseBody<R>>, S::Error>
    where
        S: Service<Request<Q>, Response = Response<R>> + Clone,
        R: Body,
    {
        let why = Reason::HeadMiss;
        let reading = Reading {
            head: true,
            conditional: None,
        };
        let answer = within(self.budget, self.inner.oneshot(self.request)).await;
        let failed = answer
            .as_ref()
            .map_or(true, |response| is_failure(response.status()));
        if let Some(fallback) = Some(fallback)
            .filter(|_| failed)
            .and_then(|fallback| fallback.again(&self.settings.cache))
        {
            return Ok(serve_stale(
                &self.settings,
                self.label.as_deref(),
                &fallback,
                &reading,
            ));
        }
        let mut response = answer?;
        count(&self.settings, self.label.as_deref(), Outcome::Miss, why);
        decorate(&self.settings, response.headers_mut(), false);
        tell(&self.settings, response.headers_mut(), why, false, why);
        Ok(response.map(ResponseBody::passing))
    }

    /// Computes for everybody who waits.
    async fn lead<R>(
        mut self,
        lead: Lead,
        why: Reason,
        mut fallback: Option<Fallback>,
    ) -> Result<Response<ResponseBody<R>>, S::Error>
    where
        S: Service<Request<Q>, Response = Response<R>> + Clone,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send,
    {
        let cache = self.settings.cache.clone();
        let now = cache.shared().clock.now();
        // The flight before this one may have landed after the request had looked.
        let (found, variant) = find(&cache, &self.place.key, self.request.headers(), now);
        self.variant = variant;
        match found {
            Found::Fresh { entry, age, ttl } => {
                lead.land(Flown::Entry(Arc::clone(&entry)));
                return Ok(self.serve_collapsed(&entry, why, age, ttl.cast_signed()));
            }
            Found::Pass => {
                lead.release();
                return self.go_alone(Reason::HitForMiss).await;
            }
            Found::WhileRevalidate { .. } | Found::Miss { .. } => {}
        }
        match self.look_remote().await {
            Some(Found::Fresh { entry, age, ttl }) => {
                lead.land(Flown::Entry(Arc::clone(&entry)));
                return Ok(self.serve_remote(&entry, age, ttl));
            }
            Some(Found::Miss {
                fallback: stale, ..
            }) => fallback = fallback.or(stale),
            // Whether it may also stand in for a failure is seen when there is one.
            Some(Found::WhileRevalidate {
                entry,
                age,
                stale_for,
            }) => {
                fallback = fallback.or(Some(Fallback {
                    entry,
                    age,
                    stale_for,
                }));
            }
            _ => {}
        }
        let settings = Arc::clone(&self.settings);
        let (work, settling) = self.compute(&lead, why);
        let answer = work.await;
        let failed = answer
            .as_ref()
            .map_or(true, |response| is_failure(response.status()));
        if let Some(fallback) = fallback
            .filter(|_| failed)
            .and_then(|fallback| fallback.again(&cache))
        {
            lead.land(Flown::Failed);
            // Only GETs are computed.
            let headers = settling.conditional.as_ref();
            let reading = Reading {
                head: false,
                conditional: headers.map(|headers| (&Method::GET, headers)),
            };
            let label = settling.label.as_deref();
            return Ok(serve_stale(&settings, label, &fallback, &reading));
        }
        match answer {
            Ok(response) => Ok(settling.settle_async(response, Some(lead)).await),
            Err(error) => {
                count(
                    &settings,
                    settling.label.as_deref(),
                    Outcome::Miss,
                    Reason::Failed,
                );
                lead.land(Flown::Failed);
                Err(error)
            }
        }
    }

    /// Begins the computation of an entry: notes the position, opens the scope, and hides the
    /// client's preconditions, so that the answer is a whole one.
    pub(crate) fn compute<R>(mut self, lead: &Lead, why: Reason) -> (Scoped<S, Q>, Settling)
    where
        S: Service<Request<Q>, Response = Response<R>> + Clone,
    {
        let basis = self.settings.cache.basis();
        lead.rebase(basis);
        let conditional = self
            .ask
            .scan
            .conditional
            .then(|| self.request.headers().clone());
        if conditional.is_some() {
            conditional::strip(self.request.headers_mut());
        }
        let headers = Some(self.request.headers().clone());
        Led::add(self.request.extensions_mut(), self.place.digest);
        self.run(basis, headers, conditional, why)
    }

    /// Begins a computation that nobody waits for. Its answer is stored too if it may be.
    pub(crate) fn pass<R>(self, why: Reason) -> (Scoped<S, Q>, Settling)
    where
        S: Service<Request<Q>, Response = Response<R>> + Clone,
    {
        let basis = self.settings.cache.basis();
        self.run(basis, None, None, why)
    }

    async fn go_alone<R>(self, why: Reason) -> Result<Response<ResponseBody<R>>, S::Error>
    where
        S: Service<Request<Q>, Response = Response<R>> + Clone,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send,
    {
        let (work, settling) = self.pass(why);
        match work.await {
            Ok(response) => Ok(settling.settle_async(response, None).await),
            Err(error) => {
                settling.count(Reason::Failed);
                Err(error)
            }
        }
    }

    fn run<R>(
        self,
        basis: Basis,
        headers: Option<HeaderMap>,
        conditional: Option<HeaderMap>,
        why: Reason,
    ) -> (Scoped<S, Q>, Settling)
    where
        S: Service<Request<Q>, Response = Response<R>> + Clone,
    {
        let dependencies = Work::new(basis, self.budget);
        let scan = self.ask.scan;
        let asked = Asked {
            place: self.place,
            host: self.request.headers().get(header::HOST).cloned(),
            user: self.ask.user,
            uri: self.uri,
            headers,
            facts: RequestFacts {
                authorized: scan.authorized,
                cross_origin: scan.origin,
            },
            dependencies: Arc::clone(&dependencies),
            conditional: scan.conditional && conditional.is_none(),
            began: self.settings.cache.shared().clock.now(),
            settings: self.settings,
        };
        let work = run_in(dependencies, self.inner.oneshot(self.request));
        (
            work,
            Settling {
                asked,
                conditional,
                why,
                label: self.label,
                counted: true,
            },
        )
    }
}

fn serve_stale<R: Body>(
    settings: &Settings,
    label: Option<&str>,
    fallback: &Fallback,
    reading: &Reading<'_>,
) -> Response<ResponseBody<R>> {
    let detail = Reason::StaleIfError;
    count(settings, label, Outcome::Stale, detail);
    let telling = Telling::Hit {
        ttl: -fallback.stale_for.cast_signed(),
        detail,
    };
    serve(settings, &fallback.entry, reading, fallback.age, telling)
}
