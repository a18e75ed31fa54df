//! What is counted, and what the memory holds.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{Method, Request, StatusCode};
use pitlane::{AnonymousCacheLayer, Caches, ResponseCacheLayer};
use pitlane_testkit::{Origin, Reply};
use tower::{Layer, Service};

use crate::drive::{FRESH, bench, bounded, get, request, try_send};

/// A generator of the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        let at = self.below(u64::try_from(items.len()).unwrap());
        items[usize::try_from(at).unwrap()]
    }
}

#[tokio::test]
async fn many_urls_stay_within_the_memory_limit_and_the_hot_ones_survive() {
    const URLS: usize = 80_000;
    const HOT: usize = 100;
    let caches = Caches::builder().memory(4 << 20).max_body(64 << 10);
    let cache = caches.build().unwrap().get("default").unwrap();
    let headers = [FRESH[0], ("etag", "\"x\"")];
    let origin = Origin::new(move |_, _| async move { Origin::reply(&headers, vec![b'x'; 200]) });
    let service = ResponseCacheLayer::new(&cache).layer(origin);
    let (mut asked, mut hits) = (0, 0);
    for number in 0..URLS {
        get(&service, &format!("/cold/{number}")).await;
        if number % 8 == 0 {
            let hot = get(&service, &format!("/hot/{}", number / 8 % HOT)).await;
            // The first rounds make them hot.
            if number > 8 * 5 * HOT {
                asked += 1;
                hits += usize::from(hot.is_hit());
            }
        }
        let held = cache.memory();
        assert!(held.bytes <= held.limit, "{held:?} after {number} URLs");
    }
    assert!(hits * 100 >= asked * 95, "{hits} hits of {asked}");
    assert!(cache.memory().entries > 1000);
}

/// A backend with every kind of answer, chosen by the path.
#[derive(Clone)]
struct Fickle(Arc<AtomicU64>);

impl<B: Send + 'static> Service<Request<B>> for Fickle {
    type Response = Reply;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, &'static str>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let call = self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            for _ in 0..call % 3 {
                tokio::task::yield_now().await;
            }
            if request.uri().path() == "/error" || call.is_multiple_of(17) {
                return Err("no answer");
            }
            let control = match request.uri().path() {
                "/no-store" => "no-store",
                "/short" => "max-age=1, stale-while-revalidate=2, stale-if-error=5",
                _ => "max-age=30, stale-if-error=60",
            };
            let vary = if request.uri().path() == "/vary" {
                "x-a"
            } else {
                "x-never"
            };
            let mut reply = Origin::reply(&[("cache-control", control), ("vary", vary)], "x");
            if call.is_multiple_of(13) {
                *reply.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            Ok(reply)
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_are_a_partition_of_the_requests() {
    const PATHS: &[&str] = &[
        "/a",
        "/b",
        "/vary",
        "/no-store",
        "/short",
        "/error",
        "/a?_method=PUT",
    ];
    const METHODS: &[Method] = &[
        Method::GET,
        Method::GET,
        Method::GET,
        Method::HEAD,
        Method::POST,
    ];
    const HEADERS: &[(&str, &str)] = &[
        ("x-a", "1"),
        ("x-a", "2"),
        ("cookie", "session=1"),
        ("cookie", "_ga=1"),
        ("authorization", "Bearer x"),
        ("cache-control", "only-if-cached"),
        ("range", "bytes=0-0"),
        ("if-none-match", "*"),
    ];
    let bench = bench();
    let service = AnonymousCacheLayer::new(&bench.cache)
        .add_harmless_cookie("_ga")
        .hit_for_miss(Duration::from_secs(3))
        .layer(Fickle(Arc::default()));
    let mut random = Random(7);
    let mut sent = 0;
    for round in 0..200 {
        let tasks: Vec<_> = (0..random.below(40))
            .map(|_| {
                let path = random.of(PATHS);
                let at = usize::try_from(random.below(METHODS.len() as u64)).unwrap();
                let request = request(METHODS[at].clone(), path, &[random.of(HEADERS)]);
                let service = service.clone();
                tokio::spawn(async move { try_send(service, request).await.is_ok() })
            })
            .collect();
        sent += tasks.len() as u64;
        for task in tasks {
            bounded(task).await.unwrap();
        }
        bench
            .clock
            .advance(Duration::from_millis(300 * (round % 7)));
    }
    let counts = bench.cache.counts();
    let total: u64 = counts.iter().map(|count| count.count).sum();
    assert_eq!(total, sent, "{counts:#?}");
    let outcomes: std::collections::HashSet<_> = counts.iter().map(|count| count.outcome).collect();
    assert!(outcomes.len() >= 5, "the mix is too plain: {outcomes:?}");
}
