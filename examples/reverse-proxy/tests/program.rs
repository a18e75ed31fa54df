//! The program itself: its flags, its exit codes, its one line of output, and its end.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::support::client::{connect, read_message, write};
use crate::support::origin::{Counting, read_head};
use crate::support::running::{output, signal, start};
use crate::support::{EMPTY_OK, listen, nowhere};

#[tokio::test]
async fn it_says_where_it_listens_and_forwards() {
    let origin = Counting::echo().await;
    let (_child, address) = start(origin.address, &[]).await;
    let mut client = connect(address).await;
    write(&mut client, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = read_message(&mut client).await;
    assert!(answer.ends_with("GET /a\n"), "{answer}");
}

#[tokio::test]
async fn a_signal_lets_requests_in_flight_finish() {
    for name in ["TERM", "INT"] {
        let (listener, origin) = listen().await;
        let (mut child, address) = start(origin, &[]).await;
        let idle = connect(address).await;
        let mut client = connect(address).await;
        write(&mut client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let (mut served, _) = listener.accept().await.expect("the proxy connects");
        read_head(&mut served).await;

        signal(&child, name).await;
        // The signal has worked when nobody listens any more; only then does the origin answer.
        assert!(is_refused(address).await, "SIG{name} was ignored");
        write(&mut served, EMPTY_OK).await;
        let answer = read_message(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert_eq!(
            child.wait().await.expect("an end").code(),
            Some(0),
            "SIG{name}"
        );
        drop(idle);
    }
}

/// Waits until nobody listens on an address; gives up after some ten seconds.
async fn is_refused(address: SocketAddr) -> bool {
    for _ in 0..1000 {
        if TcpStream::connect(address).await.is_err() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn an_address_in_use_is_exit_code_1() {
    let (_listener, taken) = listen().await;
    let taken = taken.to_string();
    let output = output(&["--listen", &taken, "--origin", "http://127.0.0.1:1"]).await;
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(
        complaint.contains(&format!("cannot listen on {taken}: ")),
        "{complaint}"
    );
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn a_usage_error_is_exit_code_2_and_names_the_flag() {
    let free = nowhere().await.to_string();
    let valid = ["--listen", &free, "--origin", "http://127.0.0.1:1"];
    for (flags, complaint) in [
        (
            &["--memory", "64MB"][..],
            "'64MB' for '--memory <SIZE>': \"64MB\" is no size: write a whole number",
        ),
        (
            &["--max-body", "x"],
            "'x' for '--max-body <SIZE>': \"x\" is no size: write a whole number",
        ),
        (
            &["--ttl", "60"],
            "'60' for '--ttl <DURATION>': \"60\" is no duration: write a whole number",
        ),
        (
            &["--memory", "8MiB"],
            "cannot set up the cache: the shared memory limit is 8388608 bytes, which can't hold a \
             body of max_body = 8388608 bytes",
        ),
        (
            &["--max-body", "64MiB", "--no-cache"],
            "raise the limit or lower max_body",
        ),
        (&["--profile", "cdn"], "'cdn' for '--profile <PROFILE>'"),
        (
            &["--redis", "http://127.0.0.1"],
            "cannot set up the cache: Redis can't be used as configured: the Redis URL must begin",
        ),
        (
            &["--redis", "redis://127.0.0.1", "--namespace", "a:b"],
            "the namespace is made of 1 to 64 letters, digits",
        ),
        (&["--namespace", "shop"], "--namespace needs Redis"),
        (&["--admin", "127.0.0.1:0"], "--admin-token-file <FILE>"),
        (&["--admin-token-file", "token"], "--admin <ADDR>"),
        (
            &["--metrics", "nowhere"],
            "'nowhere' for '--metrics <ADDR>'",
        ),
    ] {
        check_usage(&[&valid, flags].concat(), complaint).await;
    }
    for (origin, complaint) in [
        ("https://a.example", "the scheme must be http"),
        ("http://a.example/app", "only a host and port are allowed"),
        (
            "http://user:pw@a.example",
            "a user name or password does not belong",
        ),
        ("http://:80", "the host is missing"),
        ("a.example", "expected http://HOST or http://HOST:PORT"),
    ] {
        check_usage(&["--listen", &free, "--origin", origin], complaint).await;
    }
    check_usage(&["--listen", &free], "--origin <URL>").await;
    check_usage(
        &["--listen", "nowhere", "--origin", "http://a"],
        "--listen <ADDR>",
    )
    .await;
}

async fn check_usage(flags: &[&str], complaint: &str) {
    let output = output(flags).await;
    let seen = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "for {flags:?}: {seen}");
    assert!(seen.contains(complaint), "for {flags:?}: {seen}");
    assert!(output.stdout.is_empty());
}
