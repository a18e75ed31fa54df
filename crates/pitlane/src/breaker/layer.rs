use std::{fmt, time::Duration};

use pitlane_core::{BreakerRules, BreakerState};
use tower_layer::Layer;

use super::{
    Circuit, CircuitBreaker, CircuitOpen, ErrorsFail, GiveError, RespondWith, ServerErrorsFail,
};
use crate::clock::Clock;

/// Ten failures in a row, or half of at least 20 calls in 10 s; open for a second, then twice as
/// long each time, up to 30 s; two successes to close.
///
/// Longer rows than a single server's client would want: what fails once in five has three
/// failures in a row all the time, and still answers four of five.
const RULES: BreakerRules = BreakerRules {
    failures_in_a_row: 10,
    failing_percent: 50,
    least_calls: 20,
    window: Duration::from_secs(10),
    open_for: Duration::from_secs(1),
    open_at_most: Duration::from_secs(30),
    successes_to_close: 2,
};

/// Puts a circuit breaker around a service of any kind.
///
/// The circuit opens on ten failures in a row, or when half of at least 20 calls within ten
/// seconds fail. Then calls are answered without the service: with a
/// [`BreakerError`](super::BreakerError), or with what
/// [`respond_with`](Self::respond_with) makes of it. After a second (then two, four, up to 30, each a
/// fifth more or less) one call at a time is let through to find out; two successes close it.
///
/// All clones of a layer, and all services it was put around, share one circuit:
/// frameworks clone layers per route. Two backends want two layers. To configure a layer
/// further gives it a circuit of its own, so say everything before cloning it or asking for its
/// [`circuit`](Self::circuit); only [`failure`](Self::failure),
/// [`count_server_errors`](Self::count_server_errors) and [`respond_with`](Self::respond_with)
/// keep the circuit.
///
/// # What counts
///
/// * A call that is dropped before its end counts as none, and one that never ends never counts:
///   put a timeout *inside* the breaker, so that its error counts.
/// * A panic of the service counts as a failure.
/// * A failing body does not count: the call has ended when the answer is there.
/// * Failures that happen at once are counted in some order, one by one. Successes on other
///   threads meanwhile may be counted after them, so that a row of ten, or a half, is exact to a
///   call for each thread.
///
/// # Readiness
///
/// The layer asks the service inside whether it is ready, except while the circuit would refuse the
/// call: then it is ready, and refuses.
///
/// # Example
///
/// For axum, whose services can't fail:
///
/// ```
/// use axum::{Router, http::{StatusCode, header}, response::IntoResponse, routing::get};
/// use pitlane::CircuitBreakerLayer;
///
/// let breaker = CircuitBreakerLayer::new()
///     .name("search")
///     .count_server_errors()
///     .respond_with(|open| {
///         let retry = [(header::RETRY_AFTER, open.retry_after_seconds())];
///         (StatusCode::SERVICE_UNAVAILABLE, retry, "try again later").into_response()
///     });
/// let circuit = breaker.circuit();
/// let app: Router = Router::new()
///     .route("/search", get(|| async { "found" }))
///     .layer(breaker);
/// assert_eq!(circuit.state().as_str(), "closed");
/// # let _ = app;
/// ```
///
/// Around a client, with its own idea of a failure:
///
/// ```
/// use std::{io, time::Duration};
/// use pitlane::CircuitBreakerLayer;
/// use tower::{ServiceBuilder, service_fn};
///
/// let client = ServiceBuilder::new()
///     .layer(
///         CircuitBreakerLayer::new()
///             .name("exchange rates")
///             .open_for(Duration::from_secs(5))
///             .failure(|result: Result<&f64, &io::Error>| result.is_ok_and(|rate| *rate <= 0.0)),
///     )
///     .service(service_fn(|_: &'static str| async { Ok::<_, io::Error>(1.0) }));
/// # let _ = client;
/// ```
#[derive(Clone)]
#[must_use]
pub struct CircuitBreakerLayer<J = ErrorsFail, A = GiveError> {
    circuit: Circuit,
    setup: Setup,
    judge: J,
    answer: A,
}

#[derive(Clone)]
struct Setup {
    name: &'static str,
    rules: BreakerRules,
    clock: Clock,
}

impl CircuitBreakerLayer {
    /// A layer with a closed circuit.
    pub fn new() -> Self {
        let setup = Setup {
            name: "service",
            rules: RULES,
            clock: Clock::system(),
        };
        Self {
            circuit: setup.circuit(),
            setup,
            judge: ErrorsFail,
            answer: GiveError,
        }
    }
}

impl Default for CircuitBreakerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<J, A> CircuitBreakerLayer<J, A> {
    /// What logs and errors call the circuit; `service` by default.
    pub fn name(self, name: &'static str) -> Self {
        self.set_up(|setup| setup.name = name)
    }

    /// Opens on so many failures without a success between them; 10 by default, at most 16,000.
    pub fn failures_in_a_row(self, failures: u32) -> Self {
        self.set_up(|setup| setup.rules.failures_in_a_row = failures)
    }

    /// Opens when so many calls of a hundred fail within the [`window`](Self::window), of at
    /// least `least_calls`; 50 of at least 20 by default.
    pub fn failing_percent(self, percent: u32, least_calls: u32) -> Self {
        self.set_up(|setup| {
            setup.rules.failing_percent = percent;
            setup.rules.least_calls = least_calls;
        })
    }

    /// How far back calls are counted, sliding in steps of a tenth; 10 seconds by default.
    pub fn window(self, window: Duration) -> Self {
        self.set_up(|setup| setup.rules.window = window)
    }

    /// How long it stays open the first time, a fifth more or less; a second by default. Each
    /// time that it opens again without having closed it stays open twice as long, up to
    /// [`open_at_most`](Self::open_at_most), which this raises where it has to.
    pub fn open_for(self, duration: Duration) -> Self {
        self.set_up(|setup| {
            setup.rules.open_for = duration;
            setup.rules.open_at_most = setup.rules.open_at_most.max(duration);
        })
    }

    /// The longest that it stays open between two attempts, a fifth more or less; 30 seconds by
    /// default.
    pub fn open_at_most(self, duration: Duration) -> Self {
        self.set_up(|setup| setup.rules.open_at_most = duration)
    }

    /// How many calls in a row have to succeed to close it; 2 by default.
    pub fn successes_to_close(self, successes: u32) -> Self {
        self.set_up(|setup| setup.rules.successes_to_close = successes)
    }

    /// All the rules at once.
    pub fn rules(self, rules: BreakerRules) -> Self {
        self.set_up(|setup| setup.rules = rules)
    }

    /// Where the time comes from; the system's clock by default.
    pub fn clock(self, clock: Clock) -> Self {
        self.set_up(|setup| setup.clock = clock)
    }

    /// Which results are failures, instead of all errors and nothing else. The closure's types
    /// have to be written out: `|result: Result<&Reply, &Error>| …`.
    pub fn failure<T, E, F>(self, is_failure: F) -> CircuitBreakerLayer<F, A>
    where
        F: Fn(Result<&T, &E>) -> bool,
    {
        self.judged_by(is_failure)
    }

    /// HTTP answers with a status of 500 and above are failures as well as errors.
    pub fn count_server_errors(self) -> CircuitBreakerLayer<ServerErrorsFail, A> {
        self.judged_by(ServerErrorsFail)
    }

    /// Which results are failures, by anything that is a [`Judge`](super::Judge).
    pub fn judged_by<K>(self, judge: K) -> CircuitBreakerLayer<K, A> {
        CircuitBreakerLayer {
            circuit: self.circuit,
            setup: self.setup,
            judge,
            answer: self.answer,
        }
    }

    /// Answers with this while the circuit is open. The error stays the service's own, as
    /// frameworks want it whose services can't fail.
    pub fn respond_with<T, F>(self, respond: F) -> CircuitBreakerLayer<J, RespondWith<F>>
    where
        F: Fn(&CircuitOpen) -> T,
    {
        CircuitBreakerLayer {
            circuit: self.circuit,
            setup: self.setup,
            judge: self.judge,
            answer: RespondWith::new(respond),
        }
    }

    /// The circuit that this layer, its clones and their services share.
    #[must_use]
    pub fn circuit(&self) -> Circuit {
        self.circuit.clone()
    }

    /// Whether calls are let through.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.circuit.state()
    }

    fn set_up(mut self, change: impl FnOnce(&mut Setup)) -> Self {
        change(&mut self.setup);
        self.circuit = self.setup.circuit();
        self
    }
}

impl Setup {
    fn circuit(&self) -> Circuit {
        Circuit::new(self.name, self.rules.clone(), self.clock.clone())
    }
}

impl<S, J: Clone, A: Clone> Layer<S> for CircuitBreakerLayer<J, A> {
    type Service = CircuitBreaker<S, J, A>;

    fn layer(&self, inner: S) -> Self::Service {
        let (judge, answer) = (self.judge.clone(), self.answer.clone());
        CircuitBreaker::new(inner, self.circuit.clone(), judge, answer)
    }
}

impl<J, A> fmt::Debug for CircuitBreakerLayer<J, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerLayer")
            .field("circuit", &self.circuit)
            .field("rules", &self.setup.rules)
            .finish_non_exhaustive()
    }
}
