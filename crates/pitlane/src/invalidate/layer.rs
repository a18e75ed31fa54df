use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, Uri, request::Parts};
use pitlane_core::{Position, Tag};
use tower_layer::Layer;

use super::Invalidate;
use crate::{
    cache::{Caches, Invalidation, Shared},
    response::{Effective, OnlyAsks, Owing, Shape, Trouble, UriOf},
};

type TagsOf = Arc<dyn Fn(&Parts) -> Vec<Tag> + Send + Sync>;

/// Lets the requests to routes that are not cached end what other routes have stored: writes
/// below another path, admin APIs, webhooks.
///
/// A write (any method but the safe ones) that is not refused (4xx) ends what is stored of
/// its URI, of the URIs of the same host in `Location` and `Content-Location`, and of the groups in
/// `Cache-Group-Invalidation` (RFC 9111 §4.4, RFC 9875), in all caches of the registry. The
/// [response cache](crate::ResponseCacheLayer) does the same for the routes that it is around;
/// where both are, both do, which costs an entry in the log and nothing else.
///
/// More is ended by [`tags`](Self::tags) that follow from the request, and by the handler itself, with an
/// [`Invalidation`] as an extension of its answer, whatever the method and the status.
///
/// The answer waits until the log has the invalidation, for at most one Redis budget; then it is
/// owed. A request that is dropped before it was answered, and one that failed without an answer, may
/// have changed something: its URI and its tags are ended as well. One that is answered with a 5xx, by
/// a handler or a timeout, may have been committed before: what carries them is made stale (softly
/// invalidated), so that it is computed anew, or stands in if that fails. A 4xx says that nothing was
/// changed.
///
/// # Example
///
/// ```
/// use axum::{Router, routing::{get, patch}};
/// use pitlane::{AnonymousCacheLayer, Caches, InvalidateLayer, Tag};
///
/// # fn main() -> Result<(), pitlane::Error> {
/// let caches = Caches::builder().build()?;
/// let pages = Router::new()
///     .route("/clubs/{id}", get(|| async { "a page that is tagged club:{id}" }))
///     .layer(AnonymousCacheLayer::new(&caches.get("default")?));
/// let api = Router::new()
///     .route("/api/clubs/{id}", patch(|| async { "changed" }))
///     .layer(InvalidateLayer::new(&caches).tags(|request| {
///         let club = request.uri.path().rsplit('/').next();
///         club.map(|id| Tag::from(format!("club:{id}"))).into_iter().collect()
///     }));
/// let app: Router = pages.merge(api);
/// # let _ = app;
/// # Ok(())
/// # }
/// ```
///
/// A handler that finds out what it has changed:
///
/// ```
/// use axum::{Extension, response::IntoResponse};
/// use pitlane::Invalidation;
///
/// async fn merge_clubs() -> impl IntoResponse {
///     let merged = [41, 42].map(|id| format!("club:{id}"));
///     (Extension(Invalidation::tags(merged)), "merged")
/// }
/// # let _ = merge_clubs;
/// ```
#[derive(Clone)]
#[must_use]
pub struct InvalidateLayer {
    settings: Settings,
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) shared: Arc<Shared>,
    original_uri: Option<UriOf>,
    shape: Shape,
    position_header: Option<HeaderName>,
    tags: Option<TagsOf>,
}

impl InvalidateLayer {
    /// A layer over all caches of a registry, which share one invalidation log.
    pub fn new(caches: &Caches) -> Self {
        Self {
            settings: Settings {
                shared: Arc::clone(&caches.shared),
                original_uri: None,
                shape: Shape::default(),
                position_header: None,
                tags: None,
            },
        }
    }

    /// What a write ends beside its URI, by its request's head. They are known before the handler
    /// runs, so that they are ended whatever becomes of it: leave out what follows from its answer.
    pub fn tags(mut self, tags: impl Fn(&Parts) -> Vec<Tag> + Send + Sync + 'static) -> Self {
        self.settings.tags = Some(Arc::new(tags));
        self
    }

    /// Where the URI is that the client asked for, when something outside this layer changes it,
    /// as axum's `nest` does. See [`CacheLayer::original_uri`](crate::CacheLayer::original_uri).
    pub fn original_uri(
        mut self,
        uri: impl for<'a> Fn(&'a Parts) -> Option<&'a Uri> + Send + Sync + 'static,
    ) -> Self {
        self.settings.original_uri = Some(Arc::new(uri));
        self
    }

    /// Says which requests come through a proxy of one's own, whose `X-Forwarded-Host` names the
    /// host. Say the same as in the layers of the routes that are cached, or they speak of
    /// different URIs. See [`CacheLayer::trusted_proxy`](crate::CacheLayer::trusted_proxy).
    ///
    /// What the handler sees is not changed here.
    pub fn trusted_proxy(mut self, trust: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.settings.shape.trust = Some(Arc::new(trust));
        self
    }

    /// The only parameters of the query that count. Say the same as in the layers of the routes that
    /// are cached. See [`CacheLayer::query_allow`](crate::CacheLayer::query_allow).
    pub fn query_allow<N: Into<Box<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let allowed = self.settings.shape.allow.get_or_insert_default();
        allowed.extend(names.into_iter().map(Into::into));
        self
    }

    /// Parameters of the query that don't count. Say the same as in the layers of the routes that are
    /// cached. See [`CacheLayer::query_ignore`](crate::CacheLayer::query_ignore).
    pub fn query_ignore<N: Into<Box<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let ignored = &mut self.settings.shape.ignore;
        ignored.extend(names.into_iter().map(Into::into));
        self
    }

    /// Tells the client of a write its position in the invalidation log, for requests that must see
    /// it on every node. See
    /// [`CacheLayer::position_header`](crate::CacheLayer::position_header).
    pub fn position_header(mut self, name: HeaderName) -> Self {
        self.settings.position_header = Some(name);
        self
    }
}

impl Settings {
    /// What a write will owe; nothing for a safe request. Whoever is further in learns by the
    /// request where to note that the log doesn't answer.
    pub(super) fn owing(&self, parts: &mut Parts) -> Option<Owing> {
        if parts.method.is_safe() || parts.extensions.get::<OnlyAsks>().is_some() {
            return None;
        }
        if self.shared.uplink.is_some() && parts.extensions.get::<Trouble>().is_none() {
            parts.extensions.insert(Trouble::default());
        }
        let tags = self.tags.as_ref().map(|tags| tags(parts));
        let mut owing = self.owing_uri(parts);
        owing.add(&tags.unwrap_or_default(), false);
        Some(owing)
    }

    fn owing_uri(&self, parts: &Parts) -> Owing {
        let original = self.original_uri.as_ref();
        let uri = original.and_then(|original| original(parts));
        let uri = uri.unwrap_or(&parts.uri);
        if self.shape.is_plain() {
            return Owing::over(&self.shared, uri, parts);
        }
        let shaped = self.shape.give(parts, uri);
        let effective = shaped.extensions.get::<Effective>();
        let uri = effective.map_or(&shaped.uri, |effective| &effective.uri);
        let mut owing = Owing::over(&self.shared, uri, &shaped);
        owing.heed(&self.shape);
        owing
    }

    /// What the handler's answer owes by itself, with what the request owes already.
    pub(super) fn named(&self, owing: Option<Owing>, named: &Invalidation) -> Owing {
        let owing = owing.filter(Owing::is_begun);
        let mut owing = owing.unwrap_or_else(|| Owing::nothing(&self.shared));
        owing.add(&named.tags, named.soft);
        owing.begin();
        owing
    }

    pub(super) fn tell(&self, position: Option<Position>, headers: &mut HeaderMap) {
        let Some((name, position)) = self.position_header.as_ref().zip(position) else {
            return;
        };
        if let Ok(value) = position.to_string().parse() {
            headers.insert(name.clone(), value);
        }
    }
}

impl<S> Layer<S> for InvalidateLayer {
    type Service = Invalidate<S>;

    fn layer(&self, inner: S) -> Invalidate<S> {
        Invalidate::new(inner, Arc::new(self.settings.clone()))
    }
}

impl fmt::Debug for InvalidateLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvalidateLayer")
            .field("position_header", &self.position_header)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        future::{Ready, ready},
        pin::{Pin, pin},
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context, Poll, Waker},
        time::Duration,
    };

    use http::{Request, Response};
    use pitlane_core::{Incarnation, Log, Record, RemoteFuture, TagId, Uplink, UplinkStatus};
    use tower::ServiceExt;

    use super::*;
    use crate::clock::Clock;

    /// A log that takes its time, and never answers.
    #[derive(Debug, Default)]
    struct Silent {
        appended: AtomicUsize,
        owed: AtomicUsize,
    }

    impl Uplink for Silent {
        fn confirm(&self) -> RemoteFuture<'_, ()> {
            Box::pin(ready(Ok(())))
        }

        fn ask<'a>(&'a self, _: &'a [TagId]) -> RemoteFuture<'a, ()> {
            Box::pin(ready(Ok(())))
        }

        fn append(&self, _: Record) -> Pin<Box<dyn Future<Output = Option<Position>> + Send + '_>> {
            self.appended.fetch_add(1, Ordering::SeqCst);
            Box::pin(ready(None))
        }

        fn owe(&self, _: Record) {
            self.owed.fetch_add(1, Ordering::SeqCst);
        }

        fn is_ready(&self) -> bool {
            true
        }

        fn clock_offset(&self) -> i64 {
            0
        }

        fn status(&self) -> UplinkStatus {
            UplinkStatus::new(None, Duration::ZERO, 0, 0, 0)
        }

        fn shutdown(&self, _: Duration) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
            Box::pin(ready(true))
        }
    }

    fn answer(_: Request<()>) -> Ready<Result<Response<()>, Infallible>> {
        ready(Ok(Response::new(())))
    }

    /// Writes through so many layers; says how often the log was waited for, and how often not.
    fn check(layers: usize, expected: (usize, usize)) {
        let silent = Arc::new(Silent::default());
        let log = Arc::new(Log::new(Incarnation::from_random(1), 16));
        let uplink: Arc<dyn Uplink> = Arc::<Silent>::clone(&silent);
        let shared = Shared::new(Clock::system(), log, Some(uplink), Duration::ZERO);
        let mut layer = InvalidateLayer::new(&Caches::builder().build().unwrap());
        layer.settings.shared = Arc::new(shared);
        let mut service = tower::util::BoxService::new(tower::service_fn(answer));
        for _ in 0..layers {
            service = tower::util::BoxService::new(layer.layer(service));
        }
        let write = Request::post("http://a.test/x").body(()).unwrap();
        let mut write = pin!(service.oneshot(write));
        let polled = write.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Ok(_))));
        let seen = (
            silent.appended.load(Ordering::SeqCst),
            silent.owed.load(Ordering::SeqCst),
        );
        assert_eq!(seen, expected, "{layers} layers");
    }

    #[test]
    fn one_request_waits_for_a_log_that_does_not_answer_once() {
        check(1, (1, 0));
        check(2, (1, 1));
        check(3, (1, 2));
    }
}
