//! The admin API over real sockets against everybody who should not get what they ask for.
//!
//! Each case has an API of its own, so that no failure counts towards another's lock-out, and ends
//! with the same two questions: did anything end that was cached, and does the right request work?

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use pitlane::{Cache, Caches, Claim, Clock, Freshness, Key, Timestamp};
use pitlane_testkit::{Answer, Client, Protocol};
use reverse_proxy::{Admin, AdminToken, serve};
use serde_json::Value;

use crate::support::client::{ask, connect, read_message, write};
use crate::support::listen;

const TOKEN: &str = "0123456789abcdefghijklmnopqrstuv";
const WRONG: &str = "0123456789abcdefghijklmnopqrstuw";
const INVALIDATE: &str = r#"{"tags":["news"]}"#;

/// An admin API over caches that hold one value.
struct Stage {
    address: SocketAddr,
    cache: Cache,
    clock: Clock,
}

impl Stage {
    async fn set() -> Self {
        let caches = Caches::builder().cache("default").build().unwrap();
        let cache = caches.get("default").unwrap();
        store(&cache).await;
        let clock = Clock::manual(Timestamp::from_millis(1_000_000));
        let (listener, address) = listen().await;
        let admin = Admin::with_clock(caches, token(TOKEN), address, clock.clone());
        tokio::spawn(serve(listener, admin, std::future::pending()));
        Self {
            address,
            cache,
            clock,
        }
    }

    fn still_holds(&self) -> bool {
        self.cache.get(&Key::new("page")).is_some()
    }

    /// A whole request: its first line, its fields after Host, and its body.
    async fn raw(&self, line: &str, fields: &[&str], body: &str) -> Refused {
        let mut request = format!("{line} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for field in fields {
            request.push_str(field);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        request.push_str(body);
        Refused::read(&ask(self.address, request).await)
    }

    async fn post(&self, protocol: Protocol, token: &str, body: &str) -> Answer {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}/api/invalidate", self.address))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())));
        Client::new(protocol).send(request.unwrap()).await
    }
}

async fn store(cache: &Cache) {
    let Claim::Fill(fill) = cache.claim(&Key::new("page")).await else {
        panic!("nothing is there yet");
    };
    let fresh = Freshness::new(Duration::from_secs(600));
    fill.store_with("text", fresh, ["news"]);
}

fn token(text: &str) -> AdminToken {
    let file = file(text.as_bytes());
    AdminToken::from_file(&file).unwrap()
}

fn file(content: &[u8]) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("reverse-proxy-token-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// What an answer says, as text.
#[derive(Debug)]
struct Refused {
    status: u16,
    head: String,
    body: Value,
}

impl Refused {
    fn read(message: &str) -> Self {
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        Self {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: serde_json::from_str(body).unwrap_or(Value::Null),
        }
    }

    /// Every refusal is JSON with a kind and a sentence, and nothing that a browser would act on.
    #[track_caller]
    fn check(&self, status: u16, kind: &str, says: &str) {
        let error = &self.body["error"];
        assert_eq!(
            (self.status, &error["kind"]),
            (status, &kind.into()),
            "{self:?}"
        );
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(says), "{message}");
        for field in [
            "content-type: application/json",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
        ] {
            assert!(self.head.contains(field), "{field}: {self:?}");
        }
        assert!(!self.head.contains("access-control"), "{self:?}");
        assert!(!self.head.contains("set-cookie"), "{self:?}");
    }
}

/// One request that must be refused, and change nothing.
async fn check(line: &str, fields: &[&str], body: &str, expected: (u16, &str, &str)) {
    let stage = Stage::set().await;
    let (status, kind, says) = expected;
    let refused = stage.raw(line, fields, body).await;
    refused.check(status, kind, says);
    assert!(stage.still_holds(), "{line} {fields:?} {body}");
    let done = stage.post(Protocol::Http1, TOKEN, INVALIDATE).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert!(!stage.still_holds(), "the right request works");
}

const BEARER: &str = "Authorization: Bearer 0123456789abcdefghijklmnopqrstuv";
const JSON: &str = "Content-Type: application/json";
const POST: &str = "POST /api/invalidate";

/// The length of [`INVALIDATE`].
const LENGTH: &str = "Content-Length: 17";

#[tokio::test]
async fn nobody_comes_in_without_the_token_in_its_place() {
    let wrong = "Authorization: Bearer 0123456789abcdefghijklmnopqrstuw";
    let short = "Authorization: Bearer 0123456789abcdefghijklmnopqrstu";
    let longer = "Authorization: Bearer 0123456789abcdefghijklmnopqrstuvx";
    let basic = "Authorization: Basic 0123456789abcdefghijklmnopqrstuv";
    let cookie = "Cookie: token=0123456789abcdefghijklmnopqrstuv";
    let header = "X-Admin-Token: 0123456789abcdefghijklmnopqrstuv";
    for fields in [
        &[][..],
        &[wrong],
        &[short],
        &[longer],
        &[basic],
        &["Authorization: Bearer"],
        &["Authorization:"],
        &[BEARER, BEARER],
        &[BEARER, wrong],
        &[cookie],
        &[header],
    ] {
        let fields = [fields, &[JSON, LENGTH]].concat();
        let expected = (401, "token", "Authorization: Bearer");
        check(POST, &fields, INVALIDATE, expected).await;
    }
    let expected = (401, "token", "Authorization: Bearer");
    let query = format!("{POST}?token={TOKEN}&access_token={TOKEN}");
    check(&query, &[JSON, LENGTH], INVALIDATE, expected).await;
    for line in [
        "GET /api/stats",
        "GET /",
        "GET /none",
        "OPTIONS /api/stats",
        "TRACE /",
    ] {
        check(line, &[], "", expected).await;
    }
    let preflight = [
        "Origin: http://site.org",
        "Access-Control-Request-Method: POST",
    ];
    check("OPTIONS /api/invalidate", &preflight, "", expected).await;
}

#[tokio::test]
async fn a_missing_token_is_asked_for_as_the_standard_says() {
    let stage = Stage::set().await;
    let refused = stage.raw("GET /api/stats", &[], "").await;
    assert!(
        refused.head.contains("\r\nwww-authenticate: bearer"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn only_json_is_read() {
    let expected = (415, "content_type", "application/json");
    for kind in [
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: multipart/form-data; boundary=x",
        "Content-Type: text/plain",
        "Content-Type: text/plain; application/json",
        "Content-Type: application/jsonp",
        "Content-Type:",
        "X-Content-Type: application/json",
    ] {
        check(POST, &[BEARER, kind, LENGTH], INVALIDATE, expected).await;
    }
    let both = [BEARER, JSON, "Content-Type: text/plain", LENGTH];
    check(POST, &both, INVALIDATE, expected).await;
}

#[tokio::test]
async fn a_get_changes_nothing_and_takes_nothing() {
    let method = (405, "method_not_allowed", "takes POST only");
    check("GET /api/invalidate", &[BEARER], "", method).await;
    let fields = [BEARER, JSON, LENGTH];
    check("GET /api/invalidate", &fields, INVALIDATE, method).await;
    check("PUT /api/invalidate", &fields, INVALIDATE, method).await;
    check("DELETE /api/invalidate", &[BEARER], "", method).await;
    let method = (405, "method_not_allowed", "takes GET only");
    check("POST /api/stats", &fields, INVALIDATE, method).await;
    let overridden = [BEARER, "X-HTTP-Method-Override: GET", JSON, LENGTH];
    check("POST /api/stats", &overridden, INVALIDATE, method).await;

    let body = (400, "body", "a GET has no body");
    check("GET /api/stats", &fields, INVALIDATE, body).await;
    let chunked = [BEARER, "Transfer-Encoding: chunked"];
    check("GET /api/stats", &chunked, "1\r\nx\r\n0\r\n\r\n", body).await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_a_query_is_not_ignored() {
    let expected = (404, "not_found", "GET /api/stats");
    for line in [
        "GET /",
        "GET /api/stats/",
        "GET //api/stats",
        "GET /api/%73tats",
    ] {
        check(line, &[BEARER], "", expected).await;
    }
    let expected = (400, "query", "no route takes a query");
    check("GET /api/stats?cache=api", &[BEARER], "", expected).await;
    let query = format!("{POST}?soft=true");
    check(&query, &[BEARER, JSON, LENGTH], INVALIDATE, expected).await;
}

#[tokio::test]
async fn another_host_is_refused_before_the_token_is_looked_at() {
    let stage = Stage::set().await;
    for host in [
        "Host: rebound.example",
        "Host: localhost.rebound.example:80",
        "Host: 10.1.2.3",
        "Host:",
        "X-Host: localhost",
        "Host: localhost\r\nHost: rebound.example",
        "Host: rebound.example\r\nX-Forwarded-Host: localhost",
    ] {
        for token in [BEARER, &format!("Authorization: Bearer {WRONG}")] {
            let fields = format!("{host}\r\n{token}\r\n{JSON}\r\n{LENGTH}");
            let request = format!("{POST} HTTP/1.1\r\n{fields}\r\n\r\n{INVALIDATE}");
            let refused = Refused::read(&ask(stage.address, request).await);
            refused.check(421, "host", "its own address");
        }
    }
    // None of these was an attempt at the token.
    assert!(stage.still_holds());
    for host in ["localhost", "127.0.0.1:1", "[::1]"] {
        let request = format!("GET /api/stats HTTP/1.1\r\nHost: {host}\r\n{BEARER}\r\n\r\n");
        let answer = ask(stage.address, request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
}

#[tokio::test]
async fn a_body_is_bounded_whether_or_not_it_says_how_long_it_is() {
    let large = (413, "too_large", "65536 bytes");
    let declared = [BEARER, JSON, "Content-Length: 65537"];
    // Refused before it is sent.
    check(POST, &declared, "", large).await;
    let stage = Stage::set().await;
    let mut client = connect(stage.address).await;
    let head = format!("{POST} HTTP/1.1\r\nHost: localhost\r\n{BEARER}\r\n{JSON}\r\n");
    write(
        &mut client,
        format!("{head}Transfer-Encoding: chunked\r\n\r\n"),
    )
    .await;
    let padding = " ".repeat(65536);
    write(&mut client, format!("10000\r\n{padding}\r\n1\r\n \r\n")).await;
    let refused = Refused::read(&read_message(&mut client).await);
    refused.check(413, "too_large", "65536 bytes");
    assert!(stage.still_holds());

    let largest = format!("{INVALIDATE}{}", " ".repeat(65536 - INVALIDATE.len()));
    let done = stage.post(Protocol::Http1, TOKEN, &largest).await;
    assert_eq!(done.status, 200, "{}", done.text());
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_said() {
    let stage = Stage::set().await;
    for (body, status, kind, says) in [
        (
            "",
            400,
            "malformed",
            "EOF while parsing a value at line 1 column 0",
        ),
        (
            "{\"tags\":[\"a\"",
            400,
            "malformed",
            "EOF while parsing a list at line 1",
        ),
        (
            "{'tags':[]}",
            400,
            "malformed",
            "key must be a string at line 1 column 2",
        ),
        (
            "{\"tags\":[\"a\"]}x",
            400,
            "malformed",
            "trailing characters at line 1",
        ),
        (
            "tags=news",
            400,
            "malformed",
            "the body is no JSON: expected ident",
        ),
        (
            "{\"tagz\":[\"a\"]}",
            422,
            "invalid",
            "unknown field `tagz`, expected one of `tags`",
        ),
        (
            "{\"tags\":\"a\"}",
            422,
            "invalid",
            "expected a sequence at line 1 column 11",
        ),
        ("{\"tags\":[1]}", 422, "invalid", "expected a string"),
        (
            "{\"tags\":[],\"tags\":[\"a\"]}",
            422,
            "invalid",
            "duplicate field `tags`",
        ),
        (
            "{\"tags\":[\"a\"],\"soft\":\"no\"}",
            422,
            "invalid",
            "expected a boolean",
        ),
        (
            "[[\"a\"],[],[],[],false]",
            422,
            "invalid",
            "must be a JSON object",
        ),
        ("null", 422, "invalid", "invalid type: null"),
        (
            "{}",
            422,
            "invalid",
            "at least one of tags, keys, prefixes and urls",
        ),
        (
            "{\"tags\":[],\"soft\":true}",
            422,
            "invalid",
            "at least one of tags",
        ),
        (
            "{\"tags\":[\"a\",\"\"]}",
            422,
            "invalid",
            "tags[1]: a tag has at least one",
        ),
        (
            "{\"keys\":[\"\"]}",
            422,
            "invalid",
            "keys[0]: an empty key at byte 0",
        ),
        (
            "{\"keys\":[\"a b\"]}",
            422,
            "invalid",
            "keys[0]: a character that must be",
        ),
        (
            "{\"urls\":[\"/page\"]}",
            422,
            "invalid",
            "urls[0]: \"/page\" is no absolute URL",
        ),
        (
            "{\"urls\":[\"http://me@x/\"]}",
            422,
            "invalid",
            "is no absolute URL",
        ),
        (
            "{\"prefixes\":[\"http://x/a?b\"]}",
            422,
            "invalid",
            "prefixes[0]: a prefix ends",
        ),
        (
            "{\"prefixes\":[\"http://\"]}",
            422,
            "invalid",
            "prefixes[0]: ",
        ),
        (
            "{\"tags\":[\"news\"],\"urls\":[\"x\"]}",
            422,
            "invalid",
            "urls[0]: ",
        ),
    ] {
        let length = format!("Content-Length: {}", body.len());
        let refused = stage.raw(POST, &[BEARER, JSON, &length], body).await;
        refused.check(status, kind, says);
        assert!(stage.still_holds(), "{body}");
    }
    let bytes = b"POST /api/invalidate HTTP/1.1\r\nHost: localhost\r\n".to_vec();
    let fields = format!("{BEARER}\r\n{JSON}\r\nContent-Length: 14\r\n\r\n");
    let request = [&bytes, fields.as_bytes(), b"{\"tags\":[\"\xff\"]}"].concat();
    let refused = Refused::read(&ask(stage.address, request).await);
    refused.check(400, "malformed", "invalid unicode");
}

#[tokio::test]
async fn ten_failures_lock_out_even_the_right_token_for_a_minute_on_both_versions() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let stage = Stage::set().await;
        for _ in 0..10 {
            let refused = stage.post(protocol, WRONG, INVALIDATE).await;
            assert_eq!(refused.status, 401, "{}", refused.text());
        }
        for token in [WRONG, TOKEN] {
            let refused = stage.post(protocol, token, INVALIDATE).await;
            assert_eq!(refused.status, 429, "{}", refused.text());
            let error: Value = serde_json::from_str(refused.text()).unwrap();
            assert_eq!(error["error"]["kind"], "locked_out");
            assert_eq!(refused.header("retry-after"), "61");
        }
        assert!(stage.still_holds());
        stage.clock.advance(Duration::from_secs(59));
        let refused = stage.post(protocol, TOKEN, INVALIDATE).await;
        assert_eq!(refused.header("retry-after"), "2");
        stage.clock.advance(Duration::from_secs(1));
        let done = stage.post(protocol, TOKEN, INVALIDATE).await;
        assert_eq!(done.status, 200, "{}", done.text());
        assert!(!stage.still_holds());
    }
}

#[tokio::test]
async fn failures_that_arrive_together_count_one_by_one() {
    let stage = Stage::set().await;
    let attempts = (0..40).map(|_| {
        let address = stage.address;
        tokio::spawn(async move {
            let fields = format!("Host: localhost\r\nAuthorization: Bearer {WRONG}");
            let request = format!("GET /api/stats HTTP/1.1\r\n{fields}\r\n\r\n");
            Refused::read(&ask(address, request).await).status
        })
    });
    let attempts: Vec<_> = attempts.collect();
    let mut seen = Vec::new();
    for attempt in attempts {
        seen.push(attempt.await.unwrap());
    }
    assert_eq!(seen.iter().filter(|status| **status == 401).count(), 10);
    assert_eq!(seen.iter().filter(|status| **status == 429).count(), 30);
}

#[test]
fn a_file_that_holds_no_token_is_refused_and_not_shown() {
    for (content, says) in [
        (&b""[..], "has 0 bytes, and must have at least 32"),
        (b"\n\n", "has 0 bytes"),
        (b"0123456789abcdefghijklmnopqrstu", "has 31 bytes"),
        (b"  0123456789abcdefghijklmnopqrstu \n", "has 31 bytes"),
        (b"0123456789abcdef 0123456789abcdef", "one line of ASCII"),
        (b"0123456789abcdef\n0123456789abcdef", "one line of ASCII"),
        (
            b"0123456789abcdef0123456789abcd\xc3\xa4",
            "one line of ASCII",
        ),
        (
            b"0123456789abcdef0123456789abcd\xff\xff",
            "one line of ASCII",
        ),
        (&[b'x'; 4097], "longer than 4096 bytes"),
    ] {
        let error = AdminToken::from_file(&file(content)).unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(said.contains(says), "{said}");
        assert!(!said.contains("0123456789"), "{said}");
    }
    let error = AdminToken::from_file("/nowhere/token".as_ref()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot read the admin token from /nowhere/token: ")
    );
    let endless = AdminToken::from_file("/dev/zero".as_ref()).unwrap_err();
    assert!(endless.to_string().contains("longer than"), "{endless}");
    assert!(AdminToken::from_file(&file(TOKEN.as_bytes())).is_ok());
    assert!(AdminToken::from_file(&file(format!("{TOKEN}\r\n").as_bytes())).is_ok());
}
