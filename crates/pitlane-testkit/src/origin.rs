use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tokio::sync::Semaphore;
use tower_service::Service;

/// A body of any kind, as the origin answers with it.
pub type ReplyBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// What an origin answers with.
pub type Reply = Response<ReplyBody>;

type Handler =
    Arc<dyn Fn(Request<()>, usize) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync>;

/// A scripted handler that counts its calls. It is a tower service for requests with any body.
#[derive(Clone)]
pub struct Origin {
    calls: Arc<AtomicUsize>,
    handler: Handler,
}

impl Origin {
    /// A handler that is given the request's head and the number of the call, from 1.
    pub fn new<F, Fut>(handler: F) -> Self
    where
        F: Fn(Request<()>, usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Reply> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request, call| Box::pin(handler(request, call)));
        Self {
            calls: Arc::default(),
            handler,
        }
    }

    /// A handler that answers every call with these headers and `{path} {call}` as its body.
    #[must_use]
    pub fn counting(headers: &'static [(&'static str, &'static str)]) -> Self {
        Self::new(move |request, call| async move {
            Self::reply(headers, format!("{} {call}", request.uri().path()))
        })
    }

    /// An answer with headers and a body that is in memory.
    ///
    /// # Panics
    ///
    /// When a header is none.
    pub fn reply(headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
        let mut response = Response::builder();
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let body = Full::new(body.into()).map_err(|never: Infallible| match never {});
        response.body(UnsyncBoxBody::new(body)).expect("an answer")
    }

    /// How often it was called.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl<B> Service<Request<B>> for Origin {
    type Response = Reply;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = (self.handler)(request.map(|_| ()), call);
        Box::pin(async move { Ok(answer.await) })
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}

/// Lets a test hold handlers at a point and let them go on one by one.
#[derive(Clone, Debug)]
pub struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self {
            arrived: Arc::new(Semaphore::new(0)),
            open: Arc::new(Semaphore::new(0)),
        }
    }

    /// Called by a handler: says that it is here, and waits to be let through.
    pub async fn pass(&self) {
        self.arrived.add_permits(1);
        if let Ok(permit) = self.open.acquire().await {
            permit.forget();
        }
    }

    /// Waits until one more handler has arrived.
    pub async fn arrival(&self) {
        if let Ok(permit) = self.arrived.acquire().await {
            permit.forget();
        }
    }

    /// Lets `count` handlers through, now or when they arrive.
    pub fn open(&self, count: usize) {
        self.open.add_permits(count);
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
