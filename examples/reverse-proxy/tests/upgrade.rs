//! `Upgrade`: a tunnel when both sides agree, an ordinary exchange when not.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::client::{connect, read_message, write};
use crate::support::origin::read_head;
use crate::support::{EMPTY_OK, exchange, listen, proxy, proxy_with};

fn wish(protocols: &str) -> String {
    format!(
        "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: {protocols}\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

#[tokio::test]
async fn bytes_are_echoed_through_a_tunnel() {
    for flags in [&["--no-cache"][..], &[], &["--ttl", "60s"]] {
        check_tunnel(flags).await;
    }
}

async fn check_tunnel(flags: &[&str]) {
    let (listener, address) = listen().await;
    let mut client = connect(proxy_with(address, flags).await).await;
    write(&mut client, wish("websocket")).await;
    let (mut served, _) = listener.accept().await.expect("the proxy connects");
    let head = read_head(&mut served).await;
    assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
    assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    assert!(
        head.contains("\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
        "{head}"
    );

    // The first bytes of the new protocol come together with the consent.
    let consent = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello";
    write(&mut served, consent).await;
    let answer = read_head(&mut client).await;
    assert!(
        answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{answer}"
    );
    for line in ["connection: upgrade", "upgrade: websocket"] {
        assert!(answer.contains(&format!("\r\n{line}\r\n")), "{answer}");
    }
    assert!(answer.contains("\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));

    let mut hello = [0; 5];
    client
        .read_exact(&mut hello)
        .await
        .expect("the origin's first bytes");
    assert_eq!(&hello, b"hello");
    for message in [&b"\x81\x85mask"[..], b"GET / HTTP/1.1\r\n\r\n", b"\0\xff"] {
        write(&mut client, message).await;
        let mut arrived = vec![0; message.len()];
        served
            .read_exact(&mut arrived)
            .await
            .expect("what the client sent");
        assert_eq!(arrived, message);
        write(&mut served, &arrived).await;
        client.read_exact(&mut arrived).await.expect("the echo");
        assert_eq!(arrived, message);
    }
    client.shutdown().await.expect("an open connection");
    assert_eq!(served.read(&mut [0; 1]).await.expect("an orderly end"), 0);
}

#[tokio::test]
async fn a_declined_upgrade_is_an_ordinary_answer() {
    let (listener, address) = listen().await;
    let mut client = connect(proxy(address).await).await;
    write(&mut client, wish("websocket")).await;
    let (mut served, _) = listener.accept().await.expect("the proxy connects");
    for _ in 0..2 {
        read_head(&mut served).await;
        write(&mut served, EMPTY_OK).await;
        let answer = read_message(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        write(&mut client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    }
}

#[tokio::test]
async fn http_itself_is_never_tunnelled() {
    for (asked, arrives) in [
        ("h2c", None),
        ("H2C, TLS/1.0, HTTP/2.0", None),
        ("h2c, websocket", Some("websocket")),
        ("foo/1, bar", Some("foo/1, bar")),
    ] {
        let head = exchange(wish(asked), EMPTY_OK).await.origin;
        let found = head.lines().find_map(|line| line.strip_prefix("upgrade: "));
        assert_eq!(found, arrives, "for {asked:?}");
        assert_eq!(
            head.contains("\r\nconnection: upgrade\r\n"),
            arrives.is_some(),
            "{head}"
        );
    }
}

#[tokio::test]
async fn an_upgrade_without_connection_is_not_asked_for() {
    let request = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n";
    let head = exchange(request, EMPTY_OK).await.origin;
    assert!(!head.contains("upgrade"), "{head}");
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_a_bad_gateway() {
    let consent =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let seen = exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n", consent).await;
    assert!(
        seen.client.starts_with("HTTP/1.1 502 Bad Gateway\r\n"),
        "{}",
        seen.client
    );
}
