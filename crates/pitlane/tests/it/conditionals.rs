//! Preconditions: answered from the store, hidden from a fill.

use http::{Method, StatusCode};
use pitlane_testkit::{Origin, Reply, Steps};
use tower::Layer;

use crate::drive::{FRESH, ask, bench, get};

const CONDITIONS: [&str; 5] = [
    "if-none-match",
    "if-modified-since",
    "if-match",
    "if-unmodified-since",
    "if-range",
];

async fn tagged(request: http::Request<()>, _: usize) -> Reply {
    let seen = CONDITIONS
        .iter()
        .any(|name| request.headers().contains_key(*name));
    assert!(!seen, "the handler saw a precondition: {request:?}");
    Origin::reply(&[FRESH[0], ("etag", "\"v1\""), ("x-extra", "1")], "body")
}

#[track_caller]
fn check(answer: &pitlane_testkit::Answer, status: StatusCode, request: &str) {
    assert_eq!(answer.status, status, "{request}");
    let known = status == StatusCode::NOT_MODIFIED;
    assert_eq!(answer.body.is_empty(), known, "{request}");
    assert_eq!(answer.header("etag"), "\"v1\"", "{request}");
    assert_eq!(answer.headers.contains_key("x-extra"), !known, "{request}");
}

#[tokio::test]
async fn lists_and_weak_tags_are_answered_304_from_a_hit_and_from_a_whole_miss() {
    for (tags, known) in [
        ("\"v1\"", true),
        ("W/\"v1\"", true),
        ("\"a\", \"v1\"", true),
        ("\"a\",W/\"v1\" , \"b\"", true),
        ("*", true),
        ("\"v2\"", false),
        ("\"a, v1\"", false),
        ("v1", false),
    ] {
        let bench = bench();
        let service = bench.layer.layer(Origin::new(tagged));
        let status = match known {
            true => StatusCode::NOT_MODIFIED,
            false => StatusCode::OK,
        };
        for what in ["miss", "hit"] {
            let headers = [("if-none-match", tags)];
            let answer = ask(&service, Method::GET, "/", &headers).await;
            check(&answer, status, &format!("{what} {tags}"));
            assert_eq!(answer.is_hit(), what == "hit");
        }
        // What the conditional miss stored is whole.
        check(&get(&service, "/").await, StatusCode::OK, tags);
    }
}

#[tokio::test]
async fn a_fill_hides_every_precondition_from_the_handler() {
    for name in CONDITIONS {
        let bench = bench();
        let service = bench.layer.layer(Origin::new(tagged));
        let value = match name {
            "if-none-match" | "if-match" | "if-range" => "\"v1\"",
            _ => "Tue, 14 Nov 2023 22:13:20 GMT",
        };
        ask(&service, Method::GET, "/", &[(name, value)]).await;
        let hit = get(&service, "/").await;
        assert_eq!((hit.is_hit(), hit.text()), (true, "body"), "{name}");
    }
}

#[tokio::test]
async fn a_conditional_miss_that_streams_is_answered_whole() {
    let bench = bench();
    let origin = Origin::new(|_, _| async {
        let body = Steps::new().data("a").data("b").data("c");
        body.reply(&[FRESH[0], ("etag", "\"v1\"")])
    });
    let service = bench.layer.layer(origin);
    let headers = [("if-none-match", "\"v1\"")];
    let miss = ask(&service, Method::GET, "/", &headers).await;
    assert_eq!((miss.status, miss.text()), (StatusCode::OK, "abc"));
    let hit = ask(&service, Method::GET, "/", &headers).await;
    assert_eq!((hit.status, hit.text()), (StatusCode::NOT_MODIFIED, ""));
}

#[tokio::test]
async fn a_304_that_a_handler_makes_up_is_never_stored() {
    let bench = bench();
    let origin = Origin::new(|_, call| async move {
        let mut reply = Origin::reply(FRESH, "");
        if call == 1 {
            *reply.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            reply = Origin::reply(FRESH, "body");
        }
        reply
    });
    let service = bench.layer.layer(origin);
    get(&service, "/").await;
    let next = get(&service, "/").await;
    assert_eq!((next.status, next.text()), (StatusCode::OK, "body"));
}
