//! Requests that only ask why, and the trace that they don't leave.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Empty;
use pitlane::{
    Caches, Clock, ErrorKind, Outcome, Profile, Reason, ResponseCacheLayer, Timestamp,
    explain::{Asking, Explanation, Stage},
};
use pitlane_testkit::{Gate, Origin};
use tower::{Layer, Service};

use crate::drive::{FRESH, NO_STORE, bench, bounded, get, request, try_send};

/// Asks why, and drops the answer once it was read.
async fn why<S, R>(service: &S, request: Request<Empty<Bytes>>) -> Vec<Explanation>
where
    S: Service<Request<Empty<Bytes>>, Response = http::Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: std::fmt::Debug + Send,
    R: http_body::Body<Data = Bytes> + Send,
    R::Error: std::fmt::Debug + Send,
{
    let (request, asked) = Asking::mark(request).unwrap();
    let _ = try_send(service.clone(), request).await;
    asked.explanations()
}

async fn why_get<S, R>(service: &S, path: &str) -> Explanation
where
    S: Service<Request<Empty<Bytes>>, Response = http::Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: std::fmt::Debug + Send,
    R: http_body::Body<Data = Bytes> + Send,
    R::Error: std::fmt::Debug + Send,
{
    let request = request(Method::GET, path, &[]);
    let mut all = why(service, request).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn stages(explanation: &Explanation) -> Vec<Stage> {
    explanation.steps.iter().map(|step| step.stage).collect()
}

#[tokio::test]
async fn a_miss_is_computed_and_told_and_leaves_nothing() {
    let bench = bench();
    let origin = Origin::counting(FRESH);
    let service = bench.layer.layer(origin.clone());
    for _ in 0..2 {
        let told = why_get(&service, "/a?b=1").await;
        assert_eq!(
            (told.outcome, told.reason),
            (Outcome::Miss, Reason::UriMiss)
        );
        assert!(told.stored);
        assert_eq!(told.key.as_deref(), Some("site.test/a?b=1"));
        let entry = told.entry.as_ref().unwrap();
        assert_eq!(entry.status, 200);
        assert_eq!((entry.lifetime_seconds, entry.ttl_seconds), (60.0, 60.0));
        let expected = [
            Stage::Request,
            Stage::Memory,
            Stage::Handler,
            Stage::Response,
            Stage::Body,
            Stage::Answer,
            Stage::Reuse,
        ];
        assert_eq!(stages(&told), expected);
    }
    assert_eq!(origin.calls(), 2);
    assert_eq!(bench.cache.counts(), []);
    assert_eq!(bench.cache.fills(), []);
    assert_eq!(bench.cache.memory().entries, 0);
    assert_eq!(bench.cache.in_flight(), 0);
    // The next request is a first one.
    assert_eq!(get(&service, "/a?b=1").await.detail(), "uri-miss");
}

#[tokio::test]
async fn a_hit_is_told_from_what_is_stored_and_calls_nobody() {
    let bench = bench();
    let origin = Origin::counting(FRESH);
    let service = bench.layer.layer(origin.clone());
    get(&service, "/a").await;
    bench.clock.advance(Duration::from_secs(12));
    let before = bench.cache.counts();
    let told = why_get(&service, "/a").await;
    assert_eq!((told.outcome, told.reason), (Outcome::Hit, Reason::Fresh));
    let entry = told.entry.unwrap();
    assert_eq!((entry.age_seconds, entry.ttl_seconds), (12.0, 48.0));
    assert_eq!(told.advice, None);
    assert_eq!(origin.calls(), 1);
    assert_eq!(bench.cache.counts(), before);
}

#[tokio::test]
async fn why_something_is_not_stored_is_one_sentence_and_what_to_change_another() {
    let bench = bench();
    let service = bench.layer.layer(Origin::new(|_, _| async {
        let headers = [
            ("cache-control", "max-age=60"),
            ("set-cookie", "session=SECRET; Path=/"),
            ("set-cookie", "theme=SECRET"),
        ];
        Origin::reply(&headers, "x")
    }));
    let told = why_get(&service, "/").await;
    assert_eq!(told.reason, Reason::SetCookie);
    assert_eq!(
        told.sentence,
        "The response sets a cookie: `session`, `theme`."
    );
    assert_eq!(told.advice.as_deref(), Reason::SetCookie.advice());
    assert!(!told.stored && told.entry.is_none());
    let json = serde_json::to_string(&told).unwrap();
    assert!(!json.contains("SECRET") && !format!("{told:?} {told}").contains("SECRET"));
    let back: Explanation = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), json);
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_remembered_by_explaining() {
    let bench = bench();
    let service = bench.layer.layer(Origin::counting(NO_STORE));
    let told = why_get(&service, "/").await;
    assert_eq!(told.reason, Reason::NoStore);
    assert_eq!(
        told.sentence,
        "The response says no-store: `cache-control: no-store`."
    );
    assert_eq!(bench.cache.memory().entries, 0);
    let first = get(&service, "/").await;
    assert_eq!(
        first.header("cache-status"),
        "pitlane; fwd=uri-miss; detail=no-store"
    );
    // Now it is remembered, and that is told too.
    let told = why_get(&service, "/").await;
    let memory = told
        .steps
        .iter()
        .find(|step| step.stage == Stage::Memory)
        .unwrap();
    assert_eq!(memory.reason, Some(Reason::HitForMiss));
    assert_eq!(told.reason, Reason::NoStore);
}

/// Whoever asks computes apart: nobody waits for it, and it disturbs nobody.
#[tokio::test]
async fn a_flight_is_seen_and_neither_joined_nor_begun() {
    let bench = bench();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::new(move |_, call| {
        let held = held.clone();
        async move {
            if call == 1 {
                held.pass().await;
            }
            Origin::reply(FRESH, call.to_string())
        }
    });
    let service = bench.layer.layer(origin.clone());
    let first = tokio::spawn(get(&service, "/"));
    bounded(gate.arrival()).await;
    let told = bounded(why_get(&service, "/")).await;
    assert_eq!(
        (told.outcome, told.reason),
        (Outcome::Collapsed, Reason::Collapsed)
    );
    assert!(stages(&told).contains(&Stage::Flight));
    assert_eq!(origin.calls(), 2);
    gate.open(1);
    let first = bounded(first).await.unwrap();
    assert_eq!(first.body, "1");
    assert_eq!(get(&service, "/").await.body, "1");
}

#[tokio::test]
async fn a_stale_answer_is_told_and_nobody_renews_it() {
    let bench = bench();
    let origin = Origin::counting(&[("cache-control", "max-age=10, stale-while-revalidate=30")]);
    let service = bench.layer.layer(origin.clone());
    get(&service, "/").await;
    bench.clock.advance(Duration::from_secs(15));
    let told = why_get(&service, "/").await;
    assert_eq!(
        (told.outcome, told.reason),
        (Outcome::Stale, Reason::StaleWhileRevalidate)
    );
    assert_eq!(told.entry.unwrap().ttl_seconds, -5.0);
    // A renewal would have been a task of its own.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!((origin.calls(), bench.caches.background()), (1, 0));
}

/// Thirty-two variants of a URI are kept: one more is refused, and asking takes nobody's place.
#[tokio::test]
async fn asking_takes_no_variants_place() {
    let bench = bench();
    let service = bench.layer.layer(Origin::counting(&[
        ("cache-control", "max-age=60"),
        ("vary", "x-kind"),
    ]));
    for kind in 0..31 {
        let kind = kind.to_string();
        crate::drive::ask(&service, Method::GET, "/", &[("x-kind", &kind)]).await;
    }
    for kind in ["a", "b", "c"] {
        let asked = request(Method::GET, "/", &[("x-kind", kind)]);
        let told = why(&service, asked).await.remove(0);
        assert_eq!(told.reason, Reason::VaryMiss, "{kind}");
        assert_eq!(told.entry.unwrap().vary, ["x-kind"]);
    }
    let last = crate::drive::ask(&service, Method::GET, "/", &[("x-kind", "31")]).await;
    assert_eq!(
        last.header("cache-status"),
        "pitlane; fwd=vary-miss; stored; detail=vary-miss"
    );
    let asked = request(Method::GET, "/", &[("x-kind", "d")]);
    assert_eq!(why(&service, asked).await[0].reason, Reason::VaryLimit);
}

#[tokio::test]
async fn each_layer_tells_the_outermost_first() {
    let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let caches = Caches::builder().cache("outer").cache("inner").clock(clock);
    let caches = caches.build().unwrap();
    let outer = ResponseCacheLayer::new(&caches.get("outer").unwrap());
    let inner = ResponseCacheLayer::new(&caches.get("inner").unwrap()).enabled(false);
    let service = outer.layer(inner.layer(Origin::counting(FRESH)));
    let told = why(&service, request(Method::GET, "/", &[])).await;
    let told: Vec<_> = told
        .iter()
        .map(|told| (&*told.cache, told.reason))
        .collect();
    assert_eq!(
        told,
        [("outer", Reason::UriMiss), ("inner", Reason::Disabled)]
    );
}

#[test]
fn what_may_change_something_is_not_asked_about() {
    for method in [Method::POST, Method::DELETE, Method::OPTIONS, Method::QUERY] {
        let error = Asking::mark(request(method, "/", &[])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Explain);
        assert!(error.to_string().starts_with("only GET and HEAD"));
    }
}

/// A header is what anybody can send; the mark is none.
#[tokio::test]
async fn no_header_marks_a_request() {
    let bench = bench();
    let service = bench.layer.layer(Origin::counting(FRESH));
    let _live = Asking::mark(request(Method::GET, "/other", &[])).unwrap();
    let headers = [("pitlane-explain", "1"), ("x-explain", "1")];
    crate::drive::ask(&service, Method::GET, "/", &headers).await;
    assert_eq!(bench.cache.counts().len(), 1);
    assert_eq!(get(&service, "/").await.detail(), "fresh");
}

/// Something outside has made a write of a request that was marked: it is done with all that
/// follows from it.
#[tokio::test]
async fn a_write_in_the_place_of_a_marked_request_still_invalidates() {
    let bench = bench();
    let service = bench.layer.layer(Origin::counting(FRESH));
    get(&service, "/a").await;
    let (mut asked, _live) = Asking::mark(request(Method::GET, "/a", &[])).unwrap();
    *asked.method_mut() = Method::DELETE;
    try_send(service.clone(), asked).await.unwrap();
    let counts = bench.cache.counts();
    let write = counts.iter().find(|count| count.reason == Reason::Method);
    assert_eq!(write.unwrap().count, 1);
    assert_eq!(get(&service, "/a").await.detail(), "invalidated");
}

#[tokio::test]
async fn an_answer_that_was_not_read_is_told_as_left() {
    let bench = bench();
    let service = bench.layer.layer(Origin::new(|_, _| async {
        let (mut sender, body) = http_body_util::channel::Channel::<Bytes, _>::new(1);
        tokio::spawn(async move {
            let _ = sender.send_data(Bytes::from_static(b"a")).await;
            std::future::pending::<()>().await;
        });
        let body = http_body_util::combinators::UnsyncBoxBody::new(body);
        let mut reply = Origin::reply(FRESH, "").map(|_| body);
        reply.headers_mut().remove("content-length");
        reply
    }));
    let (request, asked) = Asking::mark(request(Method::GET, "/", &[])).unwrap();
    let answer = tower::ServiceExt::oneshot(service, request).await.unwrap();
    drop(answer);
    let told = asked.explanations().remove(0);
    assert_eq!((told.reason, told.stored), (Reason::Abandoned, false));
}

#[tokio::test]
async fn a_layer_that_has_not_answered_tells_nothing_yet() {
    let bench = bench();
    let gate = Arc::new(Gate::new());
    let held = Arc::clone(&gate);
    let service = bench.layer.layer(Origin::new(move |_, _| {
        let held = Arc::clone(&held);
        async move {
            held.pass().await;
            Origin::reply(FRESH, "")
        }
    }));
    let (request, asked) = Asking::mark(request(Method::GET, "/", &[])).unwrap();
    let under_way = tokio::spawn(try_send(service, request));
    bounded(gate.arrival()).await;
    assert!(asked.explanations().is_empty());
    gate.open(1);
    bounded(under_way).await.unwrap().unwrap();
    assert_eq!(asked.explanations().len(), 1);
}

#[tokio::test]
async fn a_confirmed_entry_stays_as_it_was() {
    let bench = bench();
    let origin = Origin::new(|request, _| async move {
        let headers = [("cache-control", "max-age=10"), ("etag", "\"1\"")];
        let mut reply = Origin::reply(&headers, "x");
        if request.headers().contains_key("if-none-match") {
            *reply.status_mut() = http::StatusCode::NOT_MODIFIED;
        }
        reply
    });
    let layer: ResponseCacheLayer = bench.layer.profile(Profile::Rfc);
    let service = layer.layer(origin.clone());
    get(&service, "/").await;
    bench.clock.advance(Duration::from_secs(20));
    let told = why_get(&service, "/").await;
    assert_eq!(
        (told.outcome, told.reason),
        (Outcome::Revalidated, Reason::Validated)
    );
    assert_eq!(told.entry.unwrap().age_seconds, 0.0);
    // What is stored has not become fresh by asking.
    assert_eq!(get(&service, "/").await.detail(), "validated");
    assert_eq!(origin.calls(), 3);
}

#[tokio::test]
async fn a_key_says_whom_it_is_for_and_leaves_out_what_does_not_count() {
    let bench = bench();
    let layer: ResponseCacheLayer = bench
        .layer
        .query_ignore(["utm_*"])
        .tenant(|_| Some("acme".to_owned()))
        .per_user(|_| Some("42".to_owned()));
    let service = layer.layer(Origin::counting(FRESH));
    let told = why_get(&service, "/a?utm_x=1&page=2").await;
    let key = told.key.unwrap();
    assert_eq!(key, "site.test/a?page=2 user:42 tenant:acme");
    assert_eq!(told.reason, Reason::UriMiss);
}

#[tokio::test]
async fn a_head_is_asked_about_like_a_get() {
    let bench = bench();
    let origin = Origin::counting(FRESH);
    let service = bench.layer.layer(origin.clone());
    let head = || request(Method::HEAD, "/", &[]);
    assert_eq!(why(&service, head()).await[0].reason, Reason::HeadMiss);
    get(&service, "/").await;
    let told = why(&service, head()).await.remove(0);
    assert_eq!((told.outcome, told.reason), (Outcome::Hit, Reason::Fresh));
    assert_eq!(origin.calls(), 2);
}

/// An entry that is judged fresh moves up in the log, so that the node may forget what was before.
/// A question moves nothing.
#[tokio::test]
async fn the_stored_entry_is_looked_at_as_a_copy() {
    let bench = bench();
    let service = bench.layer.layer(Origin::counting(FRESH));
    get(&service, "/").await;
    // More than a node remembers, in two halves.
    let others = |half: u32| (0..200_000).map(move |n| format!("{half}:{n}"));
    let _ = bench.caches.invalidate(others(1)).await.unwrap();
    assert_eq!(why_get(&service, "/").await.reason, Reason::Fresh);
    let _ = bench.caches.invalidate(others(2)).await.unwrap();
    assert_eq!(why_get(&service, "/").await.reason, Reason::Horizon);
    assert_eq!(get(&service, "/").await.detail(), "horizon");
}

#[tokio::test]
async fn what_the_layer_is_told_not_to_tell_is_explained_all_the_same() {
    let bench = bench();
    let layer: ResponseCacheLayer = bench.layer.without_cache_status();
    let service = layer.layer(Origin::counting(NO_STORE));
    let (request, asked) = Asking::mark(request(Method::GET, "/", &[])).unwrap();
    let answer = try_send(service, request).await.unwrap();
    assert!(!answer.headers.contains_key("cache-status"));
    assert_eq!(asked.explanations()[0].reason, Reason::NoStore);
}

/// The handler sees the request as any other, so what it does by itself it does here too.
#[tokio::test]
async fn a_handler_that_takes_something_stale_is_found_out() {
    let bench = bench();
    let cache = bench.cache.clone();
    let stored = cache.clone();
    let service = bench.layer.layer(Origin::new(move |_, _| {
        let cache = stored.clone();
        async move {
            let value = cache.get(&pitlane::Key::new("part"));
            let stale = value.is_some_and(|value| value.is_stale());
            Origin::reply(FRESH, if stale { "old" } else { "new" })
        }
    }));
    let pitlane::Claim::Fill(fill) = cache.claim(&pitlane::Key::new("part")).await else {
        panic!("nothing is there");
    };
    let window = Duration::from_secs(60);
    let freshness = pitlane::Freshness::new(Duration::from_secs(10));
    let freshness = freshness.with_stale_while_revalidate(window);
    fill.store_with("part", freshness, [] as [&str; 0]);
    assert!(why_get(&service, "/").await.stored);
    bench.clock.advance(Duration::from_secs(20));
    let told = why_get(&service, "/").await;
    assert_eq!((told.reason, told.stored), (Reason::StaleDependency, false));
}
