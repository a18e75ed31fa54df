//! Hits that are computed once more, in the background, to see whether they are right.

use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, Method, Request, Response, header, request::Parts};
use http_body::Body;
use pitlane_core::Reason;
use tower::ServiceExt;
use tower_service::Service;
use tracing::Instrument;

use super::{
    bounds::{Answered, Asked, Inner},
    forms,
    future::ResponseFuture,
    key::{Host, text_of},
    lookup::response_of,
    service::ResponseCache,
};
use crate::{
    audit::{Audit, Auditor, Fault, Print, Turn},
    cache::{Budget, Cache, Entry, Usable, Work, run_in},
};

/// The auditors that have a request answered once more. Their caches, where they are stacked, must
/// neither answer it with what is audited nor store what comes of it: that would hide a stale entry
/// and take the place of it.
#[derive(Clone, Debug, Default)]
struct Audited(Vec<Arc<Auditor>>);

impl Audited {
    fn add(extensions: &mut Extensions, auditor: &Arc<Auditor>) {
        let Self(auditors) = extensions.get_or_insert_default();
        auditors.push(Arc::clone(auditor));
    }

    fn is_for(extensions: &Extensions, auditor: &Arc<Auditor>) -> bool {
        let audited = extensions.get::<Self>();
        audited.is_some_and(|audited| audited.0.iter().any(|one| Arc::ptr_eq(one, auditor)))
    }
}

impl<S: Clone> ResponseCache<S> {
    /// Whether a layer of this cache further out has the request answered once more.
    #[inline]
    pub(super) fn is_audited(&self, parts: &Parts) -> bool {
        let auditor = self.settings.cache.auditor();
        // Asked at every request: nearly always the first word is all it takes.
        auditor.is_busy() && Audited::is_for(&parts.extensions, auditor)
    }

    /// Goes on as a computation would, with nothing looked up, stored or counted.
    #[cold]
    pub(super) fn pass_audited<Q, R>(&self, parts: Parts, body: Q) -> ResponseFuture<S, Q, R>
    where
        S: Service<Request<Q>, Response = Response<R>>,
        R: Body,
    {
        let request = self.as_computed(parts, body);
        let settings = Arc::clone(&self.settings);
        ResponseFuture::bypass(
            self.inner.clone(),
            request,
            settings,
            Reason::HitForMiss,
            None,
        )
    }

    /// Has the inner service answer a request once more that was answered by `entry`, if it is
    /// drawn.
    #[cold]
    pub(super) fn audit<Q, R>(&self, entry: &Arc<Entry>, parts: Parts, body: Q)
    where
        S: Inner<Q, R>,
        Q: Asked,
        R: Answered,
    {
        let settings = &self.settings;
        let cache = &settings.cache;
        let Some(audit) = &settings.audit else {
            return;
        };
        let is_plain = parts.method == Method::GET
            && ![header::AUTHORIZATION, header::COOKIE, header::RANGE]
                .iter()
                .any(|name| parts.headers.contains_key(name));
        if !is_plain || cache.is_shadow() {
            return;
        }
        let auditor = cache.auditor();
        let Some(turn) = auditor.draw(audit, entry, cache.shared().clock.now()) else {
            return;
        };
        let key = text_of(settings.uri_of(&parts), Host::of(&parts.headers));
        let mut request = self.as_computed(parts, body);
        Audited::add(request.extensions_mut(), auditor);
        let answer = self.inner.clone().oneshot(request);
        let case = Case {
            cache: cache.clone(),
            audit: Arc::clone(audit),
            entry: Arc::clone(entry),
            turn,
            key,
        };
        // Where too much runs already the turn is dropped, and counted as failed.
        let _ = cache
            .shared()
            .spawn(async move { case.judge(answer).await }.in_current_span());
    }

    /// The request as a computation of the entry would send it.
    fn as_computed<Q>(&self, mut parts: Parts, body: Q) -> Request<Q> {
        pitlane_policy::conditional::strip(&mut parts.headers);
        if self.settings.strip_unkeyed {
            let keyed = |name: &_| self.settings.is_keyed(name, false);
            pitlane_policy::hop::retain(&mut parts.headers, keyed);
        }
        if !self.settings.encodings.is_empty() {
            forms::unmark(&mut parts.headers);
        }
        // The request has its outcome, and what comes of this is nobody's.
        #[cfg(feature = "metrics")]
        parts.extensions.remove::<crate::metrics::Told>();
        Request::from_parts(parts, body)
    }
}

/// One hit that was drawn.
struct Case {
    cache: Cache,
    audit: Arc<Audit>,
    entry: Arc<Entry>,
    turn: Turn,
    key: String,
}

impl Case {
    async fn judge<R, E>(self, answer: impl Future<Output = Result<Response<R>, E>>)
    where
        R: Body<Data = Bytes>,
    {
        let Some(stored) = response_of(&self.entry) else {
            return;
        };
        let stored = Print::of_stored(stored, &self.audit.headers);
        let Some(computed) = self.compute(answer).await else {
            return;
        };
        let budget = Budget::new(self.cache.shared().budget);
        if !self.cache.shared().confirm(Some(&budget)).await {
            return;
        }
        // Behind the computation: what ended the entry until now may be what it has seen already.
        let now = self.cache.shared().clock.now();
        let judged = self.entry.judge(&self.cache.shared().log, now);
        if !matches!(judged, Usable::Fresh { .. }) {
            return self.turn.ended();
        }
        let Self {
            cache,
            audit,
            entry,
            turn,
            key,
        } = self;
        let differs = stored.differences(&computed);
        if turn.compare(&audit, &entry, &stored, computed, now) {
            cache
                .auditor()
                .tell(cache.name(), story(&entry, key, differs, now));
        }
    }

    /// In a scope of its own, so that nothing of it reaches an entry.
    async fn compute<R, E>(
        &self,
        answer: impl Future<Output = Result<Response<R>, E>>,
    ) -> Option<Print>
    where
        R: Body<Data = Bytes>,
    {
        let (names, limit) = (&self.audit.headers, self.cache.tier().max_body());
        let work = Work::new(self.cache.basis(), self.cache.budget());
        let read = async { Print::of_answer(answer.await.ok()?, names, limit).await };
        let read = tokio::time::timeout(self.audit.deadline, run_in(work, read));
        read.await.ok().flatten()
    }
}

fn story(entry: &Entry, key: String, differs: Vec<String>, now: pitlane_core::Timestamp) -> Fault {
    let meta = &entry.meta;
    Fault {
        key,
        found_ms: now.as_millis(),
        stored_ms: meta.stored_at.as_millis(),
        age_seconds: meta.resident(now).as_secs_f64(),
        cost_seconds: meta.cost.as_secs_f64(),
        position: meta.stamp.position().to_string(),
        tags: meta
            .tags
            .names()
            .iter()
            .map(|tag| tag.name().to_owned())
            .collect(),
        differs,
    }
}
