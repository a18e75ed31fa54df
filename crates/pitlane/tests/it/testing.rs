//! The assertions and the clock that users test with, against the real layers.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, Location, catch_unwind},
    sync::Once,
    time::Duration,
};

use http::{HeaderMap, Method};
use pitlane::testing::{CacheStatus, assert_bypass, assert_hit, assert_miss, assert_reason};
use pitlane::{Reason, ResponseCacheLayer, testing};
use pitlane_testkit::{Gate, Origin, Steps};
use tower::{Layer, ServiceBuilder};

use crate::drive::{FRESH, NO_STORE, ask, bounded, get};

/// Whatever has headers can be asserted about: here the testkit's answers can't, and this can.
struct Seen(HeaderMap);

impl Seen {
    const fn headers(&self) -> &HeaderMap {
        &self.0
    }
}

fn told(member: &'static str) -> Seen {
    let field = ("cache-status", member);
    let headers = [field].into_iter().map(|(name, value)| {
        let value = http::HeaderValue::from_static(value);
        (http::HeaderName::from_static(name), value)
    });
    Seen(headers.collect())
}

macro_rules! seen {
    ($answer:expr) => {
        Seen(bounded($answer).await.headers)
    };
}

#[tokio::test]
async fn a_hit_a_miss_and_a_bypass_of_the_real_layer_are_told_apart() {
    let (caches, clock) = testing::caches();
    let layer = ResponseCacheLayer::new(&caches.get("default").unwrap());
    let service = layer.layer(Origin::counting(FRESH));
    assert_miss!(seen!(get(&service, "/a")), Reason::UriMiss);
    assert_hit!(seen!(get(&service, "/a")), Reason::Fresh);
    clock.advance(Duration::from_secs(59));
    assert_hit!(seen!(get(&service, "/a")));
    clock.advance(Duration::from_secs(1));
    assert_miss!(seen!(get(&service, "/a")), "expired");
    let known = [("authorization", "Bearer x")];
    let known = ask(&service, Method::GET, "/a", &known);
    assert_bypass!(seen!(known), Reason::Authorization);
    assert_bypass!(seen!(ask(&service, Method::POST, "/a", &[])), "method");
    assert_miss!(seen!(get(&service, "/a")), Reason::Invalidated);
}

#[tokio::test]
async fn what_is_not_stored_is_a_miss_once_and_a_bypass_after_that() {
    let (caches, _clock) = testing::caches();
    let layer = ResponseCacheLayer::new(&caches.get("default").unwrap());
    let service = layer.layer(Origin::counting(NO_STORE));
    assert_miss!(seen!(get(&service, "/a")), Reason::NoStore);
    assert_bypass!(seen!(get(&service, "/a")), Reason::NoStore);
}

#[tokio::test]
async fn an_answer_that_others_waited_for_is_neither_hit_nor_miss() {
    let (caches, _clock) = testing::caches();
    let layer = ResponseCacheLayer::new(&caches.get("default").unwrap());
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::new(move |_, _| {
        let reply = Steps::new().gated(&held, "x").reply(FRESH);
        async move { reply }
    });
    let service = layer.layer(origin);
    let leads = tokio::spawn(get(&service, "/a"));
    gate.arrival().await;
    let follows = tokio::spawn(get(&service, "/a"));
    // There is one thread: after this the second request has been begun, and waits.
    tokio::task::yield_now().await;
    assert!(!follows.is_finished());
    gate.open(1);
    assert_miss!(Seen(bounded(leads).await.unwrap().headers));
    let follower = Seen(bounded(follows).await.unwrap().headers);
    assert_reason!(follower, Reason::Collapsed);
    check(
        || assert_miss!(follower),
        "expected a miss, and this is an answer that another request was waiting for already",
    );
    check(|| assert_hit!(follower), "expected a hit, and this is");
}

#[tokio::test]
async fn of_two_layers_the_one_nearer_to_the_client_is_asserted_about() {
    let (outer, _clock) = testing::caches();
    let (inner, _clock) = testing::caches();
    let service = ServiceBuilder::new()
        .layer(ResponseCacheLayer::new(&outer.get("default").unwrap()))
        .layer(ResponseCacheLayer::new(&inner.get("default").unwrap()))
        .service(Origin::counting(FRESH));
    get(&service, "/a").await;
    let _ = outer.clear("default").await.unwrap();
    let answer = seen!(get(&service, "/a"));
    assert_miss!(answer, Reason::Invalidated);
    let all = CacheStatus::all(answer.headers());
    let all: Vec<_> = all.iter().map(CacheStatus::is_hit).collect();
    assert_eq!(all, [true, false]);
}

#[test]
fn the_clock_of_a_test_begins_now_at_a_whole_second_and_its_clones_move_together() {
    let before = pitlane::Clock::system().now();
    let clock = testing::clock();
    assert_eq!(clock.now().as_millis() % 1000, 0);
    assert!(before.since(clock.now()) < Duration::from_secs(1));
    let started = clock.now();
    let other = clock.clone();
    other.advance(Duration::from_secs(7));
    assert_eq!(clock.now().since(started), Duration::from_secs(7));
}

/// Runs an assertion that must fail, and returns where it did and what it said.
fn failure(assertion: impl FnOnce()) -> (Option<u32>, String) {
    static HOOK: Once = Once::new();
    thread_local! {
        static LINE: RefCell<Option<u32>> = const { RefCell::new(None) };
    }
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            LINE.set(info.location().map(Location::line));
            before(info);
        }));
    });
    let panic = catch_unwind(AssertUnwindSafe(assertion)).expect_err("a failure");
    let message = panic.downcast_ref::<String>().expect("a message");
    (LINE.take(), message.clone())
}

#[track_caller]
fn check(assertion: impl FnOnce(), says: &str) {
    let (_, message) = failure(assertion);
    assert!(message.contains(says), "{message}");
}

#[test]
fn a_failed_assertion_says_what_was_found_and_why() {
    let miss = told("pitlane; fwd=uri-miss; stored; detail=uri-miss");
    let message = failure(|| assert_hit!(miss)).1;
    assert_eq!(
        message,
        "expected a hit, and this is a miss\n  \
         uri-miss: Nothing is stored for this URI.\n  \
         cache-status: pitlane; fwd=uri-miss; stored; detail=uri-miss"
    );
    check(
        || assert_bypass!(miss),
        "expected a bypass, and this is a miss",
    );
    check(
        || assert_miss!(miss, Reason::Expired),
        "expected a miss for the reason \"expired\", and this is a miss\n  uri-miss: ",
    );
    check(
        || assert_reason!(miss, "fresh"),
        "expected an answer for the reason \"fresh\", and this is a miss",
    );
    let hit = told("pitlane; hit; ttl=1; detail=fresh");
    check(|| assert_miss!(hit), "expected a miss, and this is a hit");
    check(|| assert_bypass!(hit), "A fresh entry was found.");
    let newer = told("pitlane; hit; ttl=1; detail=of-next-year");
    check(|| assert_miss!(newer), "\"of-next-year\"");
}

#[test]
fn an_answer_without_our_cache_status_fails_every_assertion() {
    let missing = "no member of Cache-Status is Pitlane's";
    for answer in [Seen(HeaderMap::new()), told("cdn; hit; detail=fresh")] {
        check(|| assert_hit!(answer), missing);
        check(|| assert_miss!(answer), missing);
        check(|| assert_bypass!(answer), missing);
        check(|| assert_reason!(answer, Reason::Fresh), missing);
    }
}

#[test]
fn a_reason_that_is_none_is_told_apart_from_another_reason() {
    let hit = told("pitlane; hit; ttl=1; detail=fresh");
    check(
        || assert_hit!(hit, "frehs"),
        "\"frehs\" is no reason; there are: fresh, ",
    );
}

#[test]
fn it_fails_at_the_line_of_the_assertion() {
    let miss = told("pitlane; fwd=stale; detail=expired");
    let (line, _) = failure(|| assert_hit!(miss));
    assert_eq!(line, Some(line!() - 1));
    let (line, _) = failure(|| assert_miss!(miss, "no such reason"));
    assert_eq!(line, Some(line!() - 1));
}
