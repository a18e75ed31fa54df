//! A gRPC handler whose answers are written by hand.

use std::{
    convert::Infallible,
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
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, request::Parts};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use pitlane::{Cache, Caches, Clock, GrpcCacheLayer, Timestamp};
use tokio::sync::mpsc;
use tower::Service;

/// The method that is cached in these tests.
pub(crate) const CACHED: &str = "/test.Echo/Cached";
/// One that isn't.
pub(crate) const OTHER: &str = "/test.Echo/Other";
/// For how long its answers are fresh.
pub(crate) const TTL: Duration = Duration::from_secs(60);

/// Longer than anything here may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// What a handler gets.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) head: Parts,
    /// All data frames, one behind the other.
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
    /// Which call it is, from 1.
    pub(crate) call: usize,
}

impl Seen {
    /// One line of everything that a handler may look at: whoever gets another's answer sees that
    /// it is another's.
    pub(crate) fn reflection(&self) -> String {
        let mut fields: Vec<_> = self
            .head
            .headers
            .iter()
            .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
            .collect();
        fields.sort();
        let message = self.body.get(5..).unwrap_or_default();
        format!(
            "{} [{}] {}",
            self.head.uri,
            fields.join(" "),
            String::from_utf8_lossy(message)
        )
    }
}

/// One message in its frame.
pub(crate) fn message(text: &str) -> Bytes {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&[0][..], &length, text.as_bytes()].concat().into()
}

pub(crate) fn fields(pairs: &[(&str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&str, &str)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    };
    let mut fields = HeaderMap::new();
    for (name, value) in pairs.iter().map(field) {
        fields.append(name, value);
    }
    fields
}

/// Frames of an answer, each as soon as it is sent.
pub(crate) struct Frames(mpsc::UnboundedReceiver<Result<Frame<Bytes>, &'static str>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.0.poll_recv(cx)
    }
}

/// Where an answer's frames are sent to; dropping it ends the answer.
#[derive(Clone)]
pub(crate) struct Writer(mpsc::UnboundedSender<Result<Frame<Bytes>, &'static str>>);

impl Writer {
    pub(crate) fn data(&self, data: impl Into<Bytes>) {
        let _ = self.0.send(Ok(Frame::data(data.into())));
    }

    pub(crate) fn trailers(&self, trailers: &[(&str, &str)]) {
        let _ = self.0.send(Ok(Frame::trailers(fields(trailers))));
    }

    pub(crate) fn fail(&self) {
        let _ = self.0.send(Err("the answer broke off"));
    }

    /// Whether anybody still reads.
    pub(crate) async fn closed(&self) {
        self.0.closed().await;
    }
}

pub(crate) type Reply = Response<Frames>;

/// An answer whose frames are sent one by one.
pub(crate) fn open(head: &[(&str, &str)]) -> (Writer, Reply) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut response = Response::new(Frames(receiver));
    *response.headers_mut() = fields(&[("content-type", "application/grpc")]);
    response.headers_mut().extend(fields(head));
    (Writer(sender), response)
}

/// An answer of one message that went well.
pub(crate) fn ok(text: &str) -> Reply {
    ended(text, &[("grpc-status", "0")])
}

/// An answer of one message with these trailers.
pub(crate) fn ended(text: &str, trailers: &[(&str, &str)]) -> Reply {
    let (writer, reply) = open(&[]);
    writer.data(message(text));
    writer.trailers(trailers);
    reply
}

type Handler = dyn Fn(Seen) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync;

/// A handler that counts its calls.
#[derive(Clone)]
pub(crate) struct Echo {
    calls: Arc<AtomicUsize>,
    handler: Arc<Handler>,
}

impl Echo {
    pub(crate) fn new<F, Fut>(handler: F) -> Self
    where
        F: Fn(Seen) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Reply> + Send + 'static,
    {
        Self {
            calls: Arc::default(),
            handler: Arc::new(move |seen| Box::pin(handler(seen))),
        }
    }

    /// One that answers with the number of the call.
    pub(crate) fn counting() -> Self {
        Self::new(|seen| async move { ok(&seen.call.to_string()) })
    }

    /// One that answers with whatever it is told.
    pub(crate) fn reflecting() -> Self {
        Self::new(|seen| async move { ok(&seen.reflection()) })
    }

    /// How often it was called.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl<B> Service<Request<B>> for Echo
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Debug,
{
    type Response = Reply;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap();
            let trailers = body.trailers().cloned();
            let call = this.calls.fetch_add(1, Ordering::SeqCst) + 1;
            let seen = Seen {
                head,
                body: body.to_bytes(),
                trailers,
                call,
            };
            Ok((this.handler)(seen).await)
        })
    }
}

/// One cache, a clock that stands still, and the layer over it with one method.
pub(crate) struct Bench {
    pub(crate) caches: Caches,
    pub(crate) cache: Cache,
    pub(crate) clock: Clock,
    pub(crate) layer: GrpcCacheLayer,
    asked: Arc<AtomicUsize>,
}

impl Bench {
    /// Waits until so many calls have looked for an answer: on a runtime of one thread all of them
    /// have found one by then, or wait for it, or compute it.
    pub(crate) async fn until_asked(&self, calls: usize) {
        until("the calls have come", || {
            self.asked.load(Ordering::SeqCst) >= calls
        })
        .await;
    }
}

pub(crate) fn bench() -> Bench {
    let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let builder = Caches::builder().max_body(1 << 20);
    let caches = builder.clock(clock.clone()).build().unwrap();
    let cache = caches.get("default").unwrap();
    let asked = Arc::<AtomicUsize>::default();
    let counting = Arc::clone(&asked);
    let layer = GrpcCacheLayer::new(&cache)
        .method(CACHED, TTL)
        .tags(move |_, _| {
            counting.fetch_add(1, Ordering::SeqCst);
            Vec::new()
        });
    Bench {
        caches,
        cache,
        clock,
        layer,
        asked,
    }
}

pub(crate) async fn until(what: &str, met: impl Fn() -> bool) {
    let wait = async {
        while !met() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(DEADLINE, wait).await;
    assert!(waited.is_ok(), "not within 10 s: {what}");
}
