//! A request is never sent again once a byte of it was written.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::support::client::{ask, write};
use crate::support::origin::read_head;
use crate::support::{EMPTY_OK, listen, proxy};

const LOST: &str = "HTTP/1.1 502 Bad Gateway\r\n";

fn request(method: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
}

/// Accepts any number of connections, answers `answered` requests on each and closes it once it
/// has read one more. Counts every header section that arrived.
fn closing_origin(listener: TcpListener, answered: usize) -> Arc<AtomicUsize> {
    let arrived = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&arrived);
    tokio::spawn(async move {
        while let Ok((mut served, _)) = listener.accept().await {
            for nth in 0..=answered {
                read_head(&mut served).await;
                count.fetch_add(1, Ordering::SeqCst);
                if nth < answered {
                    write(&mut served, EMPTY_OK).await;
                }
            }
        }
    });
    arrived
}

async fn origin(answered: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let (listener, address) = listen().await;
    (address, closing_origin(listener, answered))
}

#[tokio::test]
async fn a_request_that_was_read_and_not_answered_arrived_once() {
    for method in ["GET", "POST", "PUT"] {
        let (address, arrived) = origin(0).await;
        let answer = ask(proxy(address).await, request(method)).await;
        assert!(answer.starts_with(LOST), "{method}: {answer}");
        assert_eq!(arrived.load(Ordering::SeqCst), 1, "{method}");
    }
}

/// The same on a connection that the pool had kept: nobody can know whether the origin acted on
/// the request before it closed, so it is lost rather than repeated, even a GET.
#[tokio::test]
async fn a_request_lost_on_a_pooled_connection_arrived_once() {
    for method in ["GET", "POST"] {
        let (address, arrived) = origin(1).await;
        let proxy = proxy(address).await;
        assert!(
            ask(proxy, request("GET"))
                .await
                .starts_with("HTTP/1.1 200 OK\r\n")
        );
        let answer = ask(proxy, request(method)).await;
        assert!(answer.starts_with(LOST), "{method}: {answer}");
        assert_eq!(arrived.load(Ordering::SeqCst), 2, "{method}");
    }
}

/// When the origin closes a pooled connection and the proxy has seen it, the next request is not
/// written to it at all: it gets a new connection, and that is its first time on any.
#[tokio::test]
async fn a_connection_closed_while_idle_costs_nothing() {
    for method in ["GET", "POST"] {
        let (listener, address) = listen().await;
        let proxy = proxy(address).await;
        let first = tokio::spawn(ask(proxy, request("GET")));
        let (mut served, _) = listener.accept().await.expect("the proxy connects");
        read_head(&mut served).await;
        write(&mut served, EMPTY_OK).await;
        assert!(
            first
                .await
                .expect("no panic")
                .starts_with("HTTP/1.1 200 OK\r\n")
        );

        tokio::io::AsyncWriteExt::shutdown(&mut served)
            .await
            .expect("an open connection");
        assert_eq!(
            served.read(&mut [0; 1]).await.expect("an orderly end"),
            0,
            "nothing arrived"
        );

        let second = tokio::spawn(ask(proxy, request(method)));
        let (mut served, _) = listener.accept().await.expect("the proxy connects again");
        assert!(read_head(&mut served).await.starts_with(method));
        write(&mut served, EMPTY_OK).await;
        assert!(
            second
                .await
                .expect("no panic")
                .starts_with("HTTP/1.1 200 OK\r\n"),
            "{method}"
        );
    }
}

#[tokio::test]
async fn connections_are_pooled() {
    let (listener, address) = listen().await;
    let arrived = closing_origin(listener, 5);
    let proxy = proxy(address).await;
    // The origin closes only after its sixth request, so six connections would all be answered.
    for _ in 0..5 {
        assert!(
            ask(proxy, request("GET"))
                .await
                .starts_with("HTTP/1.1 200 OK\r\n")
        );
    }
    assert!(ask(proxy, request("GET")).await.starts_with(LOST));
    assert_eq!(arrived.load(Ordering::SeqCst), 6);
}
