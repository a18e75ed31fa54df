use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    sync::{Arc, Barrier},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::Full;
use metrics_exporter_prometheus::PrometheusBuilder;
use pitlane::{Caches, CircuitBreakerLayer, InvalidateLayer, MetricsLayer};
use tower::{Layer, Service};

use crate::measure::{median, thread_nanoseconds};

/// How many rounds are taken in turns; the median counts.
const ROUNDS: usize = 21;
const CALLS: u32 = 100_000;

/// A handler that does nothing but answer: the floor.
#[derive(Clone)]
struct Bare(Bytes);

impl<B> Service<Request<B>> for Bare {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let mut response = Response::new(Full::new(self.0.clone()));
        let fields = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_LANGUAGE, "en"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "same-origin"),
        ];
        for (name, value) in fields {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        ready(Ok(response))
    }
}

/// A service that is next to nothing: what is around it is all that costs.
#[derive(Clone)]
struct Number;

impl Service<u64> for Number {
    type Response = u64;
    type Error = Infallible;
    type Future = Ready<Result<u64, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, number: u64) -> Self::Future {
        ready(Ok(number ^ 1))
    }
}

/// What sharing anything at all costs: a count that goes up and down with each clone.
#[derive(Clone)]
struct Sharing<S>(S, Arc<()>);

impl<Q, S: Service<Q>> Service<Q> for Sharing<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Q) -> S::Future {
        let _held_by_the_future = black_box(Arc::clone(&self.1));
        self.0.call(request)
    }
}

struct Case {
    name: &'static str,
    /// Which case it is compared with.
    floor: usize,
    work: Box<dyn Fn() + Sync>,
}

pub(crate) fn run() {
    // Without one there would be nothing to measure.
    let recorder = PrometheusBuilder::new().install_recorder();
    let recorder = recorder.expect("the only recorder");
    let cases = cases();
    let mut times = vec![[Vec::new(), Vec::new()]; cases.len()];
    for _ in 0..ROUNDS {
        for threads in [1, 2] {
            for (case, times) in cases.iter().zip(&mut times) {
                times[threads - 1].push(nanoseconds(threads, &case.work));
                // What was measured is folded up now and then, as an exporter does.
                recorder.run_upkeep();
            }
        }
    }
    println!(
        "{:<34} {:>9} {:>9} {:>7}",
        "ns/call", "1 thread", "2 threads", "ratio"
    );
    let medians: Vec<[f64; 2]> = times.into_iter().map(|times| times.map(median)).collect();
    for (index, (case, [one, two])) in cases.iter().zip(&medians).enumerate() {
        let [floor_one, floor_two] = medians[case.floor];
        println!(
            "{:<34} {one:>9.1} {two:>9.1} {:>6.2}x",
            case.name,
            two / one
        );
        if index != case.floor {
            println!(
                "{:<34} {:>9.1} {:>9.1}",
                "  more than what is inside",
                one - floor_one,
                two - floor_two
            );
        }
    }
    println!(
        "each thread does the same number of calls: a ratio of 1 is that two threads do twice as \
         much as one"
    );
}

fn cases() -> Vec<Case> {
    let open = CircuitBreakerLayer::new();
    open.circuit().trip();
    let numbers = [
        number("number", 0, Number),
        number("number, sharing", 0, Sharing(Number, Arc::default())),
        number(
            "number, breaker",
            0,
            CircuitBreakerLayer::new().layer(Number),
        ),
        number("number, open breaker", 0, open.layer(Number)),
    ];
    let caches = Caches::builder().build().expect("caches");
    let metrics = MetricsLayer::new().route_label(|_| Some("/clubs/{id}"));
    let invalidate = InvalidateLayer::new(&caches);
    let get = numbers.len();
    let gets = [
        page("GET", get, Method::GET, bare()),
        page(
            "GET, breaker",
            get,
            Method::GET,
            CircuitBreakerLayer::new().layer(bare()),
        ),
        page("GET, metrics", get, Method::GET, metrics.layer(bare())),
        page(
            "GET, invalidate",
            get,
            Method::GET,
            invalidate.layer(bare()),
        ),
    ];
    let post = get + gets.len();
    let posts = [
        page("POST", post, Method::POST, bare()),
        page(
            "POST, invalidate",
            post,
            Method::POST,
            invalidate.layer(bare()),
        ),
    ];
    numbers.into_iter().chain(gets).chain(posts).collect()
}

fn bare() -> Bare {
    Bare(Bytes::from(vec![b'x'; 1 << 10]))
}

fn number<S>(name: &'static str, floor: usize, service: S) -> Case
where
    S: Service<u64> + Clone + Sync + 'static,
{
    let work = Box::new(move || call(&service, black_box(1)));
    Case { name, floor, work }
}

fn page<S>(name: &'static str, floor: usize, method: Method, service: S) -> Case
where
    S: Service<Request<Full<Bytes>>> + Clone + Sync + 'static,
{
    let work = Box::new(move || call(&service, request(&method)));
    Case { name, floor, work }
}

fn request(method: &Method) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri("/clubs/42?page=2")
        .header(header::HOST, "simlane.example")
        .header(header::USER_AGENT, "bench/1.0")
        .header(header::ACCEPT, "text/html,*/*")
        .body(Full::default())
        .expect("a request")
}

/// One request as servers make it: a clone of the service, asked whether it is ready.
fn call<S, Q>(service: &S, request: Q)
where
    S: Service<Q> + Clone,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut service = service.clone();
    assert!(service.poll_ready(&mut cx).is_ready());
    let answer = pin!(service.call(request)).poll(&mut cx);
    assert!(answer.is_ready());
    drop(black_box(answer));
}

/// What a call takes while so many threads do nothing else: processor time, which other work on
/// the machine does not lengthen, and waiting for each other's cache lines does.
fn nanoseconds(threads: usize, work: &(dyn Fn() + Sync)) -> f64 {
    let barrier = Barrier::new(threads);
    let worker = || {
        barrier.wait();
        let start = thread_nanoseconds();
        for _ in 0..CALLS {
            work();
        }
        (thread_nanoseconds() - start) / f64::from(CALLS)
    };
    let each: Vec<f64> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let ends = workers.into_iter().map(|worker| worker.join());
        ends.map(|end| end.expect("a worker")).collect()
    });
    each.iter().sum::<f64>() / each.len() as f64
}
