//! Class 29, in a process of its own because it weighs the process: a flood of distinct URLs
//! neither breaks the memory bound nor pushes out what is asked for often.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{convert::Infallible, fs, process::Command};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use pitlane::{Caches, ResponseCacheLayer};
use pitlane_testkit::Origin;
use tower::ServiceExt;
use tower_layer::Layer;
use tower_service::Service;

const URLS: usize = 150_000;
const HOT: usize = 100;
const LIMIT: u64 = 64 << 20;

async fn is_hit<S, R>(service: &S, uri: String) -> bool
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>, Error = Infallible> + Clone,
    R: Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let request = Request::builder().uri(uri).body(Full::default()).unwrap();
    let (head, body) = service.clone().oneshot(request).await.unwrap().into_parts();
    body.collect().await.unwrap();
    let status = head.headers.get("cache-status").unwrap();
    status.as_bytes().starts_with(b"pitlane; hit")
}

/// The process's resident memory, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_else(|_| {
        let id = std::process::id().to_string();
        let ps = Command::new("ps").args(["-o", "rss=", "-p", &id]).output();
        let output = ps.unwrap();
        format!(
            "VmRSS: {}",
            String::from_utf8(output.stdout).unwrap().trim()
        )
    });
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().split_whitespace().next().unwrap();
    kib.parse::<u64>().unwrap() << 10
}

/// Floods a cache with URLs whose answers have this status, and visits the hot ones in between.
async fn flood(status: u16) {
    let caches = Caches::builder().memory(LIMIT).max_body(1 << 20);
    let cache = caches.build().unwrap().get("default").unwrap();
    let origin = Origin::new(move |request, _| async move {
        let mut reply = Origin::reply(&[("cache-control", "max-age=600")], vec![b'x'; 1000]);
        if request.uri().path().starts_with("/cold") {
            *reply.status_mut() = status.try_into().unwrap();
        }
        reply
    });
    let service = ResponseCacheLayer::new(&cache).layer(origin);
    let before = resident();
    let mut most = before;
    for n in 0..HOT * 3 {
        is_hit(&service, format!("/hot/{}", n % HOT)).await;
    }
    for n in 0..URLS {
        assert!(!is_hit(&service, format!("/cold/{n}")).await);
        if n % 100 == 0 {
            is_hit(&service, format!("/hot/{}", n / 100 % HOT)).await;
        }
        if n % 10_000 == 0 {
            most = most.max(resident());
            let used = cache.memory();
            assert!(used.bytes <= used.limit, "{used:?}");
        }
    }
    let mut hits = 0;
    for n in 0..HOT {
        hits += usize::from(is_hit(&service, format!("/hot/{n}")).await);
    }
    let grown = most - before;
    eprintln!(
        "status {status}: {hits} of {HOT} hot hits, grown by {} MiB",
        grown >> 20
    );
    assert!(hits >= HOT * 95 / 100, "{hits} of {HOT} are left");
    assert!(grown <= LIMIT + LIMIT / 10, "grown by {grown} bytes");
}

#[tokio::test]
async fn a_flood_of_urls_stays_within_the_bound_and_the_hot_set_survives() {
    flood(200).await;
}
