//! Answers that depend on request headers.

use http::Method;
use pitlane_testkit::{Gate, Origin};
use tower::Layer;

use crate::drive::{ask, bench, bounded, get};

/// Answers with what it was asked for in two headers, and varies on both.
fn echo() -> Origin {
    Origin::new(|request, call| async move {
        let header = |name| {
            let value = request.headers().get(name);
            value.map_or_else(
                || "-".to_owned(),
                |value| value.to_str().unwrap().to_owned(),
            )
        };
        let body = format!("{} {} {call}", header("x-a"), header("x-b"));
        let headers = [("cache-control", "max-age=60"), ("vary", "X-A, x-b")];
        Origin::reply(&headers, body)
    })
}

#[tokio::test]
async fn variants_of_several_headers_never_mix() {
    let bench = bench();
    let origin = echo();
    let service = bench.layer.layer(origin.clone());
    let values = ["", "1", "2", "1, 2", "x-b", "1x-b"];
    for round in 0..2 {
        for a in values {
            for b in values.iter().take(5) {
                let answer = ask(&service, Method::GET, "/", &[("x-a", a), ("x-b", b)]).await;
                assert!(
                    answer.text().starts_with(&format!("{a} {b} ")),
                    "{a:?} {b:?}"
                );
                assert_eq!(answer.is_hit(), round == 1, "{a:?} {b:?}");
            }
        }
    }
    // Absent is not empty.
    assert!(get(&service, "/").await.text().starts_with("- - "));
    assert_eq!(origin.calls(), 31);
}

#[tokio::test]
async fn the_thirty_third_variant_passes_and_the_first_ones_go_on_to_hit() {
    let bench = bench();
    let origin = echo();
    let service = bench.layer.layer(origin.clone());
    for number in 0..40 {
        let number = number.to_string();
        let answer = ask(&service, Method::GET, "/", &[("x-a", &number)]).await;
        assert!(answer.text().starts_with(&format!("{number} - ")));
    }
    for (number, hit) in [(0, true), (31, true), (32, false), (39, false)] {
        let number = number.to_string();
        let answer = ask(&service, Method::GET, "/", &[("x-a", &number)]).await;
        assert_eq!(answer.is_hit(), hit, "variant {number}");
        assert!(answer.text().starts_with(&format!("{number} - ")));
    }
    assert_eq!(origin.calls(), 42);
}

#[tokio::test]
async fn a_vary_that_grows_between_answers_never_shows_a_variant_to_the_wrong_client() {
    let bench = bench();
    let origin = Origin::new(|request, call| async move {
        let header = |name| {
            let value = request.headers().get(name);
            value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
        };
        // The language matters only to those whom the device says to be phones.
        let (device, language) = (header("device"), header("language"));
        let (vary, body) = match device.as_str() {
            "phone" => ("device, language", format!("{device} {language} {call}")),
            _ => ("device", format!("{device} any {call}")),
        };
        Origin::reply(&[("cache-control", "max-age=60"), ("vary", vary)], body)
    });
    let service = bench.layer.layer(origin);
    for _ in 0..3 {
        for (device, language) in [
            ("desk", "en"),
            ("phone", "en"),
            ("phone", "fi"),
            ("desk", "fi"),
            ("phone", "en"),
            ("desk", "en"),
        ] {
            let headers = [("device", device), ("language", language)];
            let answer = ask(&service, Method::GET, "/", &headers).await;
            let own = match device {
                "phone" => format!("{device} {language} "),
                _ => "desk any ".to_owned(),
            };
            assert!(
                answer.text().starts_with(&own),
                "{headers:?}: {}",
                answer.text()
            );
        }
    }
    let headers = [("device", "phone"), ("language", "fi")];
    assert!(ask(&service, Method::GET, "/", &headers).await.is_hit());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_at_once_for_ten_variants_get_their_own() {
    for round in 0..5 {
        let bench = bench();
        let origin = echo();
        let service = bench.layer.layer(origin.clone());
        let tasks: Vec<_> = (0..1000)
            .map(|number| {
                let number = (number % 10).to_string();
                let answer = ask(&service, Method::GET, "/", &[("x-a", &number)]);
                tokio::spawn(async move {
                    assert!(answer.await.text().starts_with(&format!("{number} - ")));
                })
            })
            .collect();
        for task in tasks {
            bounded(task).await.unwrap();
        }
        // At worst one more for each variant when the first answer shows that there are any.
        assert!(
            origin.calls() <= 20,
            "round {round}: {} calls",
            origin.calls()
        );
    }
}

#[tokio::test]
async fn those_who_wait_for_another_variant_compute_their_own_once() {
    let bench = bench();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::new(move |request, call| {
        let gate = held.clone();
        async move {
            gate.pass().await;
            let a = request.headers()["x-a"].to_str().unwrap().to_owned();
            let headers = [("cache-control", "max-age=60"), ("vary", "x-a")];
            Origin::reply(&headers, format!("{a} {call}"))
        }
    });
    let service = bench.layer.layer(origin.clone());
    let tasks: Vec<_> = ["1", "2", "1", "2", "2"]
        .into_iter()
        .map(|a| {
            let answer = ask(&service, Method::GET, "/", &[("x-a", a)]);
            tokio::spawn(async move { assert!(answer.await.text().starts_with(a)) })
        })
        .collect();
    bounded(gate.arrival()).await;
    gate.open(2);
    for task in tasks {
        bounded(task).await.unwrap();
    }
    assert_eq!(origin.calls(), 2);
}

#[tokio::test]
async fn an_encoded_answer_that_forgot_to_vary_is_for_those_who_accept_it() {
    let bench = bench();
    let origin = Origin::new(|request, call| async move {
        let mut headers = vec![("cache-control", "max-age=60")];
        if request
            .headers()
            .get("accept-encoding")
            .is_some_and(|value| value == "gzip")
        {
            headers.push(("content-encoding", "gzip"));
        }
        Origin::reply(&headers, call.to_string())
    });
    let service = bench.layer.layer(origin.clone());
    for hit in [false, true] {
        for (coding, encoded) in [("gzip", "gzip"), ("identity", "")] {
            let answer = ask(&service, Method::GET, "/", &[("accept-encoding", coding)]).await;
            assert_eq!(answer.header("content-encoding"), encoded);
            assert_eq!(answer.is_hit(), hit, "{coding}");
        }
    }
}
