//! A cache as one writes it on a quiet afternoon: keyed by a tidied path, storing everything.
//! The suite must catch it, or the suite proves nothing.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower_service::Service;

type Stored = (StatusCode, HeaderMap, Bytes);

/// What it is careless about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Everything but a tidied path.
    All,
    /// `utm_*` isn't keyed, though the handler sees it.
    Parameters,
    /// Of two hosts the one that anybody may claim is keyed, though the handler sees both.
    Hosts,
    /// Bodies, and what describes them, aren't keyed.
    Bodies,
    /// Of several fields only the one that tells a tenant is keyed, in any letter case.
    Tenants,
}

impl Flaw {
    fn key<Q>(self, request: &Request<Q>) -> String {
        let header = |name: &str| {
            let value = request.headers().get(name);
            let value = value.and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let host = header("host");
        let authority = request
            .uri()
            .authority()
            .map_or(&*host, |host| host.as_str());
        let query = request.uri().query().unwrap_or_default();
        let target = format!("{}{}?{query}", request.method(), request.uri().path());
        match self {
            Self::All => tidy(request.uri().path()),
            Self::Parameters => {
                let pairs = query.split('&').filter(|pair| !pair.starts_with("utm_"));
                let pairs: Vec<_> = pairs.collect();
                format!("{authority}{}?{}", request.uri().path(), pairs.join("&"))
            }
            Self::Hosts => match &*header("x-forwarded-host") {
                "" => authority.to_lowercase() + &target,
                claimed => claimed.to_lowercase() + &target,
            },
            Self::Bodies => format!("{authority}{}?{query}", request.uri().path()),
            Self::Tenants => header("x-tenant").to_lowercase() + &target,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Naive<S> {
    inner: S,
    flaw: Flaw,
    store: Arc<Mutex<HashMap<String, Stored>>>,
}

impl<S> Naive<S> {
    pub(crate) fn new(inner: S, flaw: Flaw) -> Self {
        Self {
            inner,
            flaw,
            store: Arc::default(),
        }
    }
}

impl<S, Q, R> Service<Request<Q>> for Naive<S>
where
    S: Service<Request<Q>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    Q: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: fmt::Debug,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let mut this = self.clone();
        Box::pin(async move {
            let key = this.flaw.key(&request);
            let stored = this.store.lock().unwrap().get(&key).cloned();
            if let Some(stored) = stored {
                return Ok(replay(stored));
            }
            let (head, body) = this.inner.call(request).await?.into_parts();
            let body = body
                .collect()
                .await
                .map_or_else(|_| Bytes::new(), |body| body.to_bytes());
            let stored = (head.status, head.headers, body);
            this.store.lock().unwrap().insert(key, stored.clone());
            Ok(replay(stored))
        })
    }
}

fn replay((status, mut headers, body): Stored) -> Response<Full<Bytes>> {
    // The server counts for itself.
    headers.remove("content-length");
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Decodes, cuts, folds and resolves a path, as frameworks and proxies do here and there.
fn tidy(path: &str) -> String {
    let decoded = decode(path.as_bytes());
    let end = decoded
        .find([';', '?', '#', '\0', '\n'])
        .unwrap_or(decoded.len());
    let mut segments = Vec::new();
    for segment in decoded.get(..end).unwrap_or_default().split(['/', '\\']) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment.to_lowercase()),
        }
    }
    segments.join("/")
}

fn decode(mut path: &[u8]) -> String {
    let mut decoded = String::new();
    while let [first, rest @ ..] = path {
        path = rest;
        let hex = (*first == b'%')
            .then(|| std::str::from_utf8(rest.get(..2)?).ok())
            .flatten();
        let code = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if code.is_some() {
            path = rest.get(2..).unwrap_or_default();
        }
        decoded.push(char::from(code.unwrap_or(*first)));
    }
    decoded
}
