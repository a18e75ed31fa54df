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
pub(crate) struct Bare {
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

fn request(method: &Method, uri: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(uri)
        .header(header::HOST, "simlane.example")
        .header(header::USER_AGENT, "bench/1.0")
        .header(header::ACCEPT, "text/html,*/*")
        .header(header::ACCEPT_ENCODING, "gzip, br")
        .body(Full::default())
        .expect("a request")
}

fn call<S>(service: &S, method: &Method) -> S::Response
where
    S: Service<Request<Full<Bytes>>, Error = Infallible> + Clone,
{
    call_uri(service, method, "/clubs/42?page=2")
}

/// One request through a service that answers at once.
fn call_uri<S>(service: &S, method: &Method, uri: &str) -> S::Response
where
    S: Service<Request<Full<Bytes>>, Error = Infallible> + Clone,
{
    let mut service = service.clone();
    let future = pin!(service.call(request(method, uri)));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => unreachable!("the handler answers at once"),
    }
}

pub(crate) fn bare(size: usize, cache_control: &'static str) -> Bare {
    Bare {
        body: Bytes::from(vec![b'x'; size]),
        cache_control,
    }
}

/// Which case each case is compared with.
const FLOORS: [usize; 9] = [0, 0, 0, 0, 0, 5, 5, 7, 7];

pub(crate) fn run() {
    let mut cases = cases();
    let allocations: Vec<u64> = cases
        .iter_mut()
        .map(|case| allocations(&mut case.work))
        .collect();
    let times = in_turns(&mut cases);
    println!(
        "{:<28} {:>9} {:>7} {:>12}",
        "in process", "ns/call", "ratio", "allocations"
    );
    for (index, (case, floor)) in cases.iter().zip(FLOORS).enumerate() {
        let ratio = times[index] / times[floor];
        let (name, time, count) = (case.name, times[index], allocations[index]);
        println!("{name:<28} {time:>9.0} {ratio:>6.2}x {count:>12}");
    }
    println!(
        "hit at 64 KiB against 1 KiB: {:.3}x; bars: hit <= 1.5x and <= 4 allocations more, \
         POST <= 1.2x, no-store <= 1.5x, 64 KiB within 5 %",
        times[4] / times[1]
    );
    two_threads();
    crate::statistics::run();
}

/// The bare service and what stands before it, in the order of [`FLOORS`].
fn cases() -> [Case; 9] {
    let caches = caches();
    let cache = |name| caches.get(name).expect("a cache");
    let minute = Duration::from_secs(60);
    let small = bare(1 << 10, "max-age=60");
    let large = bare(64 << 10, "max-age=60");
    let no_store = bare(1 << 10, "no-store");
    let anonymous = AnonymousCacheLayer::new(&cache("anonymous")).ttl(minute);
    let api = ApiCacheLayer::new(&cache("api")).ttl(minute);
    let rfc = ResponseCacheLayer::new(&cache("rfc")).profile(Profile::Rfc);
    let of_large = AnonymousCacheLayer::new(&cache("large")).ttl(minute);
    let pass = AnonymousCacheLayer::new(&cache("pass")).ttl(minute);
    [
        case("bare service, 1 KiB", small.clone(), Method::GET),
        case(
            "hit, anonymous, 1 KiB",
            anonymous.layer(small.clone()),
            Method::GET,
        ),
        case("hit, api, 1 KiB", api.layer(small.clone()), Method::GET),
        case("hit, rfc profile, 1 KiB", rfc.layer(small), Method::GET),
        case("hit, anonymous, 64 KiB", of_large.layer(large), Method::GET),
        case("bare service, POST", no_store.clone(), Method::POST),
        case(
            "pass-through, POST",
            pass.layer(no_store.clone()),
            Method::POST,
        ),
        case("bare service, no-store", no_store.clone(), Method::GET),
        case(
            "pass-through, GET no-store",
            pass.layer(no_store),
            Method::GET,
        ),
    ]
}

fn caches() -> Caches {
    let builder = Caches::builder().memory(256 << 20);
    let names = ["anonymous", "api", "rfc", "large", "pass"];
    let builder = names
        .into_iter()
        .fold(builder, pitlane::CachesBuilder::cache);
    builder.build().expect("caches")
}

pub(crate) fn case<S>(name: &'static str, service: S, method: Method) -> Case
where
    S: Service<Request<Full<Bytes>>, Error = Infallible> + Clone + 'static,
{
    let work = Box::new(move || drop(black_box(call(&service, &method))));
    Case { name, work }
}

/// Throughput of two threads against one, on hits of one entry and of many.
fn two_threads() {
    let cache = caches().get("anonymous").expect("a cache");
    let layer = AnonymousCacheLayer::new(&cache).ttl(Duration::from_secs(60));
    let service = &layer.layer(bare(1 << 10, "max-age=60"));
    for (name, uris) in [("one entry", 1), ("64 entries", 64)] {
        let uris: Vec<String> = (0..uris).map(|n| format!("/clubs/{n}?page=2")).collect();
        let (mut ones, mut twos, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..11 {
            let one = throughput(service, 1, &uris);
            let two = throughput(service, 2, &uris);
            ratios.push(two / one);
            ones.push(one / 1e6);
            twos.push(two / 1e6);
        }
        let (one, two, ratio) = (median(ones), median(twos), median(ratios));
        println!(
            "hits of {name}, in millions a second: 1 thread {one:.2}, 2 threads {two:.2}, \
             ratio {ratio:.2} (bar: 1.7)"
        );
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is about time")]
fn throughput<S>(service: &S, threads: usize, uris: &[String]) -> f64
where
    S: Service<Request<Full<Bytes>>, Error = Infallible> + Clone + Send + Sync,
{
    const CALLS: usize = 100_000;
    let barrier = Barrier::new(threads);
    let worker = &|number: usize| {
        let own = service.clone();
        barrier.wait();
        let start = Instant::now();
        for call in 0..CALLS {
            // Threads walk over the entries at different strides.
            let uri = &uris[call * (2 * number + 1) % uris.len()];
            drop(black_box(call_uri(&own, &Method::GET, uri)));
        }
        start.elapsed().as_secs_f64()
    };
    let seconds: Vec<f64> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|number| scope.spawn(move || worker(number)))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker"))
            .collect()
    });
    seconds.iter().map(|seconds| CALLS as f64 / seconds).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bar of a memory hit, with every HTTP rule on.
    #[test]
    fn a_hit_allocates_at_most_four_times_more_than_the_bare_service() {
        let mut cases = cases();
        let counts: Vec<u64> = cases
            .iter_mut()
            .map(|case| allocations(&mut case.work))
            .collect();
        for hit in 1..5 {
            let (count, floor) = (counts[hit], counts[0]);
            assert!(
                count <= floor + 4,
                "{}: {count} against {floor}",
                cases[hit].name
            );
        }
    }
}
