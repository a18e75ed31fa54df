//! What the proxy changes in a header section (RFC 9110 section 7.6), and what it leaves alone.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;

use crate::support::client::{ask, connect, http2, read_message, write};
use crate::support::origin::{Counting, read_head};
use crate::support::{EMPTY_OK, Exchange, exchange, listen, proxy};

#[track_caller]
fn check_has(head: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            head.contains(&format!("\r\n{line}\r\n")),
            "{line:?} is missing in:\n{head}"
        );
    }
}

#[track_caller]
fn check_lacks(head: &str, names: &[&str]) {
    for name in names {
        assert!(
            !head.contains(&format!("\r\n{name}:")),
            "{name:?} is left in:\n{head}"
        );
    }
}

async fn get(fields: &str) -> Exchange {
    exchange(format!("GET / HTTP/1.1\r\n{fields}\r\n"), EMPTY_OK).await
}

#[tokio::test]
async fn fields_of_one_connection_go_no_further() {
    const HOP: &str = "Connection: keep-alive, X-Hop\r\nConnection: ,x-other\r\nX-Hop: 1\r\nX-Other: 2\r\n\
        Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nX-End: 3\r\n";
    const NAMES: [&str; 6] = [
        "connection",
        "x-hop",
        "x-other",
        "keep-alive",
        "proxy-connection",
        "te",
    ];
    let request =
        format!("GET / HTTP/1.1\r\nHost: x\r\n{HOP}Proxy-Authorization: Basic eA==\r\n\r\n");
    let answer = format!(
        "HTTP/1.1 200 OK\r\n{HOP}Proxy-Authenticate: Basic\r\nUpgrade: foo\r\nContent-Length: 0\r\n\r\n"
    );
    let seen = exchange(request, answer).await;
    check_lacks(&seen.origin, &NAMES);
    check_lacks(&seen.origin, &["proxy-authorization"]);
    check_has(&seen.origin, &["x-end: 3"]);
    check_lacks(&seen.client, &NAMES);
    check_lacks(&seen.client, &["proxy-authenticate", "upgrade"]);
    check_has(&seen.client, &["x-end: 3"]);
}

#[tokio::test]
async fn connection_cannot_take_away_what_the_proxy_says() {
    let seen = get(
        "Host: shop.example\r\nConnection: host, via, x-forwarded-for, x-forwarded-host\r\n\
             X-Forwarded-Host: old.example\r\n",
    )
    .await;
    check_has(
        &seen.origin,
        &[
            "host: shop.example",
            "via: 1.1 pitlane",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: shop.example",
        ],
    );
}

#[tokio::test]
async fn unusual_values_are_unaltered() {
    let odd = b"GET / HTTP/1.1\r\nHost: x\r\nX-Odd: \xe9\xff \"a\",,;=\t(b)\r\nX-Empty:\r\n\
        X-Twice: 2\r\nX-Twice: 1\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n";
    let answer =
        b"HTTP/1.1 299 Very Fine\r\nX-Odd: \xe9\xff\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n";
    let seen = exchange(odd, answer).await;
    check_has(
        &seen.origin,
        &[
            "x-odd: \u{e9}\u{ff} \"a\",,;=\t(b)",
            "x-empty: ",
            "x-twice: 2\r\nx-twice: 1",
        ],
    );
    check_has(&seen.origin, &["cookie: a=1\r\ncookie: b=2"]);
    check_has(
        &seen.client,
        &["x-odd: \u{e9}\u{ff}", "set-cookie: a\r\nset-cookie: b"],
    );
    assert!(seen.client.starts_with("HTTP/1.1 299 "), "{}", seen.client);
}

#[tokio::test]
async fn te_is_passed_on_only_for_trailers() {
    for (sent, arrives) in [
        ("TE: trailers\r\nConnection: TE\r\n", true),
        ("TE: gzip;q=0.5, Trailers\r\n", true),
        ("TE: gzip\r\n", false),
        ("", false),
    ] {
        let seen = get(&format!("Host: x\r\n{sent}")).await;
        if arrives {
            check_has(&seen.origin, &["te: trailers", "connection: te"]);
        } else {
            check_lacks(&seen.origin, &["te", "connection"]);
        }
    }
}

#[tokio::test]
async fn the_host_is_the_one_the_client_asked_for() {
    check_has(
        &get("Host: Shop.Example:8080\r\n").await.origin,
        &["host: Shop.Example:8080"],
    );
    let absolute = "GET http://user@target.example:81/ HTTP/1.1\r\nHost: other.example\r\n\r\n";
    check_has(
        &exchange(absolute, EMPTY_OK).await.origin,
        &["host: target.example:81"],
    );
    let nameless = exchange("GET / HTTP/1.0\r\n\r\n", EMPTY_OK).await;
    let line = format!("host: {}", nameless.authority);
    check_has(&nameless.origin, &[&line, "via: 1.0 pitlane"]);
    assert!(
        nameless.origin.starts_with("GET / HTTP/1.1\r\n"),
        "{}",
        nameless.origin
    );
}

#[tokio::test]
async fn a_request_with_no_host_or_two_is_refused() {
    let origin = Counting::echo().await;
    let proxy = proxy(origin.address).await;
    for fields in ["", "Host: a\r\nHost: b\r\n", "Host: a\r\nHost: a\r\n"] {
        let answer = ask(proxy, format!("GET / HTTP/1.1\r\n{fields}\r\n")).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{fields:?}: {answer}"
        );
        assert!(
            answer.ends_with("the request needs exactly one Host\n"),
            "{answer}"
        );
    }
    assert_eq!(origin.calls(), 0);
}

#[tokio::test]
async fn the_client_is_reported_behind_those_before_it() {
    let plain = get("Host: a.example\r\n").await;
    check_has(
        &plain.origin,
        &[
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: a.example",
            "x-forwarded-proto: http",
            "via: 1.1 pitlane",
        ],
    );
    let behind = get(
        "Host: a.example\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\n\
        X-Forwarded-Host: b.example\r\nX-Forwarded-Proto: https\r\nVia: 2 edge\r\n",
    )
    .await;
    check_has(
        &behind.origin,
        &[
            "x-forwarded-for: 192.0.2.1, 192.0.2.2, 127.0.0.1",
            "x-forwarded-host: b.example",
            "x-forwarded-proto: https",
            "via: 2 edge, 1.1 pitlane",
        ],
    );
}

#[tokio::test]
async fn answers_name_the_proxy_and_the_version_it_received() {
    let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    check_has(
        &exchange(request, EMPTY_OK).await.client,
        &["via: 1.1 pitlane"],
    );
    let old = "HTTP/1.0 200 OK\r\nVia: 1.1 inner\r\nContent-Length: 0\r\n\r\n";
    let seen = exchange(request, old).await;
    check_has(&seen.client, &["via: 1.1 inner, 1.0 pitlane"]);
    assert!(
        seen.client.starts_with("HTTP/1.1 200 OK\r\n"),
        "{}",
        seen.client
    );
}

#[tokio::test]
async fn http2_becomes_proper_http1() {
    let (listener, address) = listen().await;
    let mut client = http2(proxy(address).await).await;
    let request = Request::get("http://shop.example:81/a")
        .header("host", "other.example")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("te", "trailers")
        .body(Empty::<Bytes>::new())
        .expect("a request");
    let answer = tokio::spawn(async move { client.send_request(request).await });
    let (mut served, _) = listener.accept().await.expect("the proxy connects");
    let head = read_head(&mut served).await;
    assert!(head.starts_with("GET /a HTTP/1.1\r\n"), "{head}");
    check_has(
        &head,
        &[
            "host: shop.example:81",
            "cookie: a=1; b=2",
            "via: 2 pitlane",
        ],
    );
    check_has(&head, &["te: trailers", "connection: te"]);
    check_lacks(&head, &["transfer-encoding", "content-length"]);
    write(
        &mut served,
        "HTTP/1.1 200 OK\r\nConnection: x\r\nX: 1\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let response = answer.await.expect("no panic").expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!response.headers().contains_key("x"));
}

#[tokio::test]
async fn a_transfer_coding_that_would_be_lost_is_refused() {
    let origin = Counting::echo().await;
    let proxy = proxy(origin.address).await;
    let request = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    let answer = ask(proxy, request).await;
    assert!(
        answer.starts_with("HTTP/1.1 501 Not Implemented\r\n"),
        "{answer}"
    );
    assert_eq!(origin.calls(), 0);

    let coded = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    let seen = exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n", coded).await;
    assert!(
        seen.client.starts_with("HTTP/1.1 502 Bad Gateway\r\n"),
        "{}",
        seen.client
    );
}

#[tokio::test]
async fn max_forwards_counts_down_and_ends_here_at_zero() {
    let seen = exchange(
        "OPTIONS / HTTP/1.1\r\nHost: x\r\nMax-Forwards: 3\r\n\r\n",
        EMPTY_OK,
    )
    .await;
    check_has(&seen.origin, &["max-forwards: 2"]);
    let seen = exchange(
        "GET / HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n",
        EMPTY_OK,
    )
    .await;
    check_has(&seen.origin, &["max-forwards: 0"]);

    let origin = Counting::echo().await;
    let mut client = connect(proxy(origin.address).await).await;
    for (method, status) in [
        ("OPTIONS", "204 No Content"),
        ("TRACE", "405 Method Not Allowed"),
    ] {
        let request = format!("{method} / HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n");
        write(&mut client, request).await;
        let answer = read_message(&mut client).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
    }
    assert_eq!(origin.calls(), 0);
}

#[tokio::test]
async fn a_length_is_passed_on_once_and_never_beside_chunks() {
    for (framing, body, arrives) in [
        ("Content-Length: 5, 5\r\n", "hello", "content-length: 5"),
        (
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "hello",
            "content-length: 5",
        ),
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "transfer-encoding: chunked",
        ),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{framing}\r\n{body}");
        let seen = exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n", answer)
            .await
            .client;
        check_has(&seen, &[arrives]);
        let lines = seen.matches("content-length: ").count();
        assert_eq!(
            lines + seen.matches("transfer-encoding: ").count(),
            1,
            "{seen}"
        );
        assert!(seen.ends_with(body), "{seen}");
    }
}
