use std::{
    fmt, mem,
    task::{Context, Poll, ready},
};

use tower_service::Service;

use super::{BreakerError, Circuit, CircuitFuture, CircuitOpen, Judge};

/// The service that a [`CircuitBreakerLayer`](crate::CircuitBreakerLayer) makes.
pub struct CircuitBreaker<S, J, A> {
    inner: S,
    circuit: Circuit,
    judge: J,
    answer: A,
    turn: Turn,
}

/// What the next call will meet.
enum Turn {
    /// It was not asked about.
    Unknown,
    /// The inner service said that it is ready, and has not been called since.
    Ready,
    /// The circuit refuses: the inner service was not asked whether it is ready, and must not be
    /// called.
    Refused(CircuitOpen),
}

impl<S, J, A> CircuitBreaker<S, J, A> {
    pub(super) const fn new(inner: S, circuit: Circuit, judge: J, answer: A) -> Self {
        Self {
            inner,
            circuit,
            judge,
            answer,
            turn: Turn::Unknown,
        }
    }

    /// The circuit that it shares with the other services of its layer.
    #[must_use]
    pub fn circuit(&self) -> Circuit {
        self.circuit.clone()
    }
}

impl<S, Q, J, A> Service<Q> for CircuitBreaker<S, J, A>
where
    S: Service<Q>,
    J: Judge<S::Response, S::Error> + Clone,
    A: Answer<S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = A::Error;
    type Future = CircuitFuture<S::Future, J, A, S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        if matches!(self.turn, Turn::Ready) {
            return Poll::Ready(Ok(()));
        }
        if let Some(open) = self.circuit.refusal() {
            self.turn = Turn::Refused(open);
            return Poll::Ready(Ok(()));
        }
        self.turn = Turn::Unknown;
        match ready!(self.inner.poll_ready(cx)) {
            Ok(()) => self.turn = Turn::Ready,
            Err(error) => {
                // It would have failed if it had been called.
                if let Ok(mut call) = self.circuit.enter() {
                    call.end(self.judge.is_failure(Err(&error)));
                }
                return Poll::Ready(Err(A::inner(error)));
            }
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Q) -> Self::Future {
        let turn = mem::replace(&mut self.turn, Turn::Unknown);
        if let Turn::Refused(open) = turn {
            return CircuitFuture::refused(self.answer.refuse(open));
        }
        match self.circuit.enter() {
            Ok(mut call) => {
                let work = call.during(|| self.inner.call(request));
                CircuitFuture::calling(work, call, self.judge.clone())
            }
            Err(open) => {
                // What was ready has not been called, and stays so.
                self.turn = turn;
                CircuitFuture::refused(self.answer.refuse(open))
            }
        }
    }
}

/// A clone of a service that is ready need not be.
impl<S: Clone, J: Clone, A: Clone> Clone for CircuitBreaker<S, J, A> {
    fn clone(&self) -> Self {
        Self::new(
            self.inner.clone(),
            self.circuit.clone(),
            self.judge.clone(),
            self.answer.clone(),
        )
    }
}

impl<S: fmt::Debug, J, A> fmt::Debug for CircuitBreaker<S, J, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("circuit", &self.circuit)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

/// What is answered in the place of a service that isn't asked.
pub trait Answer<T, E> {
    /// What calls fail with.
    type Error;

    /// The answer to a call that was not let through.
    fn refuse(&self, open: CircuitOpen) -> Result<T, Self::Error>;

    /// The service's own error, as calls fail with it.
    fn inner(error: E) -> Self::Error;
}

/// An open circuit is an error: [`BreakerError`].
#[derive(Clone, Copy, Debug, Default)]
pub struct GiveError;

impl<T, E> Answer<T, E> for GiveError {
    type Error = BreakerError<E>;

    fn refuse(&self, open: CircuitOpen) -> Result<T, BreakerError<E>> {
        Err(BreakerError::open_circuit(open))
    }

    fn inner(error: E) -> BreakerError<E> {
        BreakerError::of(error)
    }
}

/// An open circuit is answered by a function, and the error is the service's own.
#[derive(Clone, Copy)]
pub struct RespondWith<F>(F);

impl<F> RespondWith<F> {
    pub(super) const fn new(respond: F) -> Self {
        Self(respond)
    }
}

impl<T, E, F: Fn(&CircuitOpen) -> T> Answer<T, E> for RespondWith<F> {
    type Error = E;

    fn refuse(&self, open: CircuitOpen) -> Result<T, E> {
        Ok((self.0)(&open))
    }

    fn inner(error: E) -> E {
        error
    }
}

impl<F> fmt::Debug for RespondWith<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RespondWith").finish_non_exhaustive()
    }
}
