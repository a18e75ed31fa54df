use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{Answer, Judge, circuit::Call};

pin_project_lite::pin_project! {
    /// The future of a [`CircuitBreaker`](super::CircuitBreaker). A refusal is ready at once.
    pub struct CircuitFuture<Fut, J, A, T, E>
    where
        A: Answer<T, E>,
    {
        #[pin]
        state: State<Fut, J, Result<T, A::Error>>,
        error: PhantomData<fn() -> E>,
    }
}

pin_project_lite::pin_project! {
    #[project = StateProjection]
    enum State<Fut, J, R> {
        Refused { answer: Option<R> },
        Calling {
            #[pin]
            work: Fut,
            call: Call,
            judge: J,
        },
    }
}

impl<Fut, J, A, T, E> CircuitFuture<Fut, J, A, T, E>
where
    A: Answer<T, E>,
{
    pub(super) const fn refused(answer: Result<T, A::Error>) -> Self {
        let answer = Some(answer);
        Self {
            state: State::Refused { answer },
            error: PhantomData,
        }
    }

    pub(super) const fn calling(work: Fut, call: Call, judge: J) -> Self {
        Self {
            state: State::Calling { work, call, judge },
            error: PhantomData,
        }
    }
}

impl<Fut, J, A, T, E> Future for CircuitFuture<Fut, J, A, T, E>
where
    Fut: Future<Output = Result<T, E>>,
    J: Judge<T, E>,
    A: Answer<T, E>,
{
    type Output = Result<T, A::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Refused { answer } => match answer.take() {
                Some(answer) => Poll::Ready(answer),
                None => Poll::Pending,
            },
            StateProjection::Calling { work, call, judge } => {
                let result = ready!(call.during(|| work.poll(cx)));
                call.end(judge.is_failure(result.as_ref()));
                Poll::Ready(result.map_err(A::inner))
            }
        }
    }
}

impl<Fut, J, A, T, E> fmt::Debug for CircuitFuture<Fut, J, A, T, E>
where
    A: Answer<T, E>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitFuture").finish_non_exhaustive()
    }
}
