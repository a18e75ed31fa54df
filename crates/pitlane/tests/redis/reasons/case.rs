//! One reason, brought about without sockets.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use pitlane::{
    Cache, Caches, Clock, Invalidation, Outcome, Reason, ResponseCacheLayer, Timestamp,
    explain::{Asking, Explanation},
};
use pitlane_testkit::Reply;
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};

pub(super) type Service = BoxCloneSyncService<Request<Full<Bytes>>, Response<Bytes>, String>;
type Configure = Box<dyn Fn(ResponseCacheLayer, &Caches) -> ResponseCacheLayer>;
pub(super) type Handler = Arc<dyn Fn(&Request<Full<Bytes>>, usize) -> Answer + Send + Sync>;
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Reply, String>> + Send>>;

/// What leads to a reason, step by step.
pub(super) struct Case {
    pub(super) reason: Reason,
    configure: Configure,
    handler: Box<dyn Fn(&Caches) -> Handler>,
    warm: Vec<Asked>,
    pause: Duration,
    ends: Option<Invalidation>,
    asks: Asked,
    told: Told,
}

/// Where the reason is to be seen.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    /// In Cache-Status, in the count of the request, in the explanation.
    Everywhere,
    /// Found out when the head was gone: in the count of computations and in the explanation.
    Late,
    /// The answer is an error, which has no head.
    NoAnswer,
    /// In Cache-Status and in the count: such a request can't be asked about.
    NotAsked,
}

#[derive(Clone)]
struct Asked {
    method: Method,
    uri: String,
    headers: Vec<(String, String)>,
    body: &'static str,
}

impl Case {
    /// A GET of `/`, answered with something that is fresh for a minute.
    pub(super) fn new(reason: Reason) -> Self {
        let handler: Handler =
            Arc::new(|_, call| reply(&[("cache-control", "max-age=60")], call.to_string()));
        Self {
            reason,
            configure: Box::new(|layer, _| layer),
            handler: Box::new(move |_| Arc::clone(&handler)),
            warm: Vec::new(),
            pause: Duration::ZERO,
            ends: None,
            asks: Asked::get("/"),
            told: Told::Everywhere,
        }
    }

    pub(super) fn layer(
        mut self,
        configure: impl Fn(ResponseCacheLayer, &Caches) -> ResponseCacheLayer + 'static,
    ) -> Self {
        self.configure = Box::new(configure);
        self
    }

    pub(super) fn handler(
        self,
        handler: impl Fn(&Request<Full<Bytes>>, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let handler: Handler = Arc::new(handler);
        self.handler_over(move |_| Arc::clone(&handler))
    }

    /// A handler that looks into caches as well.
    pub(super) fn handler_over(mut self, handler: impl Fn(&Caches) -> Handler + 'static) -> Self {
        self.handler = Box::new(handler);
        self
    }

    /// Every answer has these fields.
    pub(super) fn says(self, headers: &'static [(&'static str, &'static str)]) -> Self {
        self.handler(move |_, call| reply(headers, call.to_string()))
    }

    /// Every answer has this status, and is fresh for a minute.
    pub(super) fn status(self, status: u16) -> Self {
        self.handler(move |_, _| with_status(status, &[("cache-control", "max-age=60")]))
    }

    /// The same was asked before.
    pub(super) fn warm(mut self) -> Self {
        self.warm.push(Asked::get("/"));
        self
    }

    pub(super) fn warm_with(mut self, name: &str, value: &str) -> Self {
        self.warm.push(Asked::get("/").with(name, value));
        self
    }

    /// So many seconds go by.
    pub(super) fn pause(mut self, seconds: u64) -> Self {
        self.pause = Duration::from_secs(seconds);
        self
    }

    pub(super) fn ends(mut self, invalidation: Invalidation) -> Self {
        self.ends = Some(invalidation);
        self
    }

    pub(super) fn asks(mut self, method: Method, uri: &str) -> Self {
        self.asks.method = method;
        uri.clone_into(&mut self.asks.uri);
        self
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.asks = self.asks.with(name, value);
        self
    }

    pub(super) fn body(mut self, body: &'static str) -> Self {
        self.asks.body = body;
        self
    }

    pub(super) fn late(mut self) -> Self {
        self.told = Told::Late;
        self
    }

    pub(super) fn no_answer(mut self) -> Self {
        self.told = Told::NoAnswer;
        self
    }

    pub(super) fn not_asked(mut self) -> Self {
        self.told = Told::NotAsked;
        self
    }

    pub(super) async fn run(self) {
        let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let builder = Caches::builder().cache("default").cache("query");
        let caches = builder.clock(clock.clone()).build().unwrap();
        let cache = caches.get("default").unwrap();
        let layer = (self.configure)(ResponseCacheLayer::new(&cache), &caches);
        let service = service(&layer, &(self.handler)(&caches));
        for asked in &self.warm {
            let _ = send(&service, asked.request()).await;
        }
        clock.advance(self.pause);
        if let Some(ends) = &self.ends {
            let _ = caches.publish(ends.clone()).await.unwrap();
        }
        self.check(&service, &cache).await;
    }

    async fn check(&self, service: &Service, cache: &Cache) {
        let reason = self.reason;
        let (before, fills) = (counts(cache), cache.fills());
        let why = match self.told {
            Told::NotAsked => None,
            _ => Some(ask(service, self.asks.request()).await),
        };
        assert_eq!(counts(cache), before, "{reason}: asking is not counted");
        assert_eq!(cache.fills(), fills, "{reason}: asking is not counted");
        let answer = send(service, self.asks.request()).await;
        let mut counted = counts(cache);
        counted.retain(|count| !before.contains(count));
        assert_eq!(counted.len(), 1, "{reason}: {counted:?} after {before:?}");
        let (outcome, told, _) = counted[0];
        match self.told {
            Told::Late => {
                let filled = cache.fills();
                assert!(filled.iter().any(|(why, _)| *why == reason), "{filled:?}");
            }
            Told::NoAnswer => assert!(answer.is_err() && told == reason, "{reason}: {told}"),
            _ => {
                let head = answer.unwrap();
                let said = head.headers()["cache-status"].to_str().unwrap();
                let detail = format!("detail={reason}");
                assert!(said.ends_with(&detail), "{reason}: {said}");
                assert_eq!(told, reason);
            }
        }
        if let Some(why) = why {
            assert_eq!((why.outcome, why.reason), (outcome, reason), "{why}");
            assert_eq!(why.advice.as_deref(), reason.advice());
            let begins = reason.explain().trim_end_matches('.');
            assert!(why.sentence.starts_with(begins), "{why}");
        }
    }
}

impl Asked {
    fn get(path: &str) -> Self {
        Self {
            method: Method::GET,
            uri: format!("http://site.test{path}"),
            headers: Vec::new(),
            body: "",
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(&self.method).uri(&self.uri);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::from(self.body)).unwrap()
    }
}

/// An answer whose body is there.
pub(super) fn reply(headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let reply = pitlane_testkit::Origin::reply(headers, body);
    Box::pin(async { Ok(reply) })
}

pub(super) fn with_status(status: u16, headers: &[(&str, &str)]) -> Answer {
    let mut reply = pitlane_testkit::Origin::reply(headers, "x");
    *reply.status_mut() = status.try_into().unwrap();
    Box::pin(async { Ok(reply) })
}

/// A handler that counts its calls.
#[derive(Clone)]
struct Inner {
    calls: Arc<AtomicUsize>,
    handler: Handler,
}

impl tower::Service<Request<Full<Bytes>>> for Inner {
    type Response = Reply;
    type Error = String;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Answer {
        (self.handler)(&request, self.calls.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

/// The layer over a handler; whoever asks reads to the end.
pub(super) fn service(layer: &ResponseCacheLayer, handler: &Handler) -> Service {
    let service = layer.layer(Inner {
        calls: Arc::default(),
        handler: Arc::clone(handler),
    });
    let whole = move |request: Request<Full<Bytes>>| {
        let service = service.clone();
        async move {
            let (head, body) = service.oneshot(request).await?.into_parts();
            let body = read(UnsyncBoxBody::new(body)).await;
            Ok::<_, String>(Response::from_parts(head, body))
        }
    };
    BoxCloneSyncService::new(tower::service_fn(whole))
}

/// A body that breaks off is an answer too, as far as it came.
async fn read<E>(mut body: UnsyncBoxBody<Bytes, E>) -> Bytes {
    let mut read = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        read.extend(frame.into_data().unwrap_or_default());
    }
    read.into()
}

pub(super) async fn send(
    service: &Service,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, String> {
    service.clone().oneshot(request).await
}

/// Asks why.
pub(super) async fn ask(service: &Service, request: Request<Full<Bytes>>) -> Explanation {
    let (request, asked) = Asking::mark(request).unwrap();
    let _ = send(service, request).await;
    let mut told = asked.explanations();
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0)
}

pub(super) fn counts(cache: &Cache) -> Vec<(Outcome, Reason, u64)> {
    let counts = cache.counts().into_iter();
    counts
        .map(|count| (count.outcome, count.reason, count.count))
        .collect()
}

/// An answer whose body comes in frames.
pub(super) fn framed(
    headers: &[(&str, &str)],
    frames: Vec<Result<Frame<Bytes>, &'static str>>,
) -> Answer {
    let body = UnsyncBoxBody::new(Frames(frames.into()));
    let reply = pitlane_testkit::Origin::reply(headers, "").map(|_| body);
    Box::pin(async { Ok(reply) })
}

struct Frames(VecDeque<Result<Frame<Bytes>, &'static str>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = self.0.pop_front();
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }
}
