use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use pitlane_core::{Position, Reason};
use tower::util::{Oneshot, ServiceExt};
use tower_service::Service;
use tracing::{Instrument, Span};

use super::{
    body::ResponseBody,
    bounds::{Answered, Asked, Inner},
    decorate::dress,
    fetch::Scoped,
    layer::Settings,
    owing::{Owing, Publishing},
    settle::{Settling, tell},
};
use crate::cache::{Budgeted, within};

type Boxed<S, Q, R> = Pin<
    Box<
        dyn Future<Output = Result<Response<ResponseBody<R>>, <S as Service<Request<Q>>>::Error>>
            + Send,
    >,
>;

pin_project_lite::pin_project! {
    /// The future of a [`ResponseCache`](crate::ResponseCache). A hit from memory is ready at
    /// once.
    pub struct ResponseFuture<S, Q, R>
    where
        S: Service<Request<Q>>,
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
        S: Service<Request<Q>>,
        R: Body,
    {
        Ready { response: Option<Response<ResponseBody<R>>> },
        Bypass {
            #[pin]
            work: Budgeted<Oneshot<S, Request<Q>>>,
            settings: Arc<Settings>,
            reason: Reason,
            owing: Option<Owing>,
            held: Option<Box<Held<R>>>,
        },
        Pass {
            #[pin]
            work: Scoped<S, Q>,
            settling: Option<Box<Settling>>,
        },
        Boxed { work: Boxed<S, Q, R> },
    }
}

impl<S, Q, R> ResponseFuture<S, Q, R>
where
    S: Service<Request<Q>, Response = Response<R>>,
    R: Body,
{
    pub(crate) const fn ready(response: Response<ResponseBody<R>>) -> Self {
        Self {
            state: State::Ready {
                response: Some(response),
            },
        }
    }

    pub(crate) fn bypass(
        inner: S,
        request: Request<Q>,
        settings: Arc<Settings>,
        reason: Reason,
        owing: Option<Owing>,
    ) -> Self {
        let work = within(settings.cache.budget(), inner.oneshot(request));
        Self {
            state: State::Bypass {
                work,
                settings,
                reason,
                owing,
                held: None,
            },
        }
    }

    pub(crate) fn pass((work, settling): (Scoped<S, Q>, Settling)) -> Self {
        Self {
            state: State::Pass {
                work,
                settling: Some(Box::new(settling)),
            },
        }
    }

    pub(crate) fn boxed(
        work: impl Future<Output = Result<Response<ResponseBody<R>>, S::Error>> + Send + 'static,
    ) -> Self {
        Self {
            state: State::Boxed {
                work: Box::pin(work),
            },
        }
    }

    /// Does what is left to do within `span`.
    pub(crate) fn within(self, span: Span) -> Self
    where
        S: Inner<Q, R>,
        Q: Asked,
        R: Answered,
    {
        match self.state {
            State::Ready { .. } => self,
            _ => Self::boxed(self.instrument(span)),
        }
    }
}

impl<S, Q, R> Future for ResponseFuture<S, Q, R>
where
    S: Service<Request<Q>, Response = Response<R>>,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Ready { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Pending,
            },
            StateProjection::Bypass {
                work,
                settings,
                reason,
                owing,
                held,
            } => {
                if held.is_none() {
                    if let Some(owing) = owing {
                        owing.begin();
                    }
                    let answer = ready!(work.poll(cx));
                    if let (Some(owing), Ok(response)) = (owing.as_mut(), &answer) {
                        owing.answered(response);
                    }
                    let owing = owing.take();
                    let mut response = answer?;
                    let headers = response.headers_mut();
                    dress(settings, headers, false);
                    tell(settings, headers, *reason, false, *reason);
                    let Some(publishing) = owing.and_then(Owing::publish) else {
                        return Poll::Ready(Ok(response.map(ResponseBody::passing)));
                    };
                    *held = Some(Box::new(Held {
                        publishing,
                        response,
                    }));
                }
                let Some(waiting) = held.as_mut() else {
                    return Poll::Pending;
                };
                // Invalidated before the client can know that its write is done.
                let position = ready!(waiting.publishing.as_mut().poll(cx));
                let Some(mut waited) = held.take() else {
                    return Poll::Pending;
                };
                tell_position(settings, position, waited.response.headers_mut());
                Poll::Ready(Ok(waited.response.map(ResponseBody::passing)))
            }
            StateProjection::Pass { work, settling } => {
                let answer = ready!(work.poll(cx));
                let Some(settling) = settling.take() else {
                    return Poll::Pending;
                };
                Poll::Ready(match answer {
                    Ok(response) => Ok(settling.settle(cx, response, None)),
                    Err(error) => {
                        settling.count(Reason::Failed);
                        Err(error)
                    }
                })
            }
            StateProjection::Boxed { work } => work.as_mut().poll(cx),
        }
    }
}

impl<S, Q, R> fmt::Debug for ResponseFuture<S, Q, R>
where
    S: Service<Request<Q>>,
    R: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// Tells a client how far a node must have read to know of its write.
fn tell_position(settings: &Settings, position: Option<Position>, headers: &mut HeaderMap) {
    let Some((name, position)) = settings.position_header.as_ref().zip(position) else {
        return;
    };
    if let Ok(value) = position.to_string().parse() {
        headers.insert(name.clone(), value);
    }
}

/// An answer that waits until what it changed is invalidated.
struct Held<R> {
    publishing: Publishing,
    response: Response<R>,
}
