//! The circuit breaker around services that fail when they are told to.

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    future::{Ready, ready},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, http::header, response::IntoResponse, routing::get};
use http::StatusCode;
use pitlane::{
    CircuitBreakerLayer, Clock,
    breaker::{
        BreakerError, BreakerErrorKind, BreakerState, Circuit, CircuitBreaker, ErrorsFail,
        GiveError,
    },
};
use pitlane_testkit::{Client, Gate, Protocol};
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt, service_fn};
use tracing::{Event, Level, Metadata, Subscriber, field, span};

use crate::drive::{bounded, poll_once};

const CLOSED: BreakerState = BreakerState::Closed;
const HALF_OPEN: BreakerState = BreakerState::HalfOpen;
const OPEN: BreakerState = BreakerState::Open;

/// As long as an open circuit may take at most, with its random fifth, and more than the least.
const AFTER_ONE: Duration = Duration::from_millis(1_200);

#[derive(Debug, PartialEq)]
struct Failed(u32);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed with {}", self.0)
    }
}

impl Error for Failed {}

/// A service that is no HTTP: it answers a number with its double, and fails on odd ones.
#[derive(Clone, Default)]
struct Doubles(Arc<AtomicUsize>);

impl Doubles {
    fn calls(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Service<u32> for Doubles {
    type Response = u64;
    type Error = Failed;
    type Future = Ready<Result<u64, Failed>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, number: u32) -> Self::Future {
        self.0.fetch_add(1, Ordering::SeqCst);
        ready(if number.is_multiple_of(2) {
            Ok(u64::from(number) * 2)
        } else {
            Err(Failed(number))
        })
    }
}

struct Bench {
    clock: Clock,
    circuit: Circuit,
    inner: Doubles,
    service: CircuitBreaker<Doubles, ErrorsFail, GiveError>,
}

const GOOD: u32 = 2;
const BAD: u32 = 3;

fn bench() -> Bench {
    let (clock, layer) = layer();
    let inner = Doubles::default();
    Bench {
        circuit: layer.circuit(),
        service: layer.layer(inner.clone()),
        clock,
        inner,
    }
}

fn layer() -> (Clock, CircuitBreakerLayer) {
    let clock = Clock::manual(pitlane::Timestamp::from_millis(1_700_000_000_000));
    let layer = CircuitBreakerLayer::new().name("doubles");
    (clock.clone(), layer.clock(clock))
}

impl Bench {
    fn ask(&self, number: u32) -> Result<u64, BreakerError<Failed>> {
        let Poll::Ready(result) = poll_once(pin!(self.service.clone().oneshot(number))) else {
            panic!("it answers at once");
        };
        result
    }

    /// Makes it fail until the circuit is open, or `calls` times.
    fn fail(&self, calls: u32) {
        for _ in 0..calls {
            assert_eq!(self.ask(BAD).unwrap_err().inner(), Some(&Failed(BAD)));
        }
    }

    #[track_caller]
    fn check(&self, number: u32, kind: Option<BreakerErrorKind>, state: BreakerState) {
        let result = self.ask(number);
        assert_eq!(result.err().map(|error| error.kind()), kind);
        assert_eq!(self.circuit.state(), state);
    }
}

const INNER: Option<BreakerErrorKind> = Some(BreakerErrorKind::Inner);
const REFUSED: Option<BreakerErrorKind> = Some(BreakerErrorKind::Open);

#[test]
fn ten_failures_in_a_row_open_it_and_then_the_service_is_not_asked() {
    let bench = bench();
    bench.fail(9);
    bench.check(GOOD, None, CLOSED);
    bench.fail(9);
    assert_eq!(bench.circuit.state(), CLOSED);
    bench.fail(1);
    assert_eq!(bench.circuit.state(), OPEN);
    let error = bench.ask(GOOD).unwrap_err();
    let open = error.open().unwrap();
    assert_eq!((open.name(), open.state()), ("doubles", OPEN));
    let wait = open.retry_after().unwrap();
    assert!(wait >= Duration::from_millis(800) && wait <= AFTER_ONE);
    assert_eq!(
        open.retry_after_seconds(),
        wait.as_millis().div_ceil(1000) as u64
    );
    assert_eq!(error.to_string(), "the circuit \"doubles\" is open");
    assert_eq!(bench.inner.calls(), 20);
}

#[test]
fn half_of_twenty_calls_open_it_unless_they_are_more_than_ten_seconds_apart() {
    for (pause, state) in [(9, OPEN), (11, CLOSED)] {
        let bench = bench();
        for _ in 0..9 {
            bench.check(BAD, INNER, CLOSED);
            bench.check(GOOD, None, CLOSED);
        }
        bench.clock.advance(Duration::from_secs(pause));
        bench.check(GOOD, None, CLOSED);
        bench.check(BAD, INNER, state);
    }
}

#[test]
fn after_its_time_one_call_decides_and_two_successes_close_it() {
    let bench = bench();
    bench.fail(10);
    bench.clock.advance(Duration::from_millis(799));
    bench.check(GOOD, REFUSED, OPEN);
    bench.clock.advance(AFTER_ONE);
    // Not by time alone.
    assert_eq!(bench.circuit.state(), OPEN);
    bench.check(GOOD, None, HALF_OPEN);
    bench.check(GOOD, None, CLOSED);
    // What was counted before is forgotten.
    bench.fail(9);
    assert_eq!(bench.circuit.state(), CLOSED);
}

#[test]
fn each_failed_attempt_keeps_it_open_twice_as_long_up_to_the_most() {
    let (clock, layer) = layer();
    let layer = layer.open_for(Duration::from_secs(10));
    let layer = layer.open_at_most(Duration::from_secs(25));
    let bench = Bench {
        clock,
        circuit: layer.circuit(),
        inner: Doubles::default(),
        service: layer.layer(Doubles::default()),
    };
    bench.fail(10);
    for (least, most) in [(8, 12), (16, 24), (20, 30), (20, 30)] {
        let open = *bench.ask(GOOD).unwrap_err().open().unwrap();
        let wait = open.retry_after().unwrap().as_secs_f64();
        assert!(
            wait >= f64::from(least) && wait <= f64::from(most),
            "{wait}"
        );
        bench.clock.advance(Duration::from_secs(most as u64));
        bench.check(BAD, INNER, OPEN);
    }
    assert_eq!(bench.circuit.snapshot().openings, 5);
}

#[test]
fn a_first_time_longer_than_the_most_raises_it() {
    let (_clock, layer) = layer();
    let layer = layer.open_for(Duration::from_secs(100));
    layer.circuit().trip();
    let service = layer.layer(Doubles::default());
    let Poll::Ready(Err(error)) = poll_once(pin!(service.oneshot(GOOD))) else {
        panic!("it is open");
    };
    assert!(error.open().unwrap().retry_after_seconds() >= 80);
}

#[test]
fn a_circuit_that_is_tripped_by_hand_is_open_and_heals_as_any_other() {
    let bench = bench();
    bench.circuit.trip();
    bench.check(GOOD, REFUSED, OPEN);
    bench.clock.advance(AFTER_ONE);
    bench.check(GOOD, None, HALF_OPEN);
    bench.check(GOOD, None, CLOSED);
}

#[test]
fn clones_and_services_of_one_layer_share_a_circuit_and_two_layers_do_not() {
    let (_clock, layer) = layer();
    let other = CircuitBreakerLayer::new();
    let failing = layer.layer(Doubles::default());
    for _ in 0..5 {
        for service in [failing.clone(), layer.clone().layer(Doubles::default())] {
            let Poll::Ready(result) = poll_once(pin!(service.oneshot(BAD))) else {
                panic!("it answers at once");
            };
            assert!(result.is_err());
        }
    }
    assert_eq!(layer.state(), OPEN);
    assert_eq!(failing.circuit().state(), OPEN);
    assert_eq!(other.state(), CLOSED);
    // Another answer and another judge are the same circuit; other rules are another one.
    let answers = layer.clone().count_server_errors().respond_with(|_| ());
    assert_eq!(answers.state(), OPEN);
    assert_eq!(layer.open_for(AFTER_ONE).state(), CLOSED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_calls_at_once_a_half_open_circuit_lets_one_through_at_a_time() {
    let (clock, layer) = layer();
    let gate = Gate::new();
    let (held, calls) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&calls);
    let inner = service_fn(move |(): ()| {
        let (gate, count) = (held.clone(), Arc::clone(&count));
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            gate.pass().await;
            Ok::<_, Failed>(())
        }
    });
    let service = layer.layer(inner);
    layer.circuit().trip();
    clock.advance(AFTER_ONE);
    for (round, after) in [(1, HALF_OPEN), (2, CLOSED)] {
        let mut asked = JoinSet::new();
        for _ in 0..100 {
            asked.spawn(service.clone().oneshot(()));
        }
        for _ in 0..99 {
            let refused = bounded(asked.join_next()).await.unwrap().unwrap();
            let error = refused.unwrap_err();
            let open = error.open().unwrap();
            assert_eq!((open.state(), open.retry_after()), (HALF_OPEN, None));
        }
        gate.open(1);
        let through = bounded(asked.join_next()).await.unwrap().unwrap();
        assert!(through.is_ok());
        assert_eq!(calls.load(Ordering::SeqCst), round);
        assert_eq!(layer.state(), after);
    }
}

/// A service that waits for ever, or panics, where it is told to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    Hangs,
    PanicsWhenCalled,
    PanicsWhenPolled,
}

impl Service<Trouble> for Doubles {
    type Response = u64;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<u64, Failed>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, trouble: Trouble) -> Self::Future {
        if trouble == Trouble::PanicsWhenCalled {
            std::panic::resume_unwind(Box::new("called"));
        }
        Box::pin(async move {
            if trouble == Trouble::PanicsWhenPolled {
                std::panic::resume_unwind(Box::new("polled"));
            }
            std::future::pending().await
        })
    }
}

impl Bench {
    /// Calls, polls once, and drops what is left.
    fn trouble(&self, trouble: Trouble) {
        let call = || {
            let service = self.service.clone();
            poll_once(pin!(service.oneshot(trouble))).is_pending()
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
        assert_eq!(result.is_ok(), trouble == Trouble::Hangs);
    }
}

#[test]
fn a_call_that_is_dropped_counts_as_none_and_gives_its_attempt_back() {
    let bench = bench();
    bench.fail(9);
    for _ in 0..30 {
        bench.trouble(Trouble::Hangs);
    }
    assert_eq!(bench.circuit.snapshot().calls, 9);
    bench.fail(1);
    bench.clock.advance(AFTER_ONE);
    for _ in 0..3 {
        bench.trouble(Trouble::Hangs);
        assert_eq!(bench.circuit.state(), HALF_OPEN);
    }
    bench.check(GOOD, None, HALF_OPEN);
    bench.check(GOOD, None, CLOSED);
}

#[test]
fn a_panic_is_a_failure_wherever_it_comes_from() {
    for trouble in [Trouble::PanicsWhenCalled, Trouble::PanicsWhenPolled] {
        let bench = bench();
        bench.fail(9);
        bench.trouble(trouble);
        assert_eq!(bench.circuit.state(), OPEN, "{trouble:?}");
        bench.clock.advance(AFTER_ONE);
        bench.trouble(trouble);
        assert_eq!(bench.circuit.state(), OPEN, "{trouble:?}");
        assert_eq!(bench.circuit.snapshot().openings, 2);
    }
}

#[test]
fn a_judge_may_call_answers_failures_and_errors_none() {
    let (_clock, layer) = layer();
    let layer = layer.failures_in_a_row(2);
    let layer = layer.failure(|result: Result<&u64, &Failed>| match result {
        Ok(double) => *double > 100,
        Err(Failed(number)) => *number > 100,
    });
    let service = layer.layer(Doubles::default());
    let states: Vec<_> = [1, 1, 1, 200, 101]
        .into_iter()
        .map(|number| {
            let result = poll_once(pin!(service.clone().oneshot(number)));
            assert!(matches!(result, Poll::Ready(result) if result.is_ok() == (number == 200)));
            layer.state()
        })
        .collect();
    assert_eq!(states, [CLOSED, CLOSED, CLOSED, CLOSED, OPEN]);
}

/// Its readiness is told to it. It panics when it is called without having been asked.
#[derive(Clone, Debug, Default)]
struct Moody {
    mood: Arc<Mutex<Mood>>,
    asked: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Mood {
    #[default]
    Ready,
    Busy,
    Broken,
}

impl Service<()> for Moody {
    type Response = ();
    type Error = Failed;
    type Future = Ready<Result<(), Failed>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        let mood = *self.mood.lock().unwrap();
        self.asked = mood == Mood::Ready;
        match mood {
            Mood::Ready => Poll::Ready(Ok(())),
            Mood::Busy => Poll::Pending,
            Mood::Broken => Poll::Ready(Err(Failed(0))),
        }
    }

    fn call(&mut self, (): ()) -> Self::Future {
        assert!(std::mem::take(&mut self.asked), "called without poll_ready");
        ready(Ok(()))
    }
}

#[test]
fn readiness_is_the_services_own_until_the_circuit_refuses() {
    let (clock, layer) = layer();
    let inner = Moody::default();
    let mood = Arc::clone(&inner.mood);
    let be = |now| *mood.lock().unwrap() = now;
    let service = layer.layer(inner);
    let ask = || poll_once(pin!(service.clone().oneshot(())));
    assert!(matches!(ask(), Poll::Ready(Ok(()))));
    be(Mood::Busy);
    assert!(ask().is_pending());
    be(Mood::Broken);
    for _ in 0..10 {
        let Poll::Ready(Err(error)) = ask() else {
            panic!("it is broken");
        };
        assert_eq!(error.into_inner(), Some(Failed(0)));
    }
    assert_eq!(layer.state(), OPEN);
    be(Mood::Busy);
    let Poll::Ready(Err(refused)) = ask() else {
        panic!("an open circuit does not wait for the service");
    };
    assert_eq!(refused.kind(), BreakerErrorKind::Open);
    clock.advance(AFTER_ONE);
    // It may be asked again, and still isn't ready.
    assert!(ask().is_pending());
    be(Mood::Ready);
    assert!(matches!(ask(), Poll::Ready(Ok(()))));
    assert_eq!(layer.state(), HALF_OPEN);
}

#[test]
fn a_service_that_was_not_asked_for_readiness_is_not_called_when_the_circuit_changes_meanwhile() {
    let (clock, layer) = layer();
    let mut service = layer.layer(Moody::default());
    let mut cx = Context::from_waker(std::task::Waker::noop());
    layer.circuit().trip();
    assert!(service.poll_ready(&mut cx).is_ready());
    clock.advance(AFTER_ONE);
    // Its time has come between the two.
    let Poll::Ready(Err(refused)) = poll_once(pin!(service.call(()))) else {
        panic!("it was not ready");
    };
    assert_eq!(refused.open().unwrap().state(), OPEN);
    for _ in 0..2 {
        assert!(service.poll_ready(&mut cx).is_ready());
        assert!(matches!(
            poll_once(pin!(service.call(()))),
            Poll::Ready(Ok(()))
        ));
    }
    // And it opens between the two: what was ready stays so.
    assert!(service.poll_ready(&mut cx).is_ready());
    layer.circuit().trip();
    assert!(matches!(
        poll_once(pin!(service.call(()))),
        Poll::Ready(Err(_))
    ));
    clock.advance(AFTER_ONE);
    assert!(matches!(
        poll_once(pin!(service.call(()))),
        Poll::Ready(Ok(()))
    ));
}

#[test]
fn errors_have_a_source_and_a_way_to_be_boxed() {
    let bench = bench();
    let error = bench.ask(BAD).unwrap_err();
    assert_eq!(error.to_string(), "the service behind the circuit failed");
    assert_eq!(error.source().unwrap().to_string(), "failed with 3");
    assert_eq!(error.into_boxed().to_string(), "failed with 3");
    bench.fail(9);
    let refused = bench.ask(GOOD).unwrap_err();
    assert!(refused.source().is_none());
    let boxed = refused.into_boxed();
    assert!(boxed.is::<pitlane::breaker::CircuitOpen>());
    // An error that is boxed already comes out as it went in.
    let inner = service_fn(|(): ()| async { Err::<(), _>(tower::BoxError::from("boxed")) });
    let service = layer().1.layer(inner).map_err(BreakerError::into_boxed);
    let Poll::Ready(Err(error)) = poll_once(pin!(service.oneshot(()))) else {
        panic!("it fails");
    };
    assert_eq!(error.to_string(), "boxed");
}

/// Counts what is told of circuits, by level.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<(Level, String)>>>);

impl Subscriber for Ear {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = String::new();
        event.record(&mut |field: &field::Field, value: &dyn fmt::Debug| {
            text.push_str(&format!("{field}={value:?} "));
        });
        let heard = (*event.metadata().level(), text.trim_end().to_owned());
        self.0.lock().unwrap().push(heard);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[test]
fn every_change_is_told_once() {
    let ear = Ear::default();
    let heard = Arc::clone(&ear.0);
    tracing::subscriber::with_default(ear, || {
        let bench = bench();
        bench.fail(10);
        bench.circuit.trip();
        bench.check(GOOD, REFUSED, OPEN);
        bench.clock.advance(AFTER_ONE);
        bench.check(BAD, INNER, OPEN);
        bench.clock.advance(2 * AFTER_ONE);
        bench.trouble(Trouble::Hangs);
        bench.check(GOOD, None, HALF_OPEN);
        bench.check(GOOD, None, CLOSED);
        bench.check(GOOD, None, CLOSED);
    });
    let told = |level, what: &str| (level, format!("message={what} circuit=\"doubles\""));
    let opened = told(Level::WARN, "circuit opened");
    let half_open = told(Level::DEBUG, "circuit is half-open");
    let closed = told(Level::INFO, "circuit closed");
    let expected = [&opened, &half_open, &opened, &half_open, &closed].map(Clone::clone);
    assert_eq!(*heard.lock().unwrap(), expected);
}

#[tokio::test]
async fn axum_answers_503_with_retry_after_while_it_is_open_and_recovers() {
    let (clock, layer) = layer();
    let healthy = Arc::new(AtomicBool::new(false));
    let layer = layer.count_server_errors().respond_with(|open| {
        let retry = [(header::RETRY_AFTER, open.retry_after_seconds())];
        (StatusCode::SERVICE_UNAVAILABLE, retry, "later").into_response()
    });
    let (circuit, state) = (layer.circuit(), Arc::clone(&healthy));
    let handler = move || async move {
        match state.load(Ordering::SeqCst) {
            true => Ok("fine"),
            false => Err(StatusCode::BAD_GATEWAY),
        }
    };
    // One layer around two routes, as frameworks clone it.
    let app: Router = Router::new()
        .route("/a", get(handler.clone()))
        .route("/b", get(handler))
        .route_layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let client = Client::new(protocol);
        let ask = async |path: &str| client.get(&format!("http://{address}{path}"), &[]).await;
        healthy.store(false, Ordering::SeqCst);
        for _ in 0..5 {
            assert_eq!(ask("/a").await.status, StatusCode::BAD_GATEWAY);
            assert_eq!(ask("/b").await.status, StatusCode::BAD_GATEWAY);
        }
        let refused = ask("/a").await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!(wait == 1 || wait == 2, "{wait}");
        assert_eq!(refused.text(), "later");
        healthy.store(true, Ordering::SeqCst);
        clock.advance(AFTER_ONE);
        for state in [HALF_OPEN, CLOSED, CLOSED] {
            assert_eq!(ask("/b").await.text(), "fine");
            assert_eq!(circuit.state(), state);
        }
    }
    server.abort();
}

/// What frameworks ask of a service is decided at compile time.
#[test]
fn services_and_futures_are_send_and_sync_where_what_they_are_made_of_is() {
    fn ask<S: Service<u32> + Clone + Send + Sync + 'static>(_: &S)
    where
        S::Future: Send + Sync,
    {
    }
    let (_clock, layer) = layer();
    ask(&layer.layer(Doubles::default()));
    ask(&layer.respond_with(|_| 0_u64).layer(Doubles::default()));
    let infallible = service_fn(|number: u32| ready(Ok::<_, Infallible>(number)));
    ask(&CircuitBreakerLayer::new().layer(infallible));
}
