//! Requests whose body is a part of what is asked: QUERY (RFC 10008), and chosen POST routes.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header, request::Parts};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    admit::only_asks, body::ResponseBody, future::ResponseFuture, layer::CacheLayer,
    service::ResponseCache,
};
use crate::replay::{Reading, ReplayBody};

type PostsOf = Arc<dyn Fn(&Parts, &Bytes) -> bool + Send + Sync>;

/// A [`CacheLayer`] that answers requests with a body as well; made by
/// [`CacheLayer::key_body`].
#[must_use]
pub struct BodyKeyLayer<Form> {
    layer: CacheLayer<Form>,
    limit: usize,
    posts: Option<PostsOf>,
}

impl<Form> CacheLayer<Form> {
    /// Caches answers to QUERY (RFC 10008) by what is asked in its body, up to `limit` bytes. A
    /// longer body passes.
    ///
    /// The body is read before the inner service is asked, which gets it as a [`ReplayBody`]. An
    /// entry is found by the body's digest (BLAKE3) and by the fields that describe it; writes to
    /// the URI end it. It is the last option to be named.
    ///
    /// ```
    /// # let caches = pitlane::Caches::builder().build()?;
    /// let layer = pitlane::ApiCacheLayer::new(&caches.get("default")?)
    ///     .ttl(std::time::Duration::from_secs(60))
    ///     .key_body(64 << 10)
    ///     .posts(|parts, body| {
    ///         // A real server would parse the document.
    ///         parts.uri.path() == "/graphql" && !body.windows(8).any(|word| word == b"mutation")
    ///     });
    /// # let _ = layer;
    /// # Ok::<(), pitlane::Error>(())
    /// ```
    pub const fn key_body(self, limit: usize) -> BodyKeyLayer<Form> {
        BodyKeyLayer {
            layer: self,
            limit,
            posts: None,
        }
    }
}

impl<Form> BodyKeyLayer<Form> {
    /// The POST requests that only ask, by their head and their whole body: their answers are
    /// cached like those to QUERY. All other POSTs are writes, and end what is stored of their
    /// URI, these answers too.
    ///
    /// The body of every POST up to the limit is read before this is decided.
    pub fn posts(mut self, asks: impl Fn(&Parts, &Bytes) -> bool + Send + Sync + 'static) -> Self {
        self.posts = Some(Arc::new(asks));
        self
    }
}

/// What a request's body adds to its key. Nobody but a [`BodyKey`] puts it into a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content {
    Digest([u8; 32]),
    TooLong,
}

/// The mark of requests, and of their answers, that change nothing whatever their method: what
/// lies around owes nothing for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnlyAsks;

impl<S, Form> Layer<S> for BodyKeyLayer<Form> {
    type Service = BodyKey<S>;

    fn layer(&self, inner: S) -> BodyKey<S> {
        BodyKey {
            inner: self.layer.layer(inner),
            limit: self.limit,
            posts: self.posts.clone(),
        }
    }
}

/// The service that a [`BodyKeyLayer`] makes.
#[derive(Clone)]
pub struct BodyKey<S> {
    inner: ResponseCache<S>,
    limit: usize,
    posts: Option<PostsOf>,
}

impl<S, Q, R> Service<Request<Q>> for BodyKey<S>
where
    S: Service<Request<ReplayBody<Q>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    Q: Body<Data = Bytes> + Send + 'static,
    Q::Error: Send,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReplayBody<Q>, R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let posts = match parts.method {
            Method::QUERY => None,
            Method::POST if self.posts.is_some() => self.posts.clone(),
            _ => {
                let body = ReplayBody::passing(body);
                return self.inner.call(Request::from_parts(parts, body));
            }
        };
        let (mut inner, limit) = (self.inner.clone(), self.limit);
        ResponseFuture::boxed(async move {
            let request = take_in(parts, body, limit, posts).await;
            let asks = matches!(request.extensions().get(), Some(Content::Digest(_)));
            let asks = asks && only_asks(request.uri(), request.headers());
            let mut answer = inner.call(request).await?;
            if asks {
                answer.extensions_mut().insert(OnlyAsks);
            }
            Ok(answer)
        })
    }
}

/// Reads a request's body, as far as it may, and notes what it means for the key.
async fn take_in<Q: Body<Data = Bytes>>(
    mut parts: Parts,
    body: Q,
    limit: usize,
    posts: Option<PostsOf>,
) -> Request<ReplayBody<Q>> {
    let body = match ReplayBody::read(body, limit).await {
        Reading::Whole(bytes) => {
            if posts.is_none_or(|asks| asks(&parts, &bytes)) {
                let digest = blake3::hash(&bytes).into();
                parts.extensions.insert(Content::Digest(digest));
                // How it was sent is no part of what is asked, and must not be seen either.
                parts.headers.remove(header::TRANSFER_ENCODING);
                let length = HeaderValue::from(bytes.len());
                parts.headers.insert(header::CONTENT_LENGTH, length);
            }
            ReplayBody::whole(bytes)
        }
        Reading::Partly(body) => {
            if parts.method == Method::QUERY {
                parts.extensions.insert(Content::TooLong);
            }
            body
        }
    };
    Request::from_parts(parts, body)
}

impl<Form> Clone for BodyKeyLayer<Form> {
    fn clone(&self) -> Self {
        Self {
            layer: self.layer.clone(),
            limit: self.limit,
            posts: self.posts.clone(),
        }
    }
}

impl<Form> fmt::Debug for BodyKeyLayer<Form> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyKeyLayer")
            .field("layer", &self.layer)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for BodyKey<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyKey")
            .field("inner", &self.inner)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
