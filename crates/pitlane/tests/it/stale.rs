//! Stale answers: while something newer is fetched, and instead of an error.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Method, Request, StatusCode};
use pitlane::Clock;
use pitlane_testkit::{Answer, Gate, Origin, Reply, Steps};
use tower::Layer;

use crate::drive::{Bench, bench, bounded, get, request, try_send, until};

const REVALIDATE: &[(&str, &str)] = &[("cache-control", "max-age=60, stale-while-revalidate=600")];
const ON_ERROR: &[(&str, &str)] = &[("cache-control", "max-age=60, stale-if-error=600")];

fn past(clock: &Clock) {
    clock.advance(Duration::from_secs(61));
}

#[tokio::test]
async fn stale_answers_do_not_wait_for_the_one_refresh_that_runs() {
    let bench = bench();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::new(move |_, call| {
        let gate = held.clone();
        async move {
            if call > 1 {
                gate.pass().await;
            }
            Origin::reply(REVALIDATE, call.to_string())
        }
    });
    let service = bench.layer.layer(origin.clone());
    get(&service, "/").await;
    past(&bench.clock);
    for _ in 0..50 {
        let stale = bounded(get(&service, "/")).await;
        let found = (stale.detail(), stale.text());
        assert_eq!(found, ("stale-while-revalidate", "1"));
    }
    bounded(gate.arrival()).await;
    assert_eq!(origin.calls(), 2);
    gate.open(1);
    bounded(async {
        while get(&service, "/").await.text() != "2" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(origin.calls(), 2);
}

/// What a second call answers with; the first and all later ones are good.
async fn check_failed_refresh(second: fn() -> Reply) {
    let bench = bench();
    let origin = Origin::new(move |_, call| async move {
        match call {
            2 => second(),
            _ => Origin::reply(REVALIDATE, call.to_string()),
        }
    });
    let service = bench.layer.layer(origin.clone());
    get(&service, "/").await;
    past(&bench.clock);
    assert_eq!(get(&service, "/").await.text(), "1");
    until(|| origin.calls() == 2).await;
    // The failure is over when another refresh may begin.
    bounded(async {
        while origin.calls() < 3 {
            assert_eq!(get(&service, "/").await.text(), "1");
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_refresh_that_fails_leaves_the_stale_entry_and_another_may_follow() {
    check_failed_refresh(|| {
        let mut reply = Origin::reply(&[("cache-control", "max-age=60")], "broken");
        *reply.status_mut() = StatusCode::BAD_GATEWAY;
        reply
    })
    .await;
    check_failed_refresh(|| Steps::new().data("half").error().reply(REVALIDATE)).await;
    check_failed_refresh(|| Steps::new().data("x").claiming(9).reply(REVALIDATE)).await;
    // Without the message that a panic writes.
    check_failed_refresh(|| std::panic::resume_unwind(Box::new("in the handler"))).await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_hangs_does_not_block_later_ones_for_ever() {
    let bench = bench();
    let origin = Origin::new(move |_, call| async move {
        if call == 2 {
            std::future::pending::<()>().await;
        }
        Origin::reply(REVALIDATE, call.to_string())
    });
    let service = bench.layer.layer(origin.clone());
    get(&service, "/").await;
    past(&bench.clock);
    assert_eq!(get(&service, "/").await.text(), "1");
    while origin.calls() < 2 {
        tokio::task::yield_now().await;
    }
    // Runtime time stands still until all tasks wait: this passes the refresh's time limit.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(get(&service, "/").await.text(), "1");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let renewed = get(&service, "/").await;
    assert_eq!((renewed.detail(), renewed.text()), ("fresh", "3"));
}

#[tokio::test(start_paused = true)]
async fn who_waits_behind_a_hanging_refresh_takes_over_when_it_is_given_up() {
    let bench = bench();
    let origin = Origin::new(move |_, call| async move {
        if call == 2 {
            std::future::pending::<()>().await;
        }
        Origin::reply(REVALIDATE, call.to_string())
    });
    let service = bench.layer.layer(origin.clone());
    get(&service, "/").await;
    past(&bench.clock);
    get(&service, "/").await;
    while origin.calls() < 2 {
        tokio::task::yield_now().await;
    }
    bench.clock.advance(Duration::from_secs(3600));
    let late = tokio::time::timeout(Duration::from_secs(3600), get(&service, "/"));
    assert_eq!(late.await.expect("hung").text(), "3");
}

/// A backend that can break: with an answer of some status, or (0) without any.
#[derive(Clone)]
struct Backend {
    status: Arc<AtomicU16>,
    calls: Arc<AtomicUsize>,
    headers: &'static [(&'static str, &'static str)],
    gate: Option<Gate>,
}

impl<B: Send + 'static> tower::Service<Request<B>> for Backend {
    type Response = Reply;
    type Error = &'static str;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Reply, &'static str>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), &'static str>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let backend = self.clone();
        let call = backend.calls.fetch_add(1, Ordering::SeqCst) + 1;
        Box::pin(async move {
            if let Some(gate) = &backend.gate {
                gate.pass().await;
            }
            let status = backend.status.load(Ordering::SeqCst);
            let status = StatusCode::from_u16(status).map_err(|_| "no answer")?;
            let mut reply = Origin::reply(backend.headers, call.to_string());
            *reply.status_mut() = status;
            Ok(reply)
        })
    }
}

fn backend(headers: &'static [(&'static str, &'static str)]) -> Backend {
    Backend {
        status: Arc::new(AtomicU16::new(200)),
        calls: Arc::default(),
        headers,
        gate: None,
    }
}

/// Stores, lets it go stale, breaks the backend, and asks again.
async fn broken(
    headers: &'static [(&'static str, &'static str)],
    status: u16,
    soft: bool,
) -> Result<Answer, String> {
    let Bench {
        caches,
        clock,
        layer,
        ..
    } = bench();
    let backend = backend(headers);
    let service = layer.layer(backend.clone());
    let ask = || try_send(service.clone(), request(Method::GET, "/", &[]));
    assert_eq!(ask().await.unwrap().text(), "1");
    if soft {
        let everything = pitlane::Invalidation::default()
            .add_url("http://site.test/")
            .unwrap();
        let _ = caches.publish(everything.soft()).await.unwrap();
    } else {
        past(&clock);
    }
    backend.status.store(status, Ordering::SeqCst);
    ask().await
}

#[tokio::test]
async fn an_error_is_answered_with_what_is_stale_and_a_refusal_is_not() {
    for soft in [false, true] {
        for status in [0, 500, 502, 503, 504] {
            let stale = broken(ON_ERROR, status, soft).await.unwrap();
            let found = (stale.status, stale.text(), stale.detail());
            assert_eq!(found, (StatusCode::OK, "1", "stale-if-error"), "{status}");
        }
        for status in [404, 410, 403, 501, 429] {
            let answer = broken(ON_ERROR, status, soft).await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.is_hit()), (status, false));
        }
    }
}

#[tokio::test]
async fn nothing_stale_is_served_where_revalidation_is_demanded() {
    for headers in [
        &[(
            "cache-control",
            "max-age=60, stale-if-error=600, must-revalidate",
        )][..],
        &[(
            "cache-control",
            "max-age=60, stale-if-error=600, proxy-revalidate",
        )],
        &[("cache-control", "s-maxage=60, stale-if-error=600")],
        &[("cache-control", "max-age=60")],
    ] {
        assert_eq!(broken(headers, 503, false).await.unwrap().status, 503);
        let error = broken(headers, 0, false).await.unwrap_err();
        assert!(error.contains("no answer"), "{headers:?}");
    }
}

#[tokio::test]
async fn an_invalidated_entry_is_not_served_instead_of_an_error() {
    let bench = bench();
    let backend = backend(ON_ERROR);
    let service = bench.layer.layer(backend.clone());
    let ask = || try_send(service.clone(), request(Method::GET, "/", &[]));
    ask().await.unwrap();
    past(&bench.clock);
    let url = pitlane::Invalidation::default()
        .add_url("http://site.test/")
        .unwrap();
    let _ = bench.caches.publish(url).await.unwrap();
    backend.status.store(503, Ordering::SeqCst);
    assert_eq!(ask().await.unwrap().status, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_waited_for_a_failure_get_what_is_stale() {
    for status in [0, 503] {
        let bench = bench();
        let mut backend = backend(ON_ERROR);
        let gate = Gate::new();
        backend.gate = Some(gate.clone());
        let service = bench.layer.layer(backend.clone());
        let ask = || try_send(service.clone(), request(Method::GET, "/", &[]));
        gate.open(1);
        ask().await.unwrap();
        gate.arrival().await;
        past(&bench.clock);
        backend.status.store(status, Ordering::SeqCst);
        let tasks: Vec<_> = (0..20).map(|_| tokio::spawn(ask())).collect();
        bounded(gate.arrival()).await;
        // Whoever comes after the flight begins another: all of them fail.
        gate.open(20);
        for task in tasks {
            let stale = bounded(task).await.unwrap().unwrap();
            assert_eq!((stale.text(), stale.detail()), ("1", "stale-if-error"));
        }
    }
}
