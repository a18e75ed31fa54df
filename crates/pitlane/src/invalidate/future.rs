use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Response;

use super::layer::Settings;
use crate::{
    cache::Invalidation,
    response::{Owing, Publishing},
};

pin_project_lite::pin_project! {
    /// The future of an [`Invalidate`](super::Invalidate).
    pub struct InvalidateFuture<Fut, R> {
        #[pin]
        work: Fut,
        settings: Arc<Settings>,
        owing: Option<Owing>,
        held: Option<Box<Held<R>>>,
    }
}

/// An answer that waits until what it changed is invalidated.
struct Held<R> {
    publishing: Publishing,
    response: Response<R>,
}

impl<Fut, R> InvalidateFuture<Fut, R> {
    pub(super) const fn new(work: Fut, settings: Arc<Settings>, owing: Option<Owing>) -> Self {
        Self {
            work,
            settings,
            owing,
            held: None,
        }
    }
}

impl<Fut, R, E> Future for InvalidateFuture<Fut, R>
where
    Fut: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.held.is_none() {
            let answer = ready!(this.work.poll(cx));
            let owing = this.owing.take();
            // Without an answer nobody knows what was done: the debt is paid as it is dropped.
            let mut response = answer?;
            let owing = owed(this.settings, owing, &mut response);
            let Some(publishing) = owing.and_then(Owing::publish) else {
                return Poll::Ready(Ok(response));
            };
            *this.held = Some(Box::new(Held {
                publishing,
                response,
            }));
        }
        let Some(held) = this.held.as_mut() else {
            return Poll::Pending;
        };
        // Invalidated before the client can know that its write is done.
        let position = ready!(held.publishing.as_mut().poll(cx));
        let Some(mut held) = this.held.take() else {
            return Poll::Pending;
        };
        this.settings.tell(position, held.response.headers_mut());
        Poll::Ready(Ok(held.response))
    }
}

/// What is to be ended now that there is an answer.
fn owed<R>(
    settings: &Settings,
    mut owing: Option<Owing>,
    response: &mut Response<R>,
) -> Option<Owing> {
    if let Some(owing) = &mut owing {
        owing.answered(response);
    }
    match response.extensions_mut().remove::<Invalidation>() {
        Some(named) if !named.is_empty() => Some(settings.named(owing, &named)),
        _ => owing,
    }
}

impl<Fut, R> fmt::Debug for InvalidateFuture<Fut, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InvalidateFuture").finish_non_exhaustive()
    }
}
