use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    sync::Barrier,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::Full;
use pitlane::{AnonymousCacheLayer, ApiCacheLayer, Caches, Profile, ResponseCacheLayer};
use tower::{Layer, Service};

use crate::measure::{Case, allocations, in_turns, median};

/// A handler that does nothing but answer: the floor.
#[derive(Clone)]
struct Bare {
    body: Bytes,
    cache_control: &'static str,
}

impl<B> Service<Request<B>> for Bare {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let mut response = Response::new(Full::new(self.body.clone()));
        let headers = response.headers_mut();
        let fields = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, self.cache_control),
            (header::CONTENT_LANGUAGE, "en"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "same-origin"),
            (header::SERVER, "bare"),
            (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
        ];
        for (name, value) in fields {
            headers.insert(name, HeaderValue::from_static(value));
        }
        ready(Ok(response))
    }
}

fn request(method: &Method) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri("/clubs/42?page=2")
        .header(header::HOST, "simlane.example")
        .header(header::USER_AGENT, "bench/1.0")
        .header(header::ACCEPT, "text/html,*/*")
        .header(header::ACCEPT_ENCODING, "gzip, br")
        .body(Full::default())
        .expect("a request")
}

/// One request through a service that answers at once.
fn call<S>(service: &S, method: &Method) -> S::Response
where
    S: Service<Request<Full<Bytes>>, Error = Infallible> + Clone,
{
    let mut service = service.clone();
    let future = pin!(service.call(request(method)));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => unreachable!("the handler answers at once"),
    }
}

fn bare(size: usize, cache_control: &'static str) -> Bare {
    Bare {
        body: Bytes::from(vec![b'x'; size]),
        cache_control,
    }
}

pub(crate) fn run() {
    let caches = Caches::builder()
        .memory(256 << 20)
        .cache("anonymous")
        .cache("api")
        .cache("rfc")
        .build()
        .expect("caches");
    let cache = |name| caches.get(name).expect("a cache");
    let minute = Duration::from_secs(60);
    let anonymous = AnonymousCacheLayer::new(&cache("anonymous")).ttl(minute);
    let api = ApiCacheLayer::new(&cache("api")).ttl(minute);
    let rfc = ResponseCacheLayer::new(&cache("rfc")).profile(Profile::Rfc);
    let small = bare(1 << 10, "max-age=60");
    let large = bare(64 << 10, "max-age=60");
    let no_store = bare(1 << 10, "no-store");
    let hit = anonymous.layer(small.clone());
    let hit_api = api.layer(small.clone());
    let hit_rfc = rfc.layer(small.clone());
    let hit_large = AnonymousCacheLayer::new(&cache("rfc"))
        .ttl(minute)
        .layer(large.clone());
    let pass = AnonymousCacheLayer::new(&caches.get("api").expect("a cache"))
        .ttl(minute)
        .key_header(header::ACCEPT)
        .layer(no_store.clone());
    let (get, post) = (&Method::GET, &Method::POST);
    let case = |name, work| Case { name, work };
    let mut cases = [
        case(
            "bare service, 1 KiB",
            Box::new(|| drop(black_box(call(&small, get)))) as Box<dyn FnMut()>,
        ),
        case(
            "hit, anonymous, 1 KiB",
            Box::new(|| drop(black_box(call(&hit, get)))),
        ),
        case(
            "hit, api, 1 KiB",
            Box::new(|| drop(black_box(call(&hit_api, get)))),
        ),
        case(
            "hit, rfc profile, 1 KiB",
            Box::new(|| drop(black_box(call(&hit_rfc, get)))),
        ),
        case(
            "hit, anonymous, 64 KiB",
            Box::new(|| drop(black_box(call(&hit_large, get)))),
        ),
        case(
            "bare service, POST",
            Box::new(|| drop(black_box(call(&no_store, post)))),
        ),
        case(
            "pass-through, POST",
            Box::new(|| drop(black_box(call(&pass, post)))),
        ),
        case(
            "bare service, no-store",
            Box::new(|| drop(black_box(call(&no_store, get)))),
        ),
        case(
            "pass-through, GET no-store",
            Box::new(|| drop(black_box(call(&pass, get)))),
        ),
    ];
    let allocations: Vec<u64> = cases
        .iter_mut()
        .map(|case| allocations(&mut case.work))
        .collect();
    let times = in_turns(&mut cases);
    let floors = [0, 0, 0, 0, 0, 5, 5, 7, 7];
    println!(
        "{:<28} {:>9} {:>7} {:>12}",
        "in process", "ns/call", "ratio", "allocations"
    );
    for (index, case) in cases.iter().enumerate() {
        let floor = times[floors[index]];
        println!(
            "{:<28} {:>9.0} {:>6.2}x {:>12}",
            case.name,
            times[index],
            times[index] / floor,
            allocations[index],
        );
    }
    println!(
        "hit at 64 KiB against 1 KiB: {:.3}x; bars: hit <= 1.5x and <= 4 allocations more, \
         POST <= 1.2x, no-store <= 1.5x, 64 KiB within 5 %",
        times[4] / times[1]
    );
    two_threads(&hit);
    assert!(
        !caches
            .get("anonymous")
            .expect("a cache")
            .counts()
            .is_empty()
    );
}

/// Throughput of two threads against one, on hits of one entry.
fn two_threads<S>(service: &S)
where
    S: Service<Request<Full<Bytes>>, Error = Infallible> + Clone + Send + Sync,
{
    let mut ratios = Vec::new();
    let (mut ones, mut twos) = (Vec::new(), Vec::new());
    for _ in 0..11 {
        let one = throughput(service, 1);
        let two = throughput(service, 2);
        ratios.push(two / one);
        ones.push(one);
        twos.push(two);
    }
    println!(
        "hits a second: 1 thread {:.2} M, 2 threads {:.2} M, ratio {:.2} (bar: 1.7)",
        median(ones) / 1e6,
        median(twos) / 1e6,
        median(ratios)
    );
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is about time")]
fn throughput<S>(service: &S, threads: usize) -> f64
where
    S: Service<Request<Full<Bytes>>, Error = Infallible> + Clone + Send + Sync,
{
    const CALLS: u32 = 200_000;
    let barrier = Barrier::new(threads);
    let seconds: Vec<f64> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let own = service.clone();
                    barrier.wait();
                    let start = Instant::now();
                    for _ in 0..CALLS {
                        drop(black_box(call(&own, &Method::GET)));
                    }
                    start.elapsed().as_secs_f64()
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker"))
            .collect()
    });
    seconds
        .iter()
        .map(|seconds| f64::from(CALLS) / seconds)
        .sum()
}
