//! Many requests at once for what is not there.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use pitlane::Outcome;
use pitlane_testkit::{Client, Gate, Origin, Protocol, Server};
use tower::Layer;

use crate::drive::{FRESH, NO_STORE, bench, bounded, get, until};

/// How many handlers run, and how many ran at once at most.
#[derive(Clone, Default)]
struct Crowd {
    inside: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Crowd {
    fn enter(&self) {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }

    fn inside(&self) -> usize {
        self.inside.load(Ordering::SeqCst)
    }
}

fn gated(crowd: &Crowd, gate: &Gate, headers: &'static [(&'static str, &'static str)]) -> Origin {
    let (crowd, gate) = (crowd.clone(), gate.clone());
    Origin::new(move |_, call| {
        let (crowd, gate) = (crowd.clone(), gate.clone());
        async move {
            crowd.enter();
            gate.pass().await;
            crowd.leave();
            Origin::reply(headers, call.to_string())
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uncacheable_requests_wait_for_one_leader_once_and_then_never_for_each_other() {
    let bench = bench();
    let (crowd, gate) = (Crowd::default(), Gate::new());
    let service = bench.layer.layer(gated(&crowd, &gate, NO_STORE));
    let burst = || -> Vec<_> { (0..20).map(|_| tokio::spawn(get(&service, "/"))).collect() };
    let first = burst();
    bounded(gate.arrival()).await;
    gate.open(1);
    // Its head releases all nineteen together: none of them waits for another.
    until(|| crowd.inside() == 19).await;
    gate.open(19);
    let mut bodies = Vec::new();
    for task in first {
        bodies.push(bounded(task).await.unwrap().body);
    }
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies.len(), 20, "an uncacheable answer was shared");
    for _ in 0..3 {
        let later = burst();
        until(|| crowd.inside() == 20).await;
        gate.open(20);
        for task in later {
            assert_eq!(bounded(task).await.unwrap().detail(), "no-store");
        }
    }
    assert_eq!(crowd.most.load(Ordering::SeqCst), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_uncacheable_head_releases_those_who_wait_before_its_body_is_read() {
    let bench = bench();
    let body = Gate::new();
    let held = body.clone();
    let origin = Origin::new(move |_, _| {
        let body = pitlane_testkit::Steps::new().gated(&held, "x");
        async move { body.reply(NO_STORE) }
    });
    let service = bench.layer.layer(origin.clone());
    let tasks: Vec<_> = (0..3).map(|_| tokio::spawn(get(&service, "/"))).collect();
    until(|| origin.calls() == 3).await;
    body.open(3);
    for task in tasks {
        assert_eq!(bounded(task).await.unwrap().text(), "x");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_at_once_for_one_cold_key_are_one_call() {
    for _ in 0..5 {
        let bench = bench();
        let (crowd, gate) = (Crowd::default(), Gate::new());
        let origin = gated(&crowd, &gate, FRESH);
        let service = bench.layer.layer(origin.clone());
        let tasks: Vec<_> = (0..1000)
            .map(|_| tokio::spawn(get(&service, "/")))
            .collect();
        bounded(gate.arrival()).await;
        gate.open(1000);
        for task in tasks {
            assert_eq!(bounded(task).await.unwrap().text(), "1");
        }
        assert_eq!(origin.calls(), 1);
        let collapsed = bench.cache.counts().into_iter();
        let told =
            collapsed.filter(|count| matches!(count.outcome, Outcome::Collapsed | Outcome::Hit));
        assert_eq!(told.map(|count| count.count).sum::<u64>(), 999);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_hundred_connections_one_cold_key_is_one_call() {
    let bench = bench();
    let (crowd, gate) = (Crowd::default(), Gate::new());
    let origin = gated(&crowd, &gate, FRESH);
    let server = Server::start(bench.layer.layer(origin.clone())).await;
    let url = server.url("/");
    let connections: Vec<_> = (0..100)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move {
                let client = Client::new(Protocol::Http1);
                for _ in 0..10 {
                    assert_eq!(client.get(&url, &[]).await.text(), "1");
                }
            })
        })
        .collect();
    bounded(gate.arrival()).await;
    gate.open(1000);
    for connection in connections {
        bounded(connection).await.unwrap();
    }
    assert_eq!(origin.calls(), 1);
}
