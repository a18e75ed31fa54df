//! A cache as one writes it on a quiet afternoon: keyed by path and message, storing everything.
//! The attacks must catch it, or they prove nothing.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tower::Service;

use crate::fixture::Echo;

type Stored = (HeaderMap, Bytes, Option<HeaderMap>);

#[derive(Clone)]
pub(crate) struct Naive {
    inner: Echo,
    store: Arc<Mutex<HashMap<(String, Bytes), Stored>>>,
}

impl Naive {
    pub(crate) fn new(inner: Echo) -> Self {
        Self {
            inner,
            store: Arc::default(),
        }
    }
}

impl<Q> Service<Request<Q>> for Naive
where
    Q: Body<Data = Bytes> + Send + 'static,
    Q::Error: std::fmt::Debug,
{
    type Response = Response<UnsyncBoxBody<Bytes, Infallible>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let mut this = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let message = body.collect().await.unwrap().to_bytes();
            let key = (parts.uri.path().to_owned(), message.clone());
            let stored = this.store.lock().unwrap().get(&key).cloned();
            if let Some(stored) = stored {
                return Ok(replay(stored));
            }
            let request = Request::from_parts(parts, Full::new(message));
            let (parts, body) = this.inner.call(request).await?.into_parts();
            let body = body.collect().await.unwrap();
            let trailers = body.trailers().cloned();
            let stored = (parts.headers, body.to_bytes(), trailers);
            this.store.lock().unwrap().insert(key, stored.clone());
            Ok(replay(stored))
        })
    }
}

fn replay((head, body, trailers): Stored) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let body = Full::new(body).with_trailers(async move { trailers.map(Ok) });
    let mut response = Response::new(body.boxed_unsync());
    *response.headers_mut() = head;
    response
}
