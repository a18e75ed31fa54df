//! What the answer to a write names beside its own URI.

use http::{Method, StatusCode};
use pitlane::{Profile, ResponseCacheLayer};
use pitlane_testkit::Origin;
use tower::Layer;

use crate::drive::{ask, bench, get};

/// Writes to `/form` and says what of `/a`, `/b` (group "g" of this origin) and `/form` ended.
async fn check(status: u16, answer: &'static [(&'static str, &'static str)], ended: [bool; 3]) {
    let origin = Origin::new(move |request, call| async move {
        if request.method() != Method::GET {
            let mut reply = Origin::reply(answer, "");
            *reply.status_mut() = StatusCode::from_u16(status).unwrap();
            return reply;
        }
        let mut headers = vec![("cache-control", "max-age=60")];
        if request.uri().path() == "/b" {
            headers.push(("cache-groups", "\"f\", \"g\";x=1"));
        }
        Origin::reply(&headers, call.to_string())
    });
    let bench = bench();
    let layer: ResponseCacheLayer = bench.layer.profile(Profile::Rfc);
    let service = layer.layer(origin);
    let paths = ["/a", "/b", "/form"];
    for path in paths {
        get(&service, path).await;
    }
    ask(&service, Method::POST, "/form", &[]).await;
    let mut seen = [false; 3];
    for (path, seen) in paths.iter().zip(&mut seen) {
        *seen = get(&service, path).await.detail() != "fresh";
    }
    assert_eq!(seen, ended, "{status} {answer:?}");
}

#[tokio::test]
async fn a_write_ends_the_uris_of_its_origin_that_its_answer_names() {
    check(303, &[("location", "/a")], [true, false, true]).await;
    check(
        201,
        &[("location", "http://site.test/a")],
        [true, false, true],
    )
    .await;
    check(200, &[("content-location", "b")], [false, true, true]).await;
    check(
        201,
        &[("location", "/a"), ("content-location", "/b")],
        [true; 3],
    )
    .await;
    check(201, &[("location", "a#top")], [true, false, true]).await;
}

#[tokio::test]
async fn another_origins_uris_are_no_business_of_an_answers() {
    check(
        201,
        &[("location", "http://other.test/a")],
        [false, false, true],
    )
    .await;
    check(
        201,
        &[("location", "//site.test:81/a")],
        [false, false, true],
    )
    .await;
}

/// One host's answers can't empty another host's part of the cache.
#[tokio::test]
async fn what_is_stored_of_another_origin_stays_whatever_an_answer_names() {
    let origin = Origin::new(|request, call| async move {
        if request.method() != Method::GET {
            let named = [
                ("location", "http://other.test/a"),
                ("content-location", "//other.test/a"),
            ];
            return Origin::reply(&named, "");
        }
        Origin::reply(&[("cache-control", "max-age=60")], call.to_string())
    });
    let service = bench().layer.layer(origin);
    let elsewhere = || {
        let request = http::Request::builder().uri("http://other.test/a");
        let request = request.body(http_body_util::Empty::new()).unwrap();
        crate::drive::try_send(service.clone(), request)
    };
    elsewhere().await.unwrap();
    ask(&service, Method::POST, "/form", &[]).await;
    assert_eq!(elsewhere().await.unwrap().detail(), "fresh");
}

#[tokio::test]
async fn an_error_ends_nothing_that_it_names() {
    check(404, &[("location", "/a")], [false; 3]).await;
    // What was written to may have been changed, and no more.
    let ended = [false, false, true];
    check(500, &[("cache-group-invalidation", "\"g\"")], ended).await;
}

#[tokio::test]
async fn a_group_ends_as_a_whole_and_nothing_else_of_its_members() {
    check(
        200,
        &[("cache-group-invalidation", "\"g\"")],
        [false, true, true],
    )
    .await;
    check(
        200,
        &[("cache-group-invalidation", "\"f\", \"h\"")],
        [false, true, true],
    )
    .await;
    check(
        200,
        &[("cache-group-invalidation", "\"h\"")],
        [false, false, true],
    )
    .await;
    // No list of strings.
    check(
        200,
        &[("cache-group-invalidation", "\"g\", (")],
        [false, false, true],
    )
    .await;
}

#[tokio::test]
async fn a_group_is_one_origins_own() {
    let origin = Origin::new(|request, call| async move {
        if request.method() != Method::GET {
            return Origin::reply(&[("cache-group-invalidation", "\"g\"")], "");
        }
        let headers = &[("cache-control", "max-age=60"), ("cache-groups", "\"g\"")];
        Origin::reply(headers, call.to_string())
    });
    let bench = bench();
    let service = bench.layer.layer(origin);
    get(&service, "/a").await;
    let elsewhere = http::Request::builder()
        .method(Method::POST)
        .uri("http://other.test/form")
        .body(http_body_util::Empty::new())
        .unwrap();
    crate::drive::try_send(service.clone(), elsewhere)
        .await
        .unwrap();
    assert_eq!(get(&service, "/a").await.detail(), "fresh");
    ask(&service, Method::POST, "/form", &[]).await;
    assert_eq!(get(&service, "/a").await.detail(), "invalidated");
}

#[tokio::test]
async fn a_method_that_nobody_knows_may_have_changed_something() {
    let origin = Origin::counting(&[("cache-control", "max-age=60")]);
    let service = bench().layer.layer(origin);
    get(&service, "/").await;
    let odd = Method::from_bytes(b"FROB").unwrap();
    ask(&service, odd, "/", &[]).await;
    assert_eq!(get(&service, "/").await.detail(), "invalidated");
    ask(&service, Method::OPTIONS, "/", &[]).await;
    assert_eq!(get(&service, "/").await.detail(), "fresh");
}

/// Whether a GET of `/form` is answered by what a POST there brought.
async fn check_post(headers: &'static [(&'static str, &'static str)], stands: bool) {
    let origin = Origin::new(move |request, _| async move {
        match *request.method() {
            Method::POST => Origin::reply(headers, "posted"),
            _ => Origin::reply(&[("cache-control", "max-age=60")], "got"),
        }
    });
    let service = bench().layer.profile(Profile::Rfc).layer(origin);
    get(&service, "/form").await;
    ask(&service, Method::POST, "/form", &[]).await;
    let seen = get(&service, "/form").await;
    let expected = if stands { "posted" } else { "got" };
    assert_eq!(seen.text(), expected, "{headers:?}");
}

#[tokio::test]
async fn an_answer_to_post_stands_for_get_only_if_it_says_so() {
    const FRESH: (&str, &str) = ("cache-control", "max-age=60");
    check_post(&[FRESH, ("content-location", "/form")], true).await;
    check_post(
        &[FRESH, ("content-location", "http://site.test/form")],
        true,
    )
    .await;
    check_post(&[FRESH], false).await;
    check_post(&[FRESH, ("content-location", "/other")], false).await;
    check_post(
        &[FRESH, ("content-location", "http://other.test/form")],
        false,
    )
    .await;
    check_post(&[("content-location", "/form")], false).await;
    check_post(
        &[("cache-control", "no-store"), ("content-location", "/form")],
        false,
    )
    .await;
}

#[tokio::test]
async fn a_post_that_asks_for_nothing_to_be_stored_is_heeded() {
    let headers = &[
        ("cache-control", "max-age=60"),
        ("content-location", "/form"),
    ];
    let origin = Origin::counting(headers);
    let service = bench().layer.profile(Profile::Rfc).layer(origin);
    let asks = [("cache-control", "no-store")];
    ask(&service, Method::POST, "/form", &asks).await;
    assert_eq!(get(&service, "/form").await.text(), "/form 2");
}

#[tokio::test]
async fn what_was_invalidated_while_a_post_ran_does_not_stand_for_get() {
    const ANSWER: &[(&str, &str)] = &[
        ("cache-control", "max-age=60"),
        ("content-location", "/form"),
        ("cache-tag", "club"),
    ];
    let bench = bench();
    let caches = bench.caches.clone();
    let origin = Origin::new(move |request, _| {
        let caches = caches.clone();
        async move {
            if request.method() == Method::POST {
                let _ = caches.invalidate(["club"]).await.unwrap();
                return Origin::reply(ANSWER, "posted");
            }
            Origin::reply(&[], "got")
        }
    });
    let service = bench.layer.profile(Profile::Rfc).layer(origin);
    ask(&service, Method::POST, "/form", &[]).await;
    assert_eq!(get(&service, "/form").await.text(), "got");
}
