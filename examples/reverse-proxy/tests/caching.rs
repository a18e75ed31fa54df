//! What is served from the cache, and what passes it.

use http::{Method, Request, StatusCode};
use http_body_util::Full;
use pitlane_testkit::{Answer, Client, Origin, Protocol, Server};

use crate::support::client::{ask, connect, read_message, write};
use crate::support::origin::Counting;
use crate::support::{nowhere, proxy_with};

const TTL: &[&str] = &["--ttl", "60s"];

/// A proxy before a counting origin, and a client for it.
struct Stage {
    origin: Origin,
    _server: Server,
    url: String,
    client: Client,
}

impl Stage {
    async fn set(origin: Origin, flags: &[&str], protocol: Protocol) -> Self {
        let server = Server::start(origin.clone()).await;
        let proxy = proxy_with(server.address(), flags).await;
        Self {
            origin,
            _server: server,
            url: format!("http://{proxy}/page"),
            client: Client::new(protocol),
        }
    }

    async fn get(&self, headers: &[(&str, &str)]) -> Answer {
        self.client.get(&self.url, headers).await
    }

    async fn ask(&self, method: Method) -> Answer {
        self.client.ask(method, &self.url, &[]).await
    }
}

fn told(answer: &Answer) -> &str {
    answer.header("cache-status")
}

#[tokio::test]
async fn the_second_request_is_a_hit_over_both_versions() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let stage = Stage::set(Origin::counting(&[]), TTL, protocol).await;
        let miss = stage.get(&[]).await;
        assert_eq!(
            told(&miss),
            "pitlane; fwd=uri-miss; stored; detail=uri-miss"
        );
        let hit = stage.get(&[]).await;
        assert!(hit.is_hit() && hit.detail() == "fresh", "{hit:?}");
        assert_eq!(hit.text(), "/page 1");
        assert!(!hit.header("age").is_empty());
        assert_eq!(hit.header("via"), "1.1 pitlane");
        assert_eq!(stage.origin.calls(), 1);

        // What one version stored is there for the other.
        for other in [Protocol::Http1, Protocol::Http2] {
            let hit = Client::new(other).get(&stage.url, &[]).await;
            assert!(hit.is_hit(), "{hit:?}");
        }
        assert_eq!(stage.origin.calls(), 1);
    }
}

#[tokio::test]
async fn a_cache_that_is_off_says_so() {
    let fresh = Origin::counting(&[("cache-control", "max-age=60")]);
    let stage = Stage::set(fresh, &["--no-cache", "--ttl", "60s"], Protocol::Http1).await;
    for (nth, method) in [Method::GET, Method::GET, Method::HEAD]
        .into_iter()
        .enumerate()
    {
        let answer = stage.ask(method).await;
        assert_eq!(told(&answer), "pitlane; fwd=bypass; detail=disabled");
        assert_eq!(stage.origin.calls(), nth + 1);
    }
}

#[tokio::test]
async fn every_answer_has_a_cache_status() {
    let down = nowhere().await;
    for (flags, get, post) in [
        (
            TTL,
            "pitlane; fwd=uri-miss; detail=status",
            "pitlane; fwd=method; detail=method",
        ),
        (
            &["--no-cache"],
            "pitlane; fwd=bypass; detail=disabled",
            "pitlane; fwd=bypass; detail=disabled",
        ),
    ] {
        let url = format!("http://{}/", proxy_with(down, flags).await);
        let client = Client::new(Protocol::Http2);
        for (method, expected) in [(Method::GET, get), (Method::POST, post)] {
            let answer = client.ask(method, &url, &[]).await;
            assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
            assert_eq!(answer.text(), "the origin cannot be reached\n");
            assert_eq!(told(&answer), expected);
        }
    }
    let origin = Counting::echo().await;
    let proxy = proxy_with(origin.address, TTL).await;
    for (request, status, told) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", "400 ", "host"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n", "501 ", "method"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nCache-Control: only-if-cached\r\n",
            "504 ",
            "only-if-cached",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0\r\n",
            "200 ",
            "range",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nCookie: id=1\r\n",
            "200 ",
            "cookie",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\n",
            "200 ",
            "authorization",
        ),
    ] {
        let answer = ask(proxy, format!("{request}\r\n")).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
        // What was made here was not forwarded.
        let forwarded = told != "only-if-cached";
        let begins = answer.contains("\r\ncache-status: pitlane; fwd=");
        assert_eq!(begins, forwarded, "{answer}");
        assert!(answer.contains(&format!("; detail={told}\r\n")), "{answer}");
    }
}

#[tokio::test]
async fn a_write_ends_what_was_stored_unless_it_was_refused() {
    for (method, status, ends) in [
        (Method::POST, 200, true),
        (Method::PUT, 204, true),
        (Method::PATCH, 303, true),
        (Method::DELETE, 202, true),
        (Method::POST, 409, false),
        // It may have failed after it was done.
        (Method::DELETE, 500, true),
        (Method::DELETE, 503, false),
        (Method::OPTIONS, 200, false),
    ] {
        let origin = Origin::new(move |request, call| async move {
            let mut reply = Origin::reply(&[], format!("{call}"));
            if request.method() != Method::GET {
                *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
            }
            reply
        });
        let stage = Stage::set(origin, TTL, Protocol::Http1).await;
        stage.get(&[]).await;
        assert!(stage.get(&[]).await.is_hit());
        let written = stage.ask(method.clone()).await;
        assert_eq!(written.status, status);
        let after = stage.get(&[]).await;
        assert_eq!(after.is_hit(), !ends, "after {method} {status}: {after:?}");
        assert_eq!(stage.origin.calls(), if ends { 3 } else { 2 });
    }
}

#[tokio::test]
async fn other_methods_pass_with_their_bodies() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let stage = Stage::set(Origin::counting(&[]), TTL, protocol).await;
        for (nth, method) in ["QUERY", "PROPFIND", "OPTIONS", "FROB", "QUERY"]
            .into_iter()
            .enumerate()
        {
            let request = Request::builder().method(method).uri(&stage.url);
            let answer = stage
                .client
                .send(request.body(Full::from("body")).expect("a request"));
            let answer = answer.await;
            assert_eq!(told(&answer), "pitlane; fwd=method; detail=method");
            assert_eq!(answer.text(), format!("/page {}", nth + 1));
        }
    }
}

#[tokio::test]
async fn a_get_with_a_body_passes() {
    let origin = Counting::echo().await;
    let proxy = proxy_with(origin.address, TTL).await;
    let request = "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n";
    for body in ["one.", "two."] {
        let answer = ask(proxy, format!("{request}{body}")).await;
        assert!(answer.contains("; detail=request-body\r\n"), "{answer}");
        assert!(answer.ends_with(body), "{answer}");
    }
}

#[tokio::test]
async fn a_head_is_answered_from_a_get_but_stores_nothing() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let stage = Stage::set(Origin::counting(&[]), TTL, protocol).await;
        let head = stage.ask(Method::HEAD).await;
        assert_eq!(told(&head), "pitlane; fwd=uri-miss; detail=head-miss");
        let get = stage.get(&[]).await;
        assert_eq!(get.text(), "/page 2");
        let head = stage.ask(Method::HEAD).await;
        assert!(head.is_hit() && head.body.is_empty(), "{head:?}");
        assert_eq!(head.header("content-length"), "7");
        assert_eq!(stage.origin.calls(), 2);
    }
}

#[tokio::test]
async fn a_client_that_has_the_page_gets_304_from_the_cache() {
    const DATED: &[(&str, &str)] = &[("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT")];
    let stage = Stage::set(Origin::counting(DATED), TTL, Protocol::Http1).await;
    stage.get(&[]).await;
    let etag = stage.get(&[]).await.header("etag").to_owned();
    for (name, value, status) in [
        ("if-none-match", &*etag, StatusCode::NOT_MODIFIED),
        ("if-none-match", "\"other\"", StatusCode::OK),
        ("if-modified-since", DATED[0].1, StatusCode::NOT_MODIFIED),
        (
            "if-modified-since",
            "Sun, 31 Dec 2023 00:00:00 GMT",
            StatusCode::OK,
        ),
    ] {
        let answer = stage.get(&[(name, value)]).await;
        assert_eq!(answer.status, status, "{name}: {value}");
        assert!(answer.is_hit(), "{answer:?}");
        assert_eq!(answer.body.is_empty(), status == StatusCode::NOT_MODIFIED);
    }
    assert_eq!(stage.origin.calls(), 1);
}

#[tokio::test]
async fn a_body_beyond_max_body_passes_whole() {
    let origin = Origin::new(|request, _| async move {
        let length = if request.uri().path() == "/page" {
            1025
        } else {
            1024
        };
        Origin::reply(&[], vec![b'x'; length])
    });
    let flags = ["--ttl", "60s", "--max-body", "1KiB"];
    let stage = Stage::set(origin, &flags, Protocol::Http1).await;
    for _ in 0..2 {
        let answer = stage.get(&[]).await;
        assert_eq!((answer.detail(), answer.body.len()), ("too-large", 1025));
    }
    let smaller = stage.url.replace("page", "line");
    stage.client.get(&smaller, &[]).await;
    let hit = stage.client.get(&smaller, &[]).await;
    assert!(hit.is_hit() && hit.body.len() == 1024, "{hit:?}");
}

/// `Connection` could make the origin see another request than the cache.
#[tokio::test]
async fn a_field_of_one_connection_selects_no_variant() {
    let origin = Origin::new(|request, _| async move {
        let language = request.headers().get("accept-language");
        let language = language.map_or("none", |value| value.to_str().expect("text"));
        Origin::reply(&[("vary", "accept-language")], language.to_owned())
    });
    let stage = Stage::set(origin, TTL, Protocol::Http1).await;
    let host = stage
        .url
        .trim_start_matches("http://")
        .trim_end_matches("/page");
    let mut client = connect(host.parse().expect("an address")).await;
    let request = format!(
        "GET /page HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, Accept-Language\r\n\
         Accept-Language: de\r\n\r\n"
    );
    write(&mut client, &request).await;
    let odd = read_message(&mut client).await;
    assert!(odd.ends_with("none"), "{odd}");
    assert!(odd.contains("; detail=connection\r\n"), "{odd}");
    let german = stage.get(&[("accept-language", "de")]).await;
    assert!(!german.is_hit() && german.text() == "de", "{german:?}");
}

/// The server puts the client's address into an extension, which the cache must hand on.
#[tokio::test]
async fn the_client_is_reported_on_a_miss_and_on_a_bypass() {
    let origin = Origin::new(|request, _| async move {
        let client = request.headers().get("x-forwarded-for").cloned();
        let client = client.map_or_else(Vec::new, |value| value.as_bytes().to_vec());
        Origin::reply(&[], client)
    });
    let stage = Stage::set(origin, TTL, Protocol::Http2).await;
    let bypass = stage.get(&[("cookie", "id=1")]).await;
    assert_eq!((bypass.detail(), bypass.text()), ("cookie", "127.0.0.1"));
    let write = stage.ask(Method::POST).await;
    assert_eq!((write.detail(), write.text()), ("method", "127.0.0.1"));
    let miss = stage.get(&[]).await;
    assert_eq!((miss.detail(), miss.text()), ("uri-miss", "127.0.0.1"));
}
