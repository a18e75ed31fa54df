//! Stale answers that the inner service confirms or replaces, and answers to HEAD.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Method, StatusCode, header};
use pitlane::{ApiCacheLayer, Profile, depend_on};
use pitlane_testkit::{Gate, Origin, Reply, Steps};
use tower::Layer;

use crate::drive::{Bench, ask, bench, bounded, get, until};

const MINUTE: Duration = Duration::from_secs(61);

const TAGGED: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("etag", "\"a\"")];

/// Answers 304 when it is asked for what it has, as a good handler does.
fn honest(tag: &'static str) -> Origin {
    Origin::new(move |request, call| async move {
        let same = request
            .headers()
            .get(header::IF_NONE_MATCH)
            .is_some_and(|asked| asked == tag);
        let headers = &[("cache-control", "max-age=60"), ("etag", tag)];
        if same {
            not_modified(headers)
        } else {
            Origin::reply(headers, format!("body {call}"))
        }
    })
}

fn not_modified(headers: &[(&str, &str)]) -> Reply {
    let mut reply = Origin::reply(headers, "");
    *reply.status_mut() = StatusCode::NOT_MODIFIED;
    reply
}

#[tokio::test]
async fn a_stale_answer_with_an_entity_tag_is_confirmed_and_fresh_again() {
    let Bench { clock, layer, .. } = bench();
    let origin = honest("\"a\"");
    let service = layer.layer(origin.clone());
    get(&service, "/").await;
    clock.advance(MINUTE);
    let confirmed = get(&service, "/").await;
    assert_eq!(confirmed.status, StatusCode::OK);
    assert_eq!((confirmed.text(), confirmed.header("age")), ("body 1", "0"));
    let said = confirmed.header("cache-status");
    assert_eq!(
        said,
        "pitlane; fwd=stale; fwd-status=304; stored; detail=validated"
    );
    assert_eq!(get(&service, "/").await.detail(), "fresh");
    assert_eq!(origin.calls(), 2);
}

#[tokio::test]
async fn an_entity_tag_that_the_layer_made_is_not_sent_to_the_handler() {
    let Bench { clock, layer, .. } = bench();
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&asked);
    let origin = Origin::new(move |request, call| {
        let conditional = request.headers().contains_key(header::IF_NONE_MATCH);
        seen.fetch_add(usize::from(conditional), Ordering::SeqCst);
        async move { Origin::reply(&[("cache-control", "max-age=60")], call.to_string()) }
    });
    let service = layer.layer(origin.clone());
    assert!(get(&service, "/").await.headers.contains_key(header::ETAG));
    clock.advance(MINUTE);
    assert_eq!(get(&service, "/").await.text(), "2");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

/// The rule that all the rest stands on: a confirmation is as old as its question.
#[tokio::test]
async fn an_invalidation_while_the_handler_confirms_ends_what_it_confirmed() {
    let bench = bench();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::new(move |request, call| {
        let gate = held.clone();
        async move {
            if request.headers().contains_key(header::IF_NONE_MATCH) {
                gate.pass().await;
                return not_modified(TAGGED);
            }
            Origin::reply(TAGGED, format!("body {call}"))
        }
    });
    let layer = bench.layer.tags(|_, _| vec!["club".into()]);
    let service = layer.layer(origin.clone());
    get(&service, "/").await;
    bench.clock.advance(MINUTE);
    let waiting = tokio::spawn(get(&service, "/"));
    bounded(gate.arrival()).await;
    let _ = bench.caches.invalidate(["club"]).await.unwrap();
    gate.open(1);
    bounded(waiting).await.unwrap();
    let after = get(&service, "/").await;
    assert_eq!((after.text(), origin.calls()), ("body 3", 3));
}

#[tokio::test]
async fn what_was_confirmed_still_ends_by_the_tags_of_its_first_computation() {
    let bench = bench();
    let cache = bench.cache.clone();
    let origin = Origin::new(move |request, call| {
        let cache = cache.clone();
        async move {
            if request.headers().contains_key(header::IF_NONE_MATCH) {
                return not_modified(TAGGED);
            }
            depend_on(&cache, ["club:42"]);
            Origin::reply(TAGGED, format!("body {call}"))
        }
    });
    let service = bench.layer.layer(origin.clone());
    get(&service, "/").await;
    bench.clock.advance(MINUTE);
    assert_eq!(get(&service, "/").await.detail(), "validated");
    let _ = bench.caches.invalidate(["club:42"]).await.unwrap();
    assert_eq!(get(&service, "/").await.text(), "body 3");
}

#[tokio::test]
async fn what_was_invalidated_is_not_confirmed_but_fetched() {
    let bench = bench();
    let origin = honest("\"a\"");
    let service = bench.layer.tags(|_, _| vec!["x".into()]).layer(origin);
    get(&service, "/").await;
    let _ = bench.caches.invalidate(["x"]).await.unwrap();
    assert_eq!(get(&service, "/").await.text(), "body 2");
}

#[tokio::test]
async fn all_who_wait_share_one_confirmation() {
    let bench = bench();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::new(move |request, call| {
        let gate = held.clone();
        async move {
            if request.headers().contains_key(header::IF_NONE_MATCH) {
                gate.pass().await;
                return not_modified(TAGGED);
            }
            Origin::reply(TAGGED, format!("body {call}"))
        }
    });
    let service = bench.layer.layer(origin.clone());
    get(&service, "/").await;
    bench.clock.advance(MINUTE);
    let waiting: Vec<_> = (0..20).map(|_| tokio::spawn(get(&service, "/"))).collect();
    bounded(gate.arrival()).await;
    until(|| bench.cache.in_flight() == 1).await;
    gate.open(1);
    let mut collapsed = 0;
    for waiting in waiting {
        let answer = bounded(waiting).await.unwrap();
        assert_eq!(answer.text(), "body 1");
        collapsed += usize::from(answer.detail() != "validated");
    }
    assert_eq!((origin.calls(), collapsed), (2, 19));
}

#[tokio::test]
async fn what_must_be_confirmed_each_time_makes_nobody_wait_for_somebody_elses() {
    let bench = bench();
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::new(move |request, call| {
        let gate = held.clone();
        async move {
            let headers = &[("cache-control", "no-cache"), ("etag", "\"a\"")];
            if request.headers().contains_key(header::IF_NONE_MATCH) {
                if call == 2 {
                    gate.pass().await;
                }
                return not_modified(headers);
            }
            Origin::reply(headers, format!("body {call}"))
        }
    });
    let service = bench.layer.profile(Profile::Rfc).layer(origin.clone());
    get(&service, "/").await;
    let slow = tokio::spawn(get(&service, "/"));
    bounded(gate.arrival()).await;
    for _ in 0..3 {
        let own = bounded(get(&service, "/")).await;
        assert_eq!((own.detail(), own.text()), ("validated", "body 1"));
    }
    gate.open(1);
    assert_eq!(bounded(slow).await.unwrap().text(), "body 1");
    assert_eq!(origin.calls(), 5);
}

#[tokio::test]
async fn a_304_for_something_else_is_an_error_once_and_a_fetch_from_then_on() {
    let bench = bench();
    let origin = Origin::new(move |request, call| async move {
        if request.headers().contains_key(header::IF_NONE_MATCH) {
            return not_modified(&[("etag", "\"b\""), ("x-own", "leaks?")]);
        }
        Origin::reply(TAGGED, format!("body {call}"))
    });
    let service = bench.layer.layer(origin.clone());
    get(&service, "/").await;
    bench.clock.advance(MINUTE);
    let refused = get(&service, "/").await;
    assert_eq!(refused.status, StatusCode::BAD_GATEWAY);
    assert_eq!(
        (refused.detail(), refused.headers.get("x-own")),
        ("validation-mismatch", None)
    );
    assert_eq!(get(&service, "/").await.text(), "body 3");
}

#[tokio::test]
async fn a_confirmation_that_sets_a_cookie_is_answered_and_not_stored() {
    let bench = bench();
    let origin = Origin::new(move |request, call| async move {
        if request.headers().contains_key(header::IF_NONE_MATCH) {
            return not_modified(&[("etag", "\"a\""), ("set-cookie", "id=1")]);
        }
        Origin::reply(TAGGED, format!("body {call}"))
    });
    let service = bench.layer.layer(origin.clone());
    get(&service, "/").await;
    bench.clock.advance(MINUTE);
    let own = get(&service, "/").await;
    assert_eq!((own.text(), own.header("set-cookie")), ("body 1", "id=1"));
    assert_eq!(own.detail(), "set-cookie");
    let next = get(&service, "/").await;
    assert_eq!(next.headers.get("set-cookie"), None);
    assert_eq!(next.text(), "body 3");
}

#[tokio::test]
async fn an_apis_own_words_to_clients_do_not_become_the_entrys_lifetime() {
    let bench = bench();
    let origin = Origin::new(move |request, call| async move {
        let tag = &[("etag", "\"a\"")];
        if request.headers().contains_key(header::IF_NONE_MATCH) {
            return not_modified(tag);
        }
        Origin::reply(tag, format!("body {call}"))
    });
    let layer = ApiCacheLayer::new(&bench.cache).ttl(Duration::from_secs(60));
    let service = layer.layer(origin.clone());
    let first = get(&service, "/").await;
    bench.clock.advance(MINUTE);
    let confirmed = get(&service, "/").await;
    assert_eq!(confirmed.detail(), "validated");
    for name in ["cache-control", "vary"] {
        let lines = |answer: &pitlane_testkit::Answer| {
            let lines = answer.headers.get_all(name).iter().cloned();
            lines.collect::<Vec<_>>()
        };
        assert_eq!(lines(&first), lines(&confirmed), "{name}");
    }
    bench.clock.advance(Duration::from_secs(59));
    assert_eq!(get(&service, "/").await.detail(), "fresh");
    assert_eq!(origin.calls(), 2);
}

#[tokio::test]
async fn a_server_error_leaves_what_could_not_be_confirmed() {
    let bench = bench();
    let origin = Origin::new(move |request, call| async move {
        if !request.headers().contains_key(header::IF_NONE_MATCH) {
            return Origin::reply(TAGGED, format!("body {call}"));
        }
        if call == 2 {
            let mut reply = Origin::reply(&[("cache-control", "max-age=600")], "broken");
            *reply.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return reply;
        }
        not_modified(TAGGED)
    });
    let service = bench
        .layer
        .profile(Profile::Rfc)
        .stale_if_error(Duration::ZERO)
        .layer(origin.clone());
    get(&service, "/").await;
    bench.clock.advance(MINUTE);
    let broken = get(&service, "/").await;
    assert_eq!(broken.status, StatusCode::INTERNAL_SERVER_ERROR);
    let confirmed = get(&service, "/").await;
    assert_eq!(
        (confirmed.detail(), confirmed.text()),
        ("validated", "body 1")
    );
}

/// What a HEAD answer says of a stored one whose length is 6 and whose tag is "a".
async fn check_head(head: &'static [(&'static str, &'static str)], at: u64, after: &str) {
    let bench = bench();
    let origin = Origin::new(move |request, call| async move {
        match *request.method() {
            Method::HEAD => Origin::reply(head, ""),
            _ => Origin::reply(TAGGED, format!("body {call}")),
        }
    });
    let layer = bench.layer.profile(Profile::Rfc);
    let service = layer.layer(origin.clone());
    get(&service, "/").await;
    let seen = ask(
        &service,
        Method::HEAD,
        "/",
        &[("cache-control", "no-cache")],
    )
    .await;
    assert_eq!(seen.status, StatusCode::OK);
    bench.clock.advance(Duration::from_secs(at));
    let next = ask(
        &service,
        Method::GET,
        "/",
        &[("cache-control", "only-if-cached")],
    )
    .await;
    assert_eq!(next.detail(), after, "{head:?} {next:?}");
}

#[tokio::test]
async fn a_head_answer_renews_what_it_matches_and_ends_what_it_contradicts() {
    let long = &[("etag", "\"a\""), ("cache-control", "max-age=90")];
    check_head(long, 70, "fresh").await;
    // Renewed as well, for a shorter time.
    let short = &[("etag", "\"a\""), ("cache-control", "max-age=20")];
    check_head(short, 30, "only-if-cached").await;
    check_head(&[("etag", "\"b\"")], 30, "only-if-cached").await;
    let longer = &[("etag", "\"a\""), ("content-length", "7")];
    check_head(longer, 30, "only-if-cached").await;
    // What has no validator says nothing.
    check_head(&[("cache-control", "max-age=90")], 30, "fresh").await;
    check_head(&[("cache-control", "max-age=90")], 70, "only-if-cached").await;
}

#[tokio::test]
async fn an_age_from_upstream_counts_from_when_the_request_was_made() {
    for (profile, age) in [(Profile::Rfc, "25"), (Profile::Application, "10")] {
        let bench = bench();
        let clock = bench.clock.clone();
        let origin = Origin::new(move |_, _| {
            let clock = clock.clone();
            async move {
                clock.advance(Duration::from_secs(15));
                Origin::reply(&[("cache-control", "max-age=60"), ("age", "10")], "x")
            }
        });
        let service = bench.layer.profile(profile).layer(origin);
        get(&service, "/").await;
        assert_eq!(get(&service, "/").await.header("age"), age, "{profile:?}");
    }
}

#[tokio::test]
async fn a_304_for_something_else_is_right_for_a_client_that_has_it() {
    let bench = bench();
    let origin = Origin::new(move |request, call| async move {
        if request.headers().contains_key(header::IF_NONE_MATCH) {
            return not_modified(&[("etag", "\"b\"")]);
        }
        Origin::reply(TAGGED, format!("body {call}"))
    });
    let service = bench.layer.layer(origin.clone());
    get(&service, "/").await;
    bench.clock.advance(MINUTE);
    let has = [("if-none-match", "\"b\"")];
    let seen = ask(&service, Method::GET, "/", &has).await;
    assert_eq!(seen.status, StatusCode::NOT_MODIFIED);
}

/// Answers every condition with this, once `gate` lets it.
fn conditional(answer: &'static [(&'static str, &'static str)], gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::new(move |request, call| {
        let gate = gate.clone();
        async move {
            if request.headers().contains_key(header::IF_NONE_MATCH) {
                gate.pass().await;
                return not_modified(answer);
            }
            Origin::reply(TAGGED, format!("body {call}"))
        }
    })
}

#[tokio::test]
async fn of_all_who_wait_one_sees_that_the_304_was_for_something_else() {
    let (bench, gate) = (bench(), Gate::new());
    let service = bench.layer.layer(conditional(&[("etag", "\"b\"")], &gate));
    get(&service, "/").await;
    bench.clock.advance(MINUTE);
    let mut waiting: Vec<_> = (0..10).map(|_| get(&service, "/")).collect();
    for waiting in &mut waiting {
        assert!(crate::drive::poll_once(waiting.as_mut()).is_pending());
    }
    gate.open(10);
    let mut refused = 0;
    for waiting in waiting {
        let answer = bounded(waiting).await;
        refused += usize::from(answer.status == StatusCode::BAD_GATEWAY);
    }
    assert_eq!(refused, 1);
}

#[tokio::test]
async fn a_304_of_another_strength_serves_what_is_stored_and_does_not_renew_it() {
    let bench = bench();
    let origin = Origin::new(move |request, call| async move {
        if request.headers().contains_key(header::IF_NONE_MATCH) {
            return not_modified(&[("etag", "\"a\""), ("cache-control", "max-age=60")]);
        }
        let weak = &[("cache-control", "max-age=60"), ("etag", "W/\"a\"")];
        Origin::reply(weak, format!("body {call}"))
    });
    let service = bench.layer.layer(origin.clone());
    get(&service, "/").await;
    bench.clock.advance(MINUTE);
    for calls in [2, 3] {
        let served = get(&service, "/").await;
        assert_eq!((served.status, served.text()), (StatusCode::OK, "body 1"));
        assert_eq!((served.header("etag"), origin.calls()), ("W/\"a\"", calls));
    }
}

/// The second to wait finds what the first confirmed invalidated, and has the old entry in hand.
#[tokio::test]
async fn who_waited_does_not_confirm_what_was_invalidated_meanwhile() {
    let (bench, gate) = (bench(), Gate::new());
    let layer = bench.layer.tags(|_, _| vec!["club".into()]);
    let service = layer.layer(conditional(TAGGED, &gate));
    get(&service, "/").await;
    bench.clock.advance(MINUTE);
    let first = tokio::spawn(get(&service, "/"));
    bounded(gate.arrival()).await;
    let mut second = get(&service, "/");
    assert!(crate::drive::poll_once(second.as_mut()).is_pending());
    let _ = bench.caches.invalidate(["club"]).await.unwrap();
    gate.open(2);
    bounded(first).await.unwrap();
    assert_eq!(bounded(second).await.text(), "body 3");
}

#[tokio::test]
async fn one_visitors_cookie_on_a_confirmation_is_nobody_elses_however_public_the_page_was() {
    let bench = bench();
    let origin = Origin::new(move |request, call| async move {
        if request.headers().contains_key(header::IF_NONE_MATCH) {
            return not_modified(&[("etag", "\"a\""), ("set-cookie", "session=alice")]);
        }
        let public = &[("cache-control", "public, max-age=60"), ("etag", "\"a\"")];
        Origin::reply(public, format!("body {call}"))
    });
    let service = bench.layer.profile(Profile::Rfc).layer(origin);
    get(&service, "/").await;
    bench.clock.advance(MINUTE);
    let own = get(&service, "/").await;
    assert_eq!(own.header("set-cookie"), "session=alice");
    let other = get(&service, "/").await;
    let seen = (other.headers.get("set-cookie"), other.text());
    assert_eq!(seen, (None, "body 3"));
}

#[tokio::test]
async fn a_confirmation_that_forbids_storing_ends_what_is_stored() {
    for said in ["private", "no-store"] {
        let bench = bench();
        let origin = Origin::new(move |request, call| async move {
            if request.headers().contains_key(header::IF_NONE_MATCH) {
                return not_modified(&[("etag", "\"a\""), ("cache-control", said)]);
            }
            Origin::reply(TAGGED, format!("body {call}"))
        });
        let service = bench.layer.profile(Profile::Rfc).layer(origin);
        get(&service, "/").await;
        let asks = [("cache-control", "no-cache")];
        ask(&service, Method::GET, "/", &asks).await;
        assert_eq!(get(&service, "/").await.text(), "body 3", "{said}");
    }
}

#[tokio::test]
async fn clients_get_nothing_staler_than_the_operator_allows() {
    let bench = bench();
    let origin = Origin::counting(&[("cache-control", "max-age=60")]);
    let layer = bench.layer.profile(Profile::Rfc);
    let service = layer.max_stale(Duration::from_secs(30)).layer(origin);
    get(&service, "/").await;
    let takes = [("cache-control", "max-stale")];
    bench.clock.advance(Duration::from_secs(80));
    let stale = ask(&service, Method::GET, "/", &takes).await;
    assert_eq!(stale.detail(), "max-stale");
    bench.clock.advance(Duration::from_secs(20));
    let fetched = ask(&service, Method::GET, "/", &takes).await;
    assert_eq!(fetched.detail(), "expired");
}

#[tokio::test]
async fn nobody_waits_for_the_body_of_what_must_be_validated_each_time() {
    let (bench, gate) = (bench(), Gate::new());
    let held = gate.clone();
    let origin = Origin::new(move |_, call| {
        let gate = held.clone();
        async move {
            let headers = &[("cache-control", "max-age=0"), ("etag", "\"a\"")];
            if call == 1 {
                return Steps::new().gated(&gate, "1").reply(headers);
            }
            Origin::reply(headers, call.to_string())
        }
    });
    // Nobody goes on alone because it took too long.
    let layer = bench.layer.patience(Duration::from_secs(3600));
    let service = layer.profile(Profile::Rfc).layer(origin);
    let slow = tokio::spawn(get(&service, "/"));
    bounded(gate.arrival()).await;
    assert_eq!(bounded(get(&service, "/")).await.text(), "2");
    gate.open(1);
    bounded(slow).await.unwrap();
}
