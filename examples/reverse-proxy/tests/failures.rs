//! What a client sees when the origin, or the client itself, does not keep its side.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use pitlane_testkit::{Client, Protocol};

use crate::support::client::{ask, connect, http2, read_message, read_to_end, write};
use crate::support::origin::{Counting, read_head};
use crate::support::{exchange, impatient_proxy, listen, nowhere, proxy};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[track_caller]
fn check_error(answer: &str, status: &str, text: &str) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
        "{answer}"
    );
    assert!(answer.ends_with(&format!("\r\n\r\n{text}\n")), "{answer}");
}

#[tokio::test]
async fn an_origin_that_is_down_is_a_bad_gateway() {
    let answer = ask(proxy(nowhere().await).await, GET).await;
    check_error(&answer, "502 Bad Gateway", "the origin cannot be reached");
}

#[tokio::test]
async fn an_error_has_no_body_for_head() {
    let proxy = proxy(nowhere().await).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let url = format!("http://{proxy}/");
        let answer = Client::new(protocol).ask(Method::HEAD, &url, &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert!(answer.body.is_empty());
    }
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_a_bad_gateway() {
    for garbage in [
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
    ] {
        let seen = exchange(GET, garbage).await;
        check_error(
            &seen.client,
            "502 Bad Gateway",
            "the origin did not give a valid answer",
        );
    }
}

#[tokio::test]
async fn a_silent_origin_is_a_gateway_timeout() {
    let (listener, address) = listen().await;
    let proxy = impatient_proxy(address, Duration::from_millis(50)).await;
    let answer = ask(proxy, GET).await;
    check_error(
        &answer,
        "504 Gateway Timeout",
        "the origin did not answer in time",
    );
    drop(listener);
}

/// Nor is it stored, for all that its head allows it: each of the two clients asks the origin.
#[tokio::test]
async fn a_cut_off_answer_never_looks_complete() {
    for (framing, cut) in [
        ("Content-Length: 10\r\n", "half of"),
        ("Transfer-Encoding: chunked\r\n", "7\r\nhalf of\r\n"),
    ] {
        let (listener, address) = listen().await;
        let proxy = proxy(address).await;
        let origin = tokio::spawn(async move {
            for _ in 0..2 {
                let (mut served, _) = listener.accept().await.expect("the proxy connects");
                read_head(&mut served).await;
                write(
                    &mut served,
                    format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n{framing}\r\n{cut}"),
                )
                .await;
            }
        });

        let mut client = connect(proxy).await;
        write(&mut client, GET).await;
        let seen = read_to_end(&mut client).await.to_ascii_lowercase();
        assert!(seen.contains(&framing.to_ascii_lowercase()), "{seen}");
        assert!(
            seen.ends_with("half of") || seen.ends_with("half of\r\n"),
            "{seen}"
        );

        let mut client = http2(proxy).await;
        let request = Request::get("http://x/")
            .body(Empty::<Bytes>::new())
            .expect("a request");
        let response = client
            .send_request(request)
            .await
            .expect("a header section");
        assert!(response.into_body().collect().await.is_err(), "{framing}");
        origin.await.expect("no panic");
    }
}

#[tokio::test]
async fn a_malformed_request_body_is_the_clients_fault() {
    let (listener, address) = listen().await;
    let mut client = connect(proxy(address).await).await;
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    write(&mut client, head).await;
    let (mut served, _) = listener.accept().await.expect("the proxy connects");
    read_head(&mut served).await;
    write(&mut client, "not a chunk size\r\n").await;
    let answer = read_message(&mut client).await;
    check_error(
        &answer,
        "400 Bad Request",
        "the request body is malformed or incomplete",
    );
    // What the origin has is no complete request either: its last chunk is missing.
    assert!(!read_to_end(&mut served).await.contains("0\r\n\r\n"));
}

#[tokio::test]
async fn an_early_answer_is_relayed_before_the_upload_ends() {
    let (listener, address) = listen().await;
    let mut client = connect(proxy(address).await).await;
    write(
        &mut client,
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
    )
    .await;
    let (mut served, _) = listener.accept().await.expect("the proxy connects");
    read_head(&mut served).await;
    write(
        &mut served,
        "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let answer = read_message(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn the_proxy_serves_on_after_its_origin_came_back() {
    let (listener, address) = listen().await;
    drop(listener);
    let proxy = proxy(address).await;
    assert!(ask(proxy, GET).await.starts_with("HTTP/1.1 502 "));
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .expect("the same port");
    let origin = tokio::spawn(async move {
        let (mut served, _) = listener.accept().await.expect("the proxy connects");
        read_head(&mut served).await;
        write(&mut served, crate::support::EMPTY_OK).await;
    });
    assert!(ask(proxy, GET).await.starts_with("HTTP/1.1 200 "));
    origin.await.expect("no panic");
}

#[tokio::test]
async fn a_client_that_leaves_does_not_stop_the_others() {
    let origin = Counting::echo().await;
    let proxy = proxy(origin.address).await;
    let mut gone = connect(proxy).await;
    write(
        &mut gone,
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf",
    )
    .await;
    drop(gone);
    assert!(ask(proxy, GET).await.starts_with("HTTP/1.1 200 "));
}
