//! Requests arrive as they were sent, over HTTP/1.1 and HTTP/2.

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;

use crate::support::client::{ask, connect, http2, read_message, read_to_end, text, write};
use crate::support::origin::{Counting, full, read_head};
use crate::support::{EMPTY_OK, exchange, listen, proxy};

#[track_caller]
fn check_starts(message: &str, expected: &str) {
    assert!(
        message.starts_with(expected),
        "{message:?} does not start with {expected:?}"
    );
}

#[tokio::test]
async fn any_method_and_its_body_go_round() {
    let origin = Counting::echo().await;
    let proxy = proxy(origin.address).await;
    for (nth, method) in [
        "GET", "POST", "PUT", "DELETE", "PATCH", "QUERY", "FROB", "get", "M-!#$",
    ]
    .into_iter()
    .enumerate()
    {
        let request = format!("{method} /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
        let answer = ask(proxy, request).await;
        check_starts(&answer, "HTTP/1.1 200 OK\r\n");
        assert!(
            answer.ends_with(&format!("\r\n\r\n{method} /a?b\nbody")),
            "{answer:?}"
        );
        assert_eq!(origin.calls(), nth + 1);
    }
}

#[tokio::test]
async fn targets_are_forwarded_byte_for_byte_in_origin_form() {
    for (sent, arrived) in [
        ("GET /", "GET / "),
        ("GET /a//b/./../c%2Fd%00;x", "GET /a//b/./../c%2Fd%00;x "),
        ("GET /?", "GET /? "),
        ("GET /?a=1&&a=2;b=%26&", "GET /?a=1&&a=2;b=%26& "),
        ("GET http://other.example/p?q", "GET /p?q "),
        ("GET http://other.example", "GET / "),
        ("GET http://other.example?q", "GET /?q "),
        ("GET https://other.example/p", "GET /p "),
        ("OPTIONS *", "OPTIONS * "),
    ] {
        let request = format!("{sent} HTTP/1.1\r\nHost: x\r\n\r\n");
        check_starts(&exchange(request, EMPTY_OK).await.origin, arrived);
    }
}

#[tokio::test]
async fn chunks_reach_the_origin_even_with_get() {
    let origin = Counting::echo().await;
    let proxy = proxy(origin.address).await;
    for method in ["GET", "POST"] {
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        );
        let answer = ask(proxy, request).await;
        assert!(answer.ends_with(&format!("{method} /\nabc")), "{answer:?}");
    }
}

#[tokio::test]
async fn a_head_answer_keeps_its_length_and_has_no_body() {
    let request = "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n";
    let (listener, address) = listen().await;
    let mut client = connect(proxy(address).await).await;
    write(&mut client, request).await;
    let (mut served, _) = listener.accept().await.expect("the proxy connects");
    read_head(&mut served).await;
    write(&mut served, answer).await;
    let seen = read_to_end(&mut client).await;
    assert!(
        seen.contains("\r\ncontent-length: 1234\r\n") && seen.ends_with("\r\n\r\n"),
        "{seen}"
    );
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_served() {
    let origin = Counting::echo().await;
    let mut client = http2(proxy(origin.address).await).await;
    let request = Request::post("http://shop.example/a?b").body(Full::<Bytes>::from("body"));
    let response = client
        .send_request(request.expect("a request"))
        .await
        .expect("an answer");
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(text(response).await, "POST /a?b\nbody");
    assert_eq!(origin.calls(), 1);
}

#[tokio::test]
async fn connect_is_refused_on_both_versions() {
    let origin = Counting::echo().await;
    let proxy = proxy(origin.address).await;
    let answer = ask(
        proxy,
        "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
    )
    .await;
    check_starts(&answer, "HTTP/1.1 501 Not Implemented\r\n");
    assert!(
        answer.ends_with("this proxy does not open tunnels with CONNECT\n"),
        "{answer}"
    );

    let mut client = http2(proxy).await;
    let request = Request::connect("a.example:443").body(Empty::<Bytes>::new());
    let response = client
        .send_request(request.expect("a request"))
        .await
        .expect("an answer");
    assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED);
    assert_eq!(origin.calls(), 0);
}

#[tokio::test]
async fn continue_is_sent_before_the_body_and_asked_of_nobody_else() {
    let origin = Counting::start(|request: Request<Incoming>| async move {
        let asked = request.headers().contains_key("expect");
        let body = request.into_body().collect().await.expect("a body");
        full(format!("{asked} {}", body.to_bytes().len()))
    })
    .await;
    let mut client = connect(proxy(origin.address).await).await;
    let head = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    write(&mut client, head).await;
    let interim = read_head(&mut client).await;
    assert_eq!(interim, "HTTP/1.1 100 Continue\r\n\r\n");
    write(&mut client, "body").await;
    let answer = read_message(&mut client).await;
    assert!(answer.ends_with("false 4"), "{answer}");
}
