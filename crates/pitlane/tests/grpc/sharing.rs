//! Calls at the same time: one computation for all, and nobody waits for nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::BodyExt;
use pitlane::{Outcome, Reason};
use pitlane_testkit::{Gate, Server};
use tokio::time::timeout;
use tower::Layer;

use crate::client::{Client, a_moment, full};
use crate::fixture::{CACHED, DEADLINE, Echo, bench, ended, message, ok, open, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_calls_at_once_make_one_call_of_the_handler() {
    let bench = bench();
    let gate = Gate::new();
    let inside = gate.clone();
    let echo = Echo::new(move |seen| {
        let gate = inside.clone();
        async move {
            gate.pass().await;
            ok(&seen.call.to_string())
        }
    });
    let server = Server::start(bench.layer.layer(echo.clone())).await;
    let client = Client::connect(&server).await;
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.call("a").await })
        })
        .collect();
    gate.arrival().await;
    gate.open(100);
    let mut collapsed = 0;
    for call in calls {
        let answer = call.await.unwrap();
        assert_eq!((answer.text(), answer.grpc_status()), ("1", "0"));
        collapsed += usize::from(answer.detail() == "collapsed");
    }
    assert_eq!(echo.calls(), 1);
    let counts = bench.cache.counts();
    let total: u64 = counts.iter().map(|count| count.count).sum();
    assert_eq!(total, 100);
    let counted = counts
        .iter()
        .find(|count| count.outcome == Outcome::Collapsed);
    assert_eq!(counted.map_or(0, |count| count.count), collapsed as u64);
}

#[tokio::test]
async fn a_caller_that_leaves_hands_the_work_on() {
    let bench = bench();
    let gate = Gate::new();
    let inside = gate.clone();
    let echo = Echo::new(move |seen| {
        let gate = inside.clone();
        async move {
            gate.pass().await;
            ok(&seen.call.to_string())
        }
    });
    let server = Server::start(bench.layer.layer(echo.clone())).await;
    let impatient = Client::connect(&server).await;
    let first = tokio::spawn(async move { impatient.call("a").await });
    gate.arrival().await;
    let patient = Client::connect(&server).await;
    let second = tokio::spawn(async move { patient.call("a").await });
    bench.until_asked(2).await;
    // Its connection goes with it, and the handler's future is dropped.
    first.abort();
    timeout(DEADLINE, gate.arrival())
        .await
        .expect("somebody else computes");
    gate.open(2);
    assert_eq!(second.await.unwrap().text(), "2");
    assert_eq!(bench.cache.in_flight(), 0);
}

#[tokio::test]
async fn a_short_deadline_is_hidden_from_a_computation_that_others_wait_for() {
    let bench = bench();
    let echo = Echo::reflecting();
    let server = Server::start(bench.layer.layer(echo)).await;
    let client = Client::connect(&server).await;
    let answer = client.call_with("a", &[("grpc-timeout", "1m")]).await;
    assert!(!answer.text().contains("grpc-timeout"), "{}", answer.text());
    // What is not cached keeps it.
    let metadata = [("grpc-timeout", "1m"), ("authorization", "x")];
    let passed = client.call_with("a", &metadata).await;
    assert!(
        passed.text().contains("grpc-timeout=1m"),
        "{}",
        passed.text()
    );
}

/// A handler that is held at the gate and then answers with a status.
fn failing(gate: &Gate, status: &'static str) -> Echo {
    let gate = gate.clone();
    Echo::new(move |seen| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            ended(&seen.call.to_string(), &[("grpc-status", status)])
        }
    })
}

#[tokio::test]
async fn an_error_lets_everybody_go_at_once() {
    for status in ["5", "14"] {
        let bench = bench();
        let gate = Gate::new();
        let echo = failing(&gate, status);
        let server = Server::start(bench.layer.layer(echo)).await;
        let client = Client::connect(&server).await;
        let call = || {
            let client = client.clone();
            tokio::spawn(async move { client.call("a").await })
        };
        let mut calls = vec![call()];
        gate.arrival().await;
        calls.extend((0..9).map(|_| call()));
        bench.until_asked(10).await;
        gate.open(1);
        // All the others are in the handler together before any of them is let through.
        for _ in 0..9 {
            let arrival = timeout(DEADLINE, gate.arrival()).await;
            arrival.expect("nobody waits for another");
        }
        gate.open(9);
        for call in calls {
            assert_eq!(call.await.unwrap().grpc_status(), status);
        }
    }
}

#[tokio::test]
async fn calls_of_what_was_an_error_do_not_wait_at_all() {
    let bench = bench();
    let gate = Gate::new();
    let echo = failing(&gate, "5");
    let server = Server::start(bench.layer.layer(echo)).await;
    let client = Client::connect(&server).await;
    gate.open(1);
    client.call("a").await;
    gate.arrival().await;
    let call = || {
        let client = client.clone();
        tokio::spawn(async move { client.call("a").await })
    };
    let calls = [call(), call()];
    for _ in 0..2 {
        let arrival = timeout(DEADLINE, gate.arrival()).await;
        arrival.expect("nobody waits for another");
    }
    gate.open(2);
    for call in calls {
        let told = "pitlane; fwd=bypass; detail=grpc-status";
        assert_eq!(call.await.unwrap().cache_status(), told);
    }
}

#[tokio::test]
async fn what_was_an_error_is_stored_as_soon_as_it_is_none() {
    let bench = bench();
    let echo = Echo::new(|seen| async move {
        let status = if seen.call < 3 { "5" } else { "0" };
        ended(&seen.call.to_string(), &[("grpc-status", status)])
    });
    let server = Server::start(bench.layer.layer(echo)).await;
    let client = Client::connect(&server).await;
    assert_eq!(client.call("a").await.detail(), "grpc-status");
    assert_eq!(client.call("a").await.detail(), "grpc-status");
    assert_eq!(client.call("a").await.detail(), "hit-for-miss");
    assert!(client.call("a").await.is_hit());
}

#[tokio::test]
async fn a_failure_of_the_moment_is_not_remembered() {
    let bench = bench();
    let echo = Echo::new(|seen| async move {
        let status = if seen.call == 1 { "14" } else { "0" };
        ended(&seen.call.to_string(), &[("grpc-status", status)])
    });
    let server = Server::start(bench.layer.layer(echo)).await;
    let client = Client::connect(&server).await;
    client.call("a").await;
    assert_eq!(client.call("a").await.detail(), "uri-miss");
}

/// A handler whose only answer is written by the test.
fn written(bench_reply: crate::fixture::Reply) -> Echo {
    let reply = Arc::new(Mutex::new(Some(bench_reply)));
    Echo::new(move |seen| {
        let reply = reply.lock().unwrap().take();
        async move { reply.unwrap_or_else(|| ok(&seen.call.to_string())) }
    })
}

#[tokio::test]
async fn a_client_that_does_not_read_stalls_nobody() {
    let bench = bench();
    let (writer, reply) = open(&[]);
    let echo = written(reply);
    let server = Server::start(bench.layer.layer(echo.clone())).await;
    let slow = Client::connect(&server).await;
    let unread = slow
        .open(slow.request(CACHED, &[], full(message("a"))))
        .await;
    let client = Client::connect(&server).await;
    let waiting = tokio::spawn(async move { client.call("a").await });
    bench.until_asked(2).await;
    // More than the client's window and the server's buffer: it can't all be on its way.
    let text = "x".repeat(1000 << 10);
    let whole = message(&text);
    for at in (0..whole.len()).step_by(16 << 10) {
        writer.data(whole.slice(at..whole.len().min(at + (16 << 10))));
    }
    writer.trailers(&[("grpc-status", "0")]);
    let answer = waiting.await.unwrap();
    assert_eq!((answer.text(), answer.detail()), (&*text, "collapsed"));
    // And the slow one still gets all of it.
    let body = unread.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes(), message(&text));
    assert_eq!(echo.calls(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_takes_the_answer_from_nobody() {
    let bench = bench();
    let (writer, reply) = open(&[]);
    let echo = written(reply);
    let server = Server::start(bench.layer.layer(echo.clone())).await;
    let leaving = Client::connect(&server).await;
    let response = leaving
        .open(leaving.request(CACHED, &[], full(message("a"))))
        .await;
    let client = Client::connect(&server).await;
    let waiting = tokio::spawn(async move { client.call("a").await });
    bench.until_asked(2).await;
    drop(response);
    a_moment().await;
    writer.data(message("late"));
    writer.trailers(&[("grpc-status", "0")]);
    let answer = waiting.await.unwrap();
    assert_eq!((answer.text(), answer.detail()), ("late", "collapsed"));
    assert_eq!(echo.calls(), 1);
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_ends_with_its_client() {
    let bench = bench();
    let (writer, reply) = open(&[]);
    let echo = written(reply);
    let server = Server::start(bench.layer.layer(echo.clone())).await;
    let leaving = Client::connect(&server).await;
    let response = leaving
        .open(leaving.request(CACHED, &[], full(message("a"))))
        .await;
    drop(response);
    timeout(DEADLINE, writer.closed())
        .await
        .expect("nobody reads on");
    until("the work is given up", || bench.cache.in_flight() == 0).await;
    assert_eq!(bench.cache.fills(), [(Reason::Abandoned, 1)]);
    let client = Client::connect(&server).await;
    assert_eq!(client.call("a").await.text(), "2");
}

#[tokio::test]
async fn who_waits_behind_a_stream_is_let_go_at_its_second_message() {
    let bench = bench();
    let (writer, reply) = open(&[]);
    let echo = written(reply);
    let server = Server::start(bench.layer.layer(echo.clone())).await;
    let reading = Client::connect(&server).await;
    let mut response = reading
        .open(reading.request(CACHED, &[], full(message("a"))))
        .await;
    let client = Client::connect(&server).await;
    let waiting = tokio::spawn(async move { client.call("a").await });
    bench.until_asked(2).await;
    writer.data(message("one"));
    writer.data(message("two"));
    assert_eq!(waiting.await.unwrap().text(), "2");
    // The stream goes on, at its own client's pace.
    for item in ["one", "two", "three"] {
        if item == "three" {
            writer.data(message(item));
        }
        let frame = timeout(Duration::from_secs(10), response.body_mut().frame());
        let frame = frame.await.expect("in time").unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), message(item));
    }
}
