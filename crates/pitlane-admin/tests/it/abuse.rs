//! Everybody who should not get what they ask for, over real sockets.
//!
//! Each case has admin pages of its own, so that no failure counts towards another's lock-out, and
//! ends with the same question: is what was cached still there?

use std::time::Duration;

use http::Method;
use serde_json::Value;

use crate::stage::{BASE, Raw, Stage, TOKEN, WRONG, cookie_of, encode};

const BEARER: &str = "Authorization: Bearer 0123456789abcdefghijklmnopqrstuv";
const JSON: &str = "Content-Type: application/json";
const INVALIDATE: &str = r#"{"tags":["news"]}"#;

/// What every answer carries, refused or not.
#[track_caller]
fn check_sealed(answer: &Raw) {
    for field in [
        "content-security-policy: default-src 'none'; style-src 'self'; script-src 'self'; \
         connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'\r\n",
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "cache-control: no-store",
        "referrer-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
        "cross-origin-opener-policy: same-origin",
    ] {
        assert!(answer.head.contains(field), "{field}: {answer:?}");
    }
    assert!(!answer.head.contains("access-control"), "{answer:?}");
    assert!(!answer.body.contains(TOKEN), "{answer:?}");
}

/// One request to the API that must be refused as JSON, and change nothing.
async fn check(line: &str, fields: &[&str], body: &str, expected: (u16, &str)) {
    let stage = Stage::set().await;
    check_at(&stage, line, fields, body, expected).await;
    assert!(stage.still_holds(), "{line} {fields:?} {body}");
}

async fn check_at(stage: &Stage, line: &str, fields: &[&str], body: &str, expected: (u16, &str)) {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = format!("{method} {BASE}{path} HTTP/1.1\r\n");
    if !fields.iter().any(|field| field.starts_with("Host:")) {
        request.push_str(&format!("Host: {}\r\n", stage.address));
    }
    for field in fields {
        request.push_str(field);
        request.push_str("\r\n");
    }
    if !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    let answer = stage.raw(format!("{request}\r\n{body}")).await;
    let (status, kind) = expected;
    assert_eq!(answer.status, status, "{line} {fields:?}: {answer:?}");
    check_sealed(&answer);
    assert!(!answer.head.contains("set-cookie"), "{answer:?}");
    if !kind.is_empty() {
        let said: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(said["error"]["kind"], kind, "{line} {fields:?}: {answer:?}");
        assert!(said["error"]["message"].is_string(), "{answer:?}");
    }
}

#[tokio::test]
async fn nobody_uses_the_api_without_the_token_in_its_place() {
    let refused = (401, "token");
    let wrong = format!("Authorization: Bearer {WRONG}");
    let wrong = wrong.as_str();
    for fields in [
        &[][..],
        &[wrong],
        &["Authorization: Bearer 0123456789abcdefghijklmnopqrstu"],
        &["Authorization: Bearer 0123456789abcdefghijklmnopqrstuvx"],
        &["Authorization: Basic 0123456789abcdefghijklmnopqrstuv"],
        &["Authorization: Bearer"],
        &[BEARER, BEARER],
        &[BEARER, wrong],
        &["Cookie: token=0123456789abcdefghijklmnopqrstuv"],
        &["Cookie: pitlane_admin=0123456789abcdefghijklmnopqrstuv"],
        &["X-Admin-Token: 0123456789abcdefghijklmnopqrstuv"],
    ] {
        let fields = [fields, &[JSON]].concat();
        check("POST /api/invalidate", &fields, INVALIDATE, refused).await;
    }
    let query = format!("POST /api/invalidate?token={TOKEN}&access_token={TOKEN}");
    check(&query, &[JSON], INVALIDATE, refused).await;
    for line in [
        "GET /api/stats",
        "GET /api/events",
        "GET /api",
        "GET /api/none",
        "OPTIONS /api/stats",
        "HEAD /api/none",
        "TRACE /api/stats",
        "POST /api/explain",
        "POST /api/warm",
        "POST /api/clear",
    ] {
        let kind = if line.starts_with("HEAD") {
            ""
        } else {
            "token"
        };
        check(line, &[], "", (401, kind)).await;
    }
}

#[tokio::test]
async fn a_sign_in_does_not_open_the_api() {
    let stage = Stage::set().await;
    let cookie = format!("Cookie: {}", stage.sign_in().await);
    let csrf = format!("X-CSRF-Token: {}", stage.csrf(&cookie[8..]).await);
    let origin = format!("Origin: http://{}", stage.address);
    let refused = (401, "token");
    check_at(&stage, "GET /api/stats", &[&cookie], "", refused).await;
    check_at(&stage, "GET /api/events", &[&cookie], "", refused).await;
    let fields = [cookie.as_str(), &csrf, &origin, JSON];
    check_at(&stage, "POST /api/invalidate", &fields, INVALIDATE, refused).await;
    assert!(stage.still_holds());
}

#[tokio::test]
async fn the_token_does_not_open_the_pages() {
    let stage = Stage::set().await;
    check_at(&stage, "GET /", &[BEARER], "", (303, "")).await;
    check_at(&stage, "GET /live", &[BEARER], "", (401, "")).await;
    let origin = format!("Origin: http://{}", stage.address);
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let body = "tags=news&confirmed=yes";
    check_at(
        &stage,
        "POST /invalidate",
        &[BEARER, &origin, kind],
        body,
        (401, ""),
    )
    .await;
    assert!(stage.still_holds());
}

#[tokio::test]
async fn a_get_changes_nothing_and_no_header_makes_it_another_method() {
    let refused = (405, "method_not_allowed");
    for line in [
        "GET /api/invalidate",
        "GET /api/clear",
        "GET /api/warm",
        "GET /api/explain",
        "PUT /api/invalidate",
        "DELETE /api/clear",
        "PATCH /api/clear",
        "OPTIONS /api/clear",
        "TRACE /api/stats",
        "POST /api/stats",
        "POST /api/keys",
        "POST /api/events",
    ] {
        check(line, &[BEARER], "", refused).await;
        check(
            line,
            &[BEARER, JSON, "X-HTTP-Method-Override: POST"],
            "",
            refused,
        )
        .await;
    }
    check("HEAD /api/stats", &[BEARER], "", (405, "")).await;
    check("GET /api/stats?_method=POST", &[BEARER], "", (400, "query")).await;
    check(
        "POST /api/clear?cache=default",
        &[BEARER, JSON],
        "{}",
        (400, "query"),
    )
    .await;
    check("GET /api/stats", &[BEARER, JSON], INVALIDATE, (400, "body")).await;
}

#[tokio::test]
async fn no_page_that_is_only_fetched_changes_anything() {
    let stage = Stage::set().await;
    let cookie = stage.sign_in().await;
    let csrf = stage.csrf(&cookie).await;
    for path in [
        format!("/invalidate?tags=news&confirmed=yes&csrf={csrf}"),
        "/invalidate?tags=news".to_owned(),
        format!("/clear?cache=default&csrf={csrf}&confirmed=yes"),
        "/clear?cache=default".to_owned(),
        format!("/sign-out?csrf={csrf}"),
        "/sign-out".to_owned(),
        format!("/explain?path=/page&csrf={csrf}"),
    ] {
        let answer = stage.page(&cookie, &path).await;
        assert!(answer.status.as_u16() < 500, "{path}");
        assert!(stage.still_holds(), "{path}");
        assert_eq!(
            stage.page(&cookie, "/").await.status,
            200,
            "{path}: signed in still"
        );
    }
    assert_eq!(stage.calls(), 0, "nothing was asked of the program");
}

#[tokio::test]
async fn another_host_is_refused_before_anything_is_looked_at() {
    for host in [
        "Host: rebound.example",
        "Host: localhost.rebound.example:80",
        "Host: 127.0.0.1.rebound.example",
        "Host: 10.1.2.3",
        "Host:",
        "Host: me@localhost",
        "Host: localhost\r\nHost: rebound.example",
        "Host: rebound.example\r\nX-Forwarded-Host: localhost",
    ] {
        check("GET /api/stats", &[host, BEARER], "", (421, "host")).await;
        check(
            "POST /api/invalidate",
            &[host, BEARER, JSON],
            INVALIDATE,
            (421, "host"),
        )
        .await;
        for line in ["GET /", "GET /sign-in", "GET /assets/admin.js", "GET /live"] {
            check(line, &[host], "", (421, "")).await;
        }
    }
    let stage = Stage::set().await;
    for host in ["localhost", "127.0.0.1:1", "[::1]"] {
        let host = format!("Host: {host}");
        check_at(
            &stage,
            "GET /api/keys?cache=default",
            &[&host, BEARER],
            "",
            (200, ""),
        )
        .await;
    }
    // A target that names another host than Host does.
    let line =
        format!("GET http://rebound.example{BASE}/api/stats HTTP/1.1\r\nHost: localhost\r\n");
    let answer = stage.raw(format!("{line}{BEARER}\r\n\r\n")).await;
    assert_eq!(answer.status, 421, "{answer:?}");
}

#[tokio::test]
async fn a_listed_host_is_answered() {
    let stage = Stage::with(|admin| admin.add_host("Cache.example.org")).await;
    check_at(
        &stage,
        "GET /api/keys?cache=api",
        &["Host: cache.example.org", BEARER],
        "",
        (200, ""),
    )
    .await;
    check_at(
        &stage,
        "GET /api/stats",
        &["Host: example.org", BEARER],
        "",
        (421, "host"),
    )
    .await;
}

#[tokio::test]
async fn only_json_is_read_and_only_so_much_of_it() {
    for kind in [
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: multipart/form-data; boundary=x",
        "Content-Type: text/plain",
        "Content-Type: text/plain; application/json",
        "Content-Type: application/jsonp",
        "Content-Type:",
        "X-Content-Type: application/json",
    ] {
        let refused = (415, "content_type");
        check("POST /api/invalidate", &[BEARER, kind], INVALIDATE, refused).await;
        check(
            "POST /api/clear",
            &[BEARER, kind],
            r#"{"cache":"default"}"#,
            refused,
        )
        .await;
    }
    let large = (413, "too_large");
    check(
        "POST /api/invalidate",
        &[BEARER, JSON, "Content-Length: 65537"],
        "",
        large,
    )
    .await;
    let chunks = format!("10001\r\n{}\r\n0\r\n\r\n", " ".repeat(65537));
    let stage = Stage::set().await;
    let head =
        format!("POST {BASE}/api/invalidate HTTP/1.1\r\nHost: localhost\r\n{BEARER}\r\n{JSON}\r\n");
    let answer = stage
        .raw(format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}"))
        .await;
    assert_eq!(answer.status, 413, "{answer:?}");
    for (path, body, expected) in [
        ("invalidate", "{\"tags\":[\"a\"", (400, "malformed")),
        ("invalidate", "{\"tagz\":[\"a\"]}", (422, "invalid")),
        (
            "invalidate",
            "[[\"news\"],[],[],[],false]",
            (422, "invalid"),
        ),
        (
            "invalidate",
            "{\"tags\":[\"news\"],\"tags\":[\"a\"]}",
            (422, "invalid"),
        ),
        ("invalidate", "{}", (422, "invalid")),
        ("invalidate", "{\"tags\":[\"news\",\"\"]}", (422, "invalid")),
        (
            "invalidate",
            "{\"tags\":[\"news\"],\"urls\":[\"x\"]}",
            (422, "invalid"),
        ),
        (
            "invalidate",
            "{\"keys\":[\"page\",\"a b\"]}",
            (422, "invalid"),
        ),
        (
            "clear",
            "{\"cache\":\"default\",\"force\":true}",
            (422, "invalid"),
        ),
        ("clear", "{\"cache\":\"nothing\"}", (404, "not_found")),
        ("clear", "{\"cache\":\"\"}", (404, "not_found")),
        ("clear", "{\"cache\":null}", (422, "invalid")),
        ("warm", "{\"paths\":[]}", (422, "invalid")),
    ] {
        check(
            &format!("POST /api/{path}"),
            &[BEARER, JSON],
            body,
            expected,
        )
        .await;
    }
}

#[tokio::test]
async fn a_query_is_read_strictly() {
    let long = format!("GET /api/entry?cache=default&key={}", "k".repeat(17_000));
    for (line, expected) in [
        ("GET /api/keys?cache=default&cursor=garbage", (400, "query")),
        ("GET /api/keys?cache=default&cursor=m.zz", (400, "query")),
        (
            "GET /api/keys?cache=default&cursor=r.0.other:",
            (400, "query"),
        ),
        ("GET /api/keys?cache=default&limit=0", (400, "query")),
        ("GET /api/keys?cache=default&limit=1e9", (400, "query")),
        ("GET /api/keys?cache=default&tier=disk", (400, "query")),
        ("GET /api/keys?cache=default&cache=api", (400, "query")),
        ("GET /api/keys?cache=default&page=2", (400, "query")),
        ("GET /api/keys", (400, "query")),
        ("GET /api/keys?cache=apj", (404, "not_found")),
        ("GET /api/keys?cache=%00", (404, "not_found")),
        ("GET /api/entry?cache=default", (400, "query")),
        (
            "GET /api/entry?cache=default&key=%0d%0ax",
            (404, "not_found"),
        ),
        (&long, (400, "query")),
    ] {
        check(line, &[BEARER], "", expected).await;
    }
    // A target of a megabyte is refused before it comes to us.
    let stage = Stage::set().await;
    let key = "k".repeat(1 << 20);
    let request = format!(
        "GET {BASE}/api/entry?cache=default&key={key} HTTP/1.1\r\nHost: localhost\r\n{BEARER}\r\n\r\n"
    );
    let answer = stage.raw(request).await;
    assert!(matches!(answer.status, 414 | 431 | 0), "{}", answer.head);
    assert_eq!(
        stage.api(Method::GET, "/keys?cache=default", "").await.0,
        200
    );
}

#[tokio::test]
async fn what_is_not_there_is_not_found_by_any_spelling() {
    for line in [
        "GET /api/none",
        "GET /api/stats/",
        "GET /api//stats",
        "GET /api/%73tats",
        "GET /api/../api/stats",
        "GET /api/stats;x",
    ] {
        check(line, &[BEARER], "", (404, "not_found")).await;
    }
    for line in [
        "GET /assets/../../Cargo.toml",
        "GET /assets/..%2f..%2fCargo.toml",
        "GET /assets/%2e%2e/admin.css",
        "GET /assets//etc/passwd",
        "GET /assets/",
        "GET /assets/admin.css/",
        "GET /assets/base.html",
    ] {
        check(line, &[], "", (404, "")).await;
    }
    check("POST /assets/admin.js", &[], "", (405, "")).await;
}

#[tokio::test]
async fn ten_failures_lock_out_even_the_right_token_at_both_doors() {
    let stage = Stage::set().await;
    let wrong = format!("Authorization: Bearer {WRONG}");
    for attempt in 0..10 {
        match attempt % 2 {
            0 => check_at(&stage, "GET /api/stats", &[&wrong], "", (401, "token")).await,
            _ => {
                let answer = stage.post("", "/sign-in", &[("token", WRONG)]).await;
                assert_eq!(answer.status, 401);
                assert!(answer.headers.get("set-cookie").is_none());
            }
        }
    }
    check_at(&stage, "GET /api/stats", &[BEARER], "", (429, "locked_out")).await;
    let refused = stage.post("", "/sign-in", &[("token", TOKEN)]).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), "61");
    assert!(refused.headers.get("set-cookie").is_none());
    stage.clock.advance(Duration::from_secs(60));
    assert_eq!(stage.api(Method::GET, "/stats", "").await.0, 200);
    stage.sign_in().await;
}

#[tokio::test]
async fn who_brings_no_token_locks_nobody_out() {
    let stage = Stage::set().await;
    for _ in 0..20 {
        check_at(&stage, "GET /api/stats", &[], "", (401, "token")).await;
        check_at(&stage, "GET /", &[], "", (303, "")).await;
    }
    let frame = [
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Dest: iframe",
    ];
    for line in ["GET /api/stats", "GET /sign-in"] {
        check_at(&stage, line, &frame, "", (403, "")).await;
    }
    let link = [frame[0], frame[1], "Sec-Fetch-Dest: document"];
    check_at(&stage, "GET /api/stats", &link, "", (403, "origin")).await;
    check_at(&stage, "GET /sign-in", &link, "", (200, "")).await;
    assert_eq!(stage.api(Method::GET, "/stats", "").await.0, 200);
}

#[tokio::test]
async fn a_form_that_no_page_of_ours_made_is_refused() {
    let stage = Stage::set().await;
    let cookie = stage.sign_in().await;
    let csrf = stage.csrf(&cookie).await;
    let other = stage.sign_in().await;
    let other = stage.csrf(&other).await;
    let own = format!("http://{}", stage.address);
    let forms = [
        ("/invalidate", vec![("tags", "news"), ("confirmed", "yes")]),
        ("/clear", vec![("cache", "default")]),
        ("/explain", vec![("path", "/page")]),
        ("/sign-out", vec![]),
    ];
    for (path, form) in forms {
        let with = |csrf| [form.clone(), vec![("csrf", csrf)]].concat();
        // No word of ours, a wrong one, and one of another sign-in.
        for csrf in ["", "0", &other, TOKEN] {
            let answer = stage.post(&cookie, path, &with(csrf)).await;
            assert_eq!(answer.status, 403, "{path} {csrf}");
        }
        let answer = stage.post(&cookie, path, &form).await;
        assert_eq!(answer.status, 403, "{path}");
        // The right word, from somewhere else.
        for origin in [
            "null",
            "http://evil.example",
            "http://localhost:1",
            "https://evil.example",
            "",
        ] {
            let answer = stage
                .post_with(&cookie, path, &with(&csrf), &[("origin", origin)])
                .await;
            assert_eq!(answer.status, 403, "{path} {origin}");
        }
        let answer = stage.post_with(&cookie, path, &with(&csrf), &[]).await;
        assert_eq!(answer.status, 403, "{path} without an origin");
        for site in ["cross-site", "same-site"] {
            let headers = [("origin", own.as_str()), ("sec-fetch-site", site)];
            let answer = stage.post_with(&cookie, path, &with(&csrf), &headers).await;
            assert_eq!(answer.status, 403, "{path} {site}");
        }
        // As what no form sends.
        let headers = [("origin", own.as_str()), ("content-type", "text/plain")];
        let answer = stage.post_with(&cookie, path, &with(&csrf), &headers).await;
        assert_eq!(answer.status, 415, "{path}");
        // The word in the query, where addresses are written down.
        let answer = stage
            .post(&cookie, &format!("{path}?csrf={csrf}"), &form)
            .await;
        assert_eq!(answer.status, 400, "{path}");
        // Nobody's.
        let answer = stage.post("", path, &with(&csrf)).await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(stage.still_holds(), "{path}");
        assert_eq!(
            stage.page(&cookie, "/").await.status,
            200,
            "{path}: signed in still"
        );
    }
    assert_eq!(stage.calls(), 0, "nothing was asked of the program");
}

#[tokio::test]
async fn another_sites_page_embeds_nothing_and_signs_nobody_in() {
    let stage = Stage::set().await;
    let cookie = format!("Cookie: {}", stage.sign_in().await);
    for (site, mode) in [
        ("cross-site", "no-cors"),
        ("same-site", "no-cors"),
        ("cross-site", "cors"),
        ("cross-site", "websocket"),
    ] {
        let fields = [
            format!("Sec-Fetch-Site: {site}"),
            format!("Sec-Fetch-Mode: {mode}"),
        ];
        for line in [
            "GET /",
            "GET /assets/admin.js",
            "GET /assets/icon.svg",
            "GET /live",
        ] {
            check_at(
                &stage,
                line,
                &[&cookie, &fields[0], &fields[1]],
                "",
                (403, ""),
            )
            .await;
        }
    }
    let own = format!("http://{}", stage.address);
    for headers in [
        &[("origin", "http://evil.example")][..],
        &[("origin", "null")],
        &[],
        &[("origin", own.as_str()), ("sec-fetch-site", "cross-site")],
    ] {
        let answer = stage
            .post_with("", "/sign-in", &[("token", TOKEN)], headers)
            .await;
        assert_eq!(answer.status, 403, "{headers:?}");
        assert!(answer.headers.get("set-cookie").is_none());
    }
}

#[tokio::test]
async fn a_sign_in_takes_over_no_cookie_that_was_there_before() {
    let stage = Stage::set().await;
    let planted = format!("pitlane_admin={}", "a".repeat(64));
    let answer = stage.post(&planted, "/sign-in", &[("token", TOKEN)]).await;
    assert_eq!(answer.status, 303);
    let given = cookie_of(&answer);
    assert_ne!(given, planted);
    assert_eq!(
        stage.page(&planted, "/").await.status,
        303,
        "it opens nothing"
    );
    // And ends what it opened.
    let answer = stage.post(&given, "/sign-in", &[("token", TOKEN)]).await;
    let next = cookie_of(&answer);
    assert_eq!(stage.page(&given, "/").await.status, 303);
    assert_eq!(stage.page(&next, "/").await.status, 200);
}

#[tokio::test]
async fn a_sign_in_ends_with_its_sign_out_and_with_its_time() {
    let stage = Stage::set().await;
    let cookie = stage.sign_in().await;
    let csrf = stage.csrf(&cookie).await;
    let left = stage.post(&cookie, "/sign-out", &[("csrf", &csrf)]).await;
    assert_eq!(left.status, 303);
    let gone = left.header("set-cookie");
    assert!(
        gone.starts_with("pitlane_admin=; ") && gone.ends_with("; Max-Age=0"),
        "{gone}"
    );
    assert_eq!(stage.page(&cookie, "/").await.status, 303);
    let form = [("csrf", csrf.as_str()), ("cache", "default")];
    assert_eq!(stage.post(&cookie, "/clear", &form).await.status, 401);

    let cookie = stage.sign_in().await;
    let csrf = stage.csrf(&cookie).await;
    stage.clock.advance(Duration::from_secs(59 * 60));
    assert_eq!(stage.page(&cookie, "/").await.status, 200);
    stage.clock.advance(Duration::from_secs(60 * 60));
    assert_eq!(stage.page(&cookie, "/").await.status, 303);
    let form = [("csrf", csrf.as_str()), ("cache", "default")];
    assert_eq!(stage.post(&cookie, "/clear", &form).await.status, 401);
    assert!(stage.still_holds());
}

#[tokio::test]
async fn an_event_stream_ends_with_the_sign_in() {
    let stage = Stage::set().await;
    let cookie = stage.sign_in().await;
    let csrf = stage.csrf(&cookie).await;
    let url = format!("http://{}{BASE}/live", stage.address);
    let request = http::Request::get(url).header("cookie", &cookie);
    let request = request.body(http_body_util::Full::default()).unwrap();
    let client = pitlane_testkit::Client::new(pitlane_testkit::Protocol::Http1);
    let answer = client.begin(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let left = stage.post(&cookie, "/sign-out", &[("csrf", &csrf)]).await;
    assert_eq!(left.status, 303);
    let rest = http_body_util::BodyExt::collect(answer.into_body());
    let rest = tokio::time::timeout(Duration::from_secs(10), rest).await;
    assert!(rest.is_ok(), "the stream is still open");
}

#[tokio::test]
async fn a_cookie_of_another_mount_or_twice_is_nobody() {
    let (one, other) = (Stage::set().await, Stage::set().await);
    let cookie = one.sign_in().await;
    assert_eq!(other.page(&cookie, "/").await.status, 303);
    let tossed = format!("{cookie}; {cookie}");
    assert_eq!(one.page(&tossed, "/").await.status, 303);
    let tossed = format!("pitlane_admin=x; {cookie}");
    assert_eq!(one.page(&tossed, "/").await.status, 303);
    assert_eq!(one.page(&format!("a=b; {cookie}"), "/").await.status, 200);
}

#[tokio::test]
async fn the_way_back_after_a_sign_in_leads_nowhere_else() {
    let stage = Stage::set().await;
    for to in [
        "//evil.example",
        "/evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "x\r\nSet-Cookie: a=b",
    ] {
        let answer = stage
            .post("", "/sign-in", &[("token", TOKEN), ("to", to)])
            .await;
        assert_eq!(answer.status, 303, "{to}");
        let location = answer.header("location");
        assert!(
            location.starts_with(&format!("{BASE}/")),
            "{to}: {location}"
        );
        assert!(!location.contains("//"), "{to}: {location}");
    }
    // It is shown in a field, whatever it is.
    let to = encode(&[("to", "\"><script>alert(1)</script>")]);
    let form = stage.page("", &format!("/sign-in?{to}")).await;
    assert!(!form.text().contains("<script>alert"), "{}", form.text());
}

#[tokio::test]
async fn only_a_path_of_this_node_is_asked_for() {
    for body in [
        r#"{"path":"http://evil.example/"}"#,
        r#"{"path":"https://127.0.0.1/"}"#,
        r#"{"path":"//evil.example/"}"#,
        r#"{"path":"/\\evil.example"}"#,
        r#"{"path":"page"}"#,
        r#"{"path":""}"#,
        r#"{"path":"*"}"#,
        r#"{"path":"/page HTTP/1.1\r\nX: y"}"#,
        r#"{"path":"/page#part"}"#,
        r#"{"path":"/page x"}"#,
        r#"{"path":"/admin/cache/api/stats"}"#,
        r#"{"path":"/admin/cache"}"#,
        r#"{"path":"/page","headers":{"host":"evil.example"}}"#,
        r#"{"path":"/page","headers":{"Host":"me@localhost"}}"#,
        r#"{"path":"/page","headers":{"x":"a\r\nset-cookie: b"}}"#,
        r#"{"path":"/page","headers":{"a b":"c"}}"#,
        r#"{"path":"/page","headers":{"":"c"}}"#,
        r#"{"path":"/page","headers":{"connection":"upgrade"}}"#,
        r#"{"path":"/page","headers":{"transfer-encoding":"chunked"}}"#,
        r#"{"path":"/page","headers":{"content-length":"5"}}"#,
        r#"{"path":"/page","method":"POST"}"#,
        r#"{"path":"/page","method":"DELETE"}"#,
        r#"{"path":"/page","body":"x"}"#,
        r#"{"headers":{}}"#,
    ] {
        let stage = Stage::set().await;
        let refused = (422, "invalid");
        check_at(&stage, "POST /api/explain", &[BEARER, JSON], body, refused).await;
        assert_eq!(stage.calls(), 0, "{body}");
    }
    let stage = Stage::set().await;
    let body = r#"{"paths":["/page","http://evil.example/"]}"#;
    check_at(
        &stage,
        "POST /api/warm",
        &[BEARER, JSON],
        body,
        (422, "invalid"),
    )
    .await;
    let body = r#"{"paths":["/page"],"host":"evil.example"}"#;
    check_at(
        &stage,
        "POST /api/warm",
        &[BEARER, JSON],
        body,
        (422, "invalid"),
    )
    .await;
    assert_eq!(
        stage.calls(),
        0,
        "a mistake is found before the first is asked"
    );
    let stage = Stage::with(|admin| admin.add_site("site.example")).await;
    let body = r#"{"path":"/page","headers":{"host":"site.example"}}"#;
    check_at(
        &stage,
        "POST /api/explain",
        &[BEARER, JSON],
        body,
        (200, ""),
    )
    .await;
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn event_streams_are_bounded() {
    let stage = Stage::set().await;
    let client = pitlane_testkit::Client::new(pitlane_testkit::Protocol::Http1);
    let open = async || {
        let url = format!("http://{}{BASE}/api/events", stage.address);
        let request = http::Request::get(url).header("authorization", format!("Bearer {TOKEN}"));
        let request = request.body(http_body_util::Full::default()).unwrap();
        client.begin(request).await.unwrap()
    };
    let mut streams = Vec::new();
    for _ in 0..32 {
        let stream = open().await;
        assert_eq!(stream.status(), 200);
        streams.push(stream);
    }
    assert_eq!(open().await.status(), 503);
    drop(streams);
    // Who has left makes room when the next event is due.
    let room = async {
        while open().await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(10), room)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_secure_cookie_is_asked_for_where_a_proxy_speaks_tls() {
    let stage = Stage::with(pitlane_admin::Admin::https).await;
    let plain = format!("http://{}", stage.address);
    let answer = stage
        .post_with("", "/sign-in", &[("token", TOKEN)], &[("origin", &plain)])
        .await;
    assert_eq!(answer.status, 403);
    let origin = format!("https://{}", stage.address);
    let answer = stage
        .post_with("", "/sign-in", &[("token", TOKEN)], &[("origin", &origin)])
        .await;
    assert_eq!(answer.status, 303);
    assert!(
        answer
            .header("set-cookie")
            .ends_with("; SameSite=Strict; Secure")
    );
}

#[test]
fn a_file_that_holds_no_token_is_refused_and_not_shown() {
    use crate::stage::file;
    use pitlane_admin::{AdminToken, AdminTokenErrorKind as Kind};
    for (content, kind) in [
        (&b""[..], Kind::TooShort { length: 0 }),
        (
            b"0123456789abcdefghijklmnopqrstu",
            Kind::TooShort { length: 31 },
        ),
        (
            b"  0123456789abcdefghijklmnopqrstu \n",
            Kind::TooShort { length: 31 },
        ),
        (b"0123456789abcdef 0123456789abcdef", Kind::Unsendable),
        (b"0123456789abcdef\n0123456789abcdef", Kind::Unsendable),
        (b"0123456789abcdef0123456789abcd\xff\xff", Kind::Unsendable),
        (&[b'x'; 4097], Kind::TooLong),
    ] {
        let error = AdminToken::from_file(&file(content)).unwrap_err();
        assert_eq!(error.kind(), kind);
        let said = format!("{error} {error:?}");
        assert!(!said.contains("0123456789"), "{said}");
    }
    let error = AdminToken::from_file("/nowhere/token".as_ref()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot read the admin token from /nowhere/token: ")
    );
    let endless = AdminToken::from_file("/dev/zero".as_ref()).unwrap_err();
    assert_eq!(endless.kind(), Kind::TooLong);
}
