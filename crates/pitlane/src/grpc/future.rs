use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, request::Parts};
use http_body::{Body, Frame};
use pitlane_core::Reason;
use tower::util::{Oneshot, ServiceExt};
use tower_service::Service;

use super::{
    admit::Admitted,
    body::GrpcBody,
    fetch::{Call, answer},
    layer::{Method, Settings},
    message::Framing,
};
use crate::{
    cache::{Budgeted, within},
    replay::ReplayBody,
    response::{Telling, outcome},
};

type Boxed<S, Q, R> = Pin<
    Box<
        dyn Future<
                Output = Result<
                    Response<GrpcBody<R>>,
                    <S as Service<Request<ReplayBody<Q>>>>::Error,
                >,
            > + Send,
    >,
>;

pin_project_lite::pin_project! {
    /// The future of a [`GrpcCache`](crate::GrpcCache). A hit from memory is ready as soon as the
    /// request is there.
    pub struct GrpcFuture<S, Q, R>
    where
        S: Service<Request<ReplayBody<Q>>>,
        Q: Body,
        R: Body,
    {
        #[pin]
        state: State<S, Q, R>,
    }
}

pin_project_lite::pin_project! {
    #[project = StateProjection]
    enum State<S, Q, R>
    where
        S: Service<Request<ReplayBody<Q>>>,
        Q: Body,
        R: Body,
    {
        Reading { reading: Option<Reading<S, Q>> },
        Pass {
            #[pin]
            work: Budgeted<Oneshot<S, Request<ReplayBody<Q>>>>,
            telling: Option<Reason>,
        },
        Boxed { work: Boxed<S, Q, R> },
    }
}

impl<S, Q, R> GrpcFuture<S, Q, R>
where
    S: Service<Request<ReplayBody<Q>>, Response = Response<R>>,
    Q: Body,
    R: Body,
{
    pub(crate) fn boxed(
        work: impl Future<Output = Result<Response<GrpcBody<R>>, S::Error>> + Send + 'static,
    ) -> Self {
        Self {
            state: State::Boxed {
                work: Box::pin(work),
            },
        }
    }

    pub(crate) const fn reading(reading: Reading<S, Q>) -> Self {
        Self {
            state: State::Reading {
                reading: Some(reading),
            },
        }
    }

    /// Passes a call on. `telling` says why, where the client is to know.
    pub(crate) fn pass(
        inner: S,
        request: Request<ReplayBody<Q>>,
        settings: &Settings,
        telling: Option<Reason>,
    ) -> Self {
        Self {
            state: State::Pass {
                work: within(settings.cache.budget(), inner.oneshot(request)),
                telling: telling.filter(|_| settings.cache_status),
            },
        }
    }
}

impl<S, Q, R> Future for GrpcFuture<S, Q, R>
where
    S: Service<Request<ReplayBody<Q>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    Q: Body<Data = Bytes> + Send + 'static,
    Q::Error: Send,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    type Output = Result<Response<GrpcBody<R>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match self.as_mut().project().state.project() {
                StateProjection::Reading { reading } => {
                    let Some(under_way) = reading else {
                        return Poll::Pending;
                    };
                    let whole = ready!(under_way.poll_message(cx));
                    let Some(read) = reading.take() else {
                        return Poll::Pending;
                    };
                    match whole {
                        Ok(()) => {
                            let call = read.into_call();
                            if let Some(response) = call.answer_now() {
                                return Poll::Ready(Ok(response));
                            }
                            let work = Box::pin(answer(call));
                            State::Boxed { work }
                        }
                        Err(reason) => read.pass(reason).state,
                    }
                }
                StateProjection::Pass { work, telling } => {
                    let mut response = ready!(work.poll(cx))?;
                    if let Some(reason) = *telling {
                        tell_bypass(response.headers_mut(), reason);
                    }
                    return Poll::Ready(Ok(response.map(GrpcBody::passing)));
                }
                StateProjection::Boxed { work } => return work.as_mut().poll(cx),
            };
            self.as_mut().project().state.set(next);
        }
    }
}

impl<S, Q, R> fmt::Debug for GrpcFuture<S, Q, R>
where
    S: Service<Request<ReplayBody<Q>>>,
    Q: Body,
    R: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcFuture").finish_non_exhaustive()
    }
}

fn tell_bypass(headers: &mut HeaderMap, reason: Reason) {
    let telling = Telling::Forward {
        why: reason,
        stored: false,
        detail: reason,
        status: None,
    };
    telling.write(headers);
}

/// A call whose message is on its way: the key needs all of it.
pub(crate) struct Reading<S, Q: Body> {
    inner: S,
    settings: Arc<Settings>,
    method: Arc<Method>,
    admitted: Admitted,
    parts: Parts,
    body: Option<Pin<Box<Q>>>,
    framing: Framing,
    message: Bytes,
    /// All of it as well, where it comes in more than one piece.
    pieces: BytesMut,
    /// What is no part of a message.
    behind: Option<Result<Frame<Bytes>, Q::Error>>,
}

impl<S, Q: Body<Data = Bytes>> Reading<S, Q> {
    pub(crate) fn new(
        inner: S,
        settings: Arc<Settings>,
        method: Arc<Method>,
        admitted: Admitted,
        parts: Parts,
        body: Q,
    ) -> Self {
        Self {
            inner,
            settings,
            method,
            admitted,
            parts,
            body: Some(Box::pin(body)),
            framing: Framing::default(),
            message: Bytes::new(),
            pieces: BytesMut::new(),
            behind: None,
        }
    }

    /// Reads until the message is whole; an error says why the call can't have a key.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        while let Some(body) = self.body.as_mut().filter(|body| !body.is_end_stream()) {
            let fits = match ready!(body.as_mut().poll_frame(cx)) {
                None => {
                    self.body = None;
                    true
                }
                Some(Ok(frame)) => self.add(frame),
                Some(Err(error)) => {
                    self.behind = Some(Err(error));
                    false
                }
            };
            if !fits {
                return Poll::Ready(Err(Reason::RequestMessage));
            }
        }
        let opaque = self.framing.is_compressed() && self.settings.tags.is_some();
        Poll::Ready(if self.framing.is_whole() && !opaque {
            Ok(())
        } else {
            Err(Reason::RequestMessage)
        })
    }

    /// Takes in what was read; says whether it is one message so far.
    fn add(&mut self, frame: Frame<Bytes>) -> bool {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(trailers) => {
                self.behind = Some(Ok(trailers));
                return false;
            }
        };
        let fits = self.framing.add(&data, self.settings.max_message).is_ok();
        // Most messages are one piece, which needs no copy.
        if self.message.is_empty() {
            self.message = data;
        } else {
            if self.pieces.is_empty() {
                self.pieces.extend_from_slice(&self.message);
            }
            self.pieces.extend_from_slice(&data);
        }
        fits
    }

    fn take_message(&mut self) -> Bytes {
        if self.pieces.is_empty() {
            mem::take(&mut self.message)
        } else {
            mem::take(&mut self.pieces).freeze()
        }
    }

    fn into_call(mut self) -> Call<S> {
        let message = self.take_message();
        Call::new(
            self.inner,
            self.settings,
            self.method,
            self.admitted,
            self.parts,
            message,
        )
    }

    /// Lets the call go on as it came, with what was read of it first.
    fn pass<R>(mut self, reason: Reason) -> GrpcFuture<S, Q, R>
    where
        S: Service<Request<ReplayBody<Q>>, Response = Response<R>>,
        R: Body,
    {
        let method = Some(&*self.method);
        self.settings
            .count(&self.parts, method, outcome(reason), reason);
        let body = ReplayBody::partly(self.take_message(), self.behind, self.body);
        let request = Request::from_parts(self.parts, body);
        GrpcFuture::pass(self.inner, request, &self.settings, Some(reason))
    }
}
