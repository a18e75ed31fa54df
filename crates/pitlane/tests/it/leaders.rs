//! Leaders that leave, panic, or read slowly: whoever waits behind them is answered.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use pitlane::{Cache, Caches, ResponseCache, ResponseCacheLayer};
use pitlane_testkit::{Client, Gate, Origin, Protocol, Server, Steps};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tower::{Layer, ServiceExt};

use crate::drive::{Asked, FRESH, bench, bounded, get, request, until};

/// No test prints what a panic would.
fn quiet_panic() -> ! {
    std::panic::resume_unwind(Box::new("a panic on purpose"))
}

/// Followers, one polled often enough to wait and the others racing.
fn followers(
    service: &ResponseCache<Origin>,
) -> Vec<tokio::task::JoinHandle<pitlane_testkit::Answer>> {
    (0..3).map(|_| tokio::spawn(get(service, "/"))).collect()
}

async fn check_answered(
    cache: &Cache,
    followers: Vec<tokio::task::JoinHandle<pitlane_testkit::Answer>>,
    text: &str,
    run: usize,
) {
    for follower in followers {
        let answer = bounded(follower).await.unwrap();
        assert_eq!(answer.text(), text, "run {run}");
    }
    until(|| cache.in_flight() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_leaves_before_the_head_stalls_nobody() {
    for run in 0..250 {
        let bench = bench();
        let gate = Gate::new();
        let held = gate.clone();
        let service = bench.layer.layer(Origin::new(move |_, call| {
            let gate = held.clone();
            async move {
                if call == 1 {
                    gate.pass().await;
                }
                Origin::reply(FRESH, "whole")
            }
        }));
        let leader = tokio::spawn(get(&service, "/"));
        bounded(gate.arrival()).await;
        let waiting = followers(&service);
        for _ in 0..run % 5 {
            tokio::task::yield_now().await;
        }
        leader.abort();
        check_answered(&bench.cache, waiting, "whole", run).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_leaves_mid_body_stalls_nobody() {
    for run in 0..250 {
        let bench = bench();
        let gate = Gate::new();
        let held = gate.clone();
        let origin = Origin::new(move |_, _| {
            let body = Steps::new().data("wh").gated(&held, "ole");
            async move { body.reply(FRESH) }
        });
        let service = bench.layer.layer(origin.clone());
        let leader = service.clone().oneshot(request(Method::GET, "/", &[]));
        let leader = bounded(leader).await.unwrap();
        let waiting = followers(&service);
        for _ in 0..run % 5 {
            tokio::task::yield_now().await;
        }
        drop(leader);
        gate.open(10);
        check_answered(&bench.cache, waiting, "whole", run).await;
        assert!(get(&service, "/").await.is_hit(), "run {run}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_panics_in_its_handler_stalls_nobody() {
    for run in 0..250 {
        let bench = bench();
        let gate = Gate::new();
        let held = gate.clone();
        let service = bench.layer.layer(Origin::new(move |_, call| {
            let gate = held.clone();
            async move {
                if call == 1 {
                    gate.pass().await;
                    quiet_panic();
                }
                Origin::reply(FRESH, "whole")
            }
        }));
        let leader = tokio::spawn(get(&service, "/"));
        bounded(gate.arrival()).await;
        let waiting = followers(&service);
        for _ in 0..run % 5 {
            tokio::task::yield_now().await;
        }
        gate.open(1);
        assert!(bounded(leader).await.unwrap_err().is_panic());
        check_answered(&bench.cache, waiting, "whole", run).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_panics_stalls_neither_its_client_nor_those_who_wait() {
    for run in 0..150 {
        let bench = bench();
        let gate = Gate::new();
        let held = gate.clone();
        let service = bench.layer.layer(Origin::new(move |_, call| {
            let gate = held.clone();
            async move {
                let body = Steps::new().data("wh");
                let body = match call {
                    1 => body.then(async move {
                        gate.pass().await;
                        quiet_panic()
                    }),
                    _ => body.data("ole"),
                };
                body.reply(FRESH)
            }
        }));
        let leader = tokio::spawn(get(&service, "/"));
        bounded(gate.arrival()).await;
        let waiting = followers(&service);
        for _ in 0..run % 5 {
            tokio::task::yield_now().await;
        }
        gate.open(1);
        // A truncated body must not look whole to the leader's client.
        assert!(bounded(leader).await.unwrap_err().is_panic(), "run {run}");
        check_answered(&bench.cache, waiting, "whole", run).await;
    }
}

#[tokio::test]
async fn with_followers_the_body_is_read_at_the_handlers_pace_although_nobody_reads_it() {
    let bench = bench();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::new(move |_, _| {
        let body = (0..200).fold(Steps::new().gated(&held, ""), |body, _| body.data("x"));
        async move { body.reply(FRESH) }
    });
    let service = bench.layer.layer(origin.clone());
    let leader = service.clone().oneshot(request(Method::GET, "/", &[]));
    // Its head is there, and its body is never polled.
    let leader = leader.await.unwrap();
    let mut follower: Asked = get(&service, "/");
    assert!(crate::drive::poll_once(follower.as_mut()).is_pending());
    gate.open(1);
    assert_eq!(bounded(follower).await.body.len(), 200);
    assert_eq!(origin.calls(), 1);
    // What was read ahead is all there for the leader, late as it is.
    let rest = http_body_util::BodyExt::collect(leader.into_body());
    assert_eq!(bounded(rest).await.unwrap().to_bytes().len(), 200);
}

const CHUNK: usize = 64 << 10;
/// More than the socket buffers of both sides hold.
const CHUNKS: usize = 192;

fn large(call: usize, headers: &[(&str, &str)]) -> pitlane_testkit::Reply {
    let mark = if call == 1 { b'1' } else { b'2' };
    let chunk = Bytes::from(vec![mark; CHUNK]);
    let body = (0..CHUNKS).fold(Steps::new(), |body, _| body.data(chunk.clone()));
    body.reply(headers)
}

async fn slow_client(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let mut stream = socket.connect(server.address()).await.unwrap();
    let request = "GET / HTTP/1.1\r\nhost: site.test\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn follow(server: &Server) -> pitlane_testkit::Answer {
    let client = Client::new(Protocol::Http1);
    let request = Request::get(server.url("/")).header("host", "site.test");
    client.send(request.body(Default::default()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hardly_reads_stalls_nobody_who_waits_for_what_it_leads() {
    for run in 0..40 {
        let caches = Caches::builder().memory(128 << 20).max_body(32 << 20);
        let cache = caches.build().unwrap().get("default").unwrap();
        let origin = Origin::new(|_, call| async move { large(call, FRESH) });
        let layer = ResponseCacheLayer::new(&cache);
        let server = Server::start(layer.layer(origin.clone())).await;
        let mut slow = slow_client(&server).await;
        until(|| origin.calls() == 1).await;
        let mut byte = [0];
        bounded(slow.read_exact(&mut byte)).await.unwrap();
        let (one, two) = bounded(async { tokio::join!(follow(&server), follow(&server)) }).await;
        for answer in [one, two] {
            assert_eq!(answer.body.len(), CHUNK * CHUNKS, "run {run}");
            assert_eq!(answer.body[0], b'1', "run {run}: not collapsed");
        }
        assert_eq!(origin.calls(), 1, "run {run}");
        match run % 2 {
            // It is still there and gets what is left, or it has gone.
            0 => {
                bounded(slow.read_exact(&mut byte)).await.unwrap();
            }
            _ => drop(slow),
        }
        until(|| cache.in_flight() == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_of_a_body_over_the_limit_releases_those_who_wait() {
    for run in 0..10 {
        let cache = Caches::builder().build().unwrap().get("default").unwrap();
        let origin = Origin::new(|_, call| async move { large(call, FRESH) });
        let layer = ResponseCacheLayer::new(&cache);
        let server = Server::start(layer.layer(origin.clone())).await;
        let slow = slow_client(&server).await;
        until(|| origin.calls() == 1).await;
        let answer = bounded(follow(&server)).await;
        assert_eq!(answer.body.len(), CHUNK * CHUNKS, "run {run}");
        drop(slow);
        until(|| cache.in_flight() == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_at_random_leave_no_flight_behind() {
    let bench = bench();
    let origin = Origin::new(|request, call| async move {
        for _ in 0..call % 4 {
            tokio::task::yield_now().await;
        }
        if call.is_multiple_of(11) {
            quiet_panic();
        }
        let body = Steps::new().data("wh").then(async move {
            for _ in 0..call % 5 {
                tokio::task::yield_now().await;
            }
            if call.is_multiple_of(13) {
                quiet_panic();
            }
            Bytes::from_static(b"ole")
        });
        let cacheable = request.uri().path() != "/3";
        body.reply(if cacheable { FRESH } else { &[] })
    });
    let service = bench.layer.layer(origin);
    for round in 0..50 {
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let task = tokio::spawn(get(&service, &format!("/{}", number % 4)));
                (number, task)
            })
            .collect();
        for (number, task) in tasks {
            if (number + round) % 3 == 0 {
                for _ in 0..number % 5 {
                    tokio::task::yield_now().await;
                }
                task.abort();
            }
            if let Ok(answer) = bounded(task).await {
                assert_eq!(answer.text(), "whole");
            }
        }
        until(|| bench.cache.in_flight() == 0).await;
        let _ = bench.caches.clear("default").await.unwrap();
    }
}

#[tokio::test]
async fn what_a_leader_left_is_computed_anew_at_once() {
    let bench = bench();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::new(move |_, _| {
        let gate = held.clone();
        async move {
            gate.pass().await;
            Origin::reply(FRESH, "x")
        }
    });
    let service = bench.layer.layer(origin.clone());
    for left in 1..=3 {
        let mut leader = get(&service, "/");
        assert!(crate::drive::poll_once(leader.as_mut()).is_pending());
        assert_eq!((origin.calls(), bench.cache.in_flight()), (left, 1));
        drop(leader);
        assert_eq!(bench.cache.in_flight(), 0);
    }
    gate.open(1);
    let late = tokio::time::timeout(Duration::from_secs(20), get(&service, "/"));
    assert_eq!(late.await.expect("hung").text(), "x");
}
