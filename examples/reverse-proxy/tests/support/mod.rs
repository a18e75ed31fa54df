//! A proxy in this process, origins to put behind it and clients to put before it.

pub(crate) mod client;
pub(crate) mod origin;
pub(crate) mod pipe;
pub(crate) mod proxies;
pub(crate) mod running;

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use reverse_proxy::{Options, Origin, cache_layer, caches, serve, stack};
use tokio::net::TcpListener;

use client::read_message;
use origin::read_head;

/// A proxy with the default options in front of `origin`. It lives as long as the test's runtime.
pub(crate) async fn proxy(origin: SocketAddr) -> SocketAddr {
    proxy_with(origin, &[]).await
}

/// The same with more flags.
pub(crate) async fn proxy_with(origin: SocketAddr, flags: &[&str]) -> SocketAddr {
    let origin = format!("http://{origin}");
    let options = options(&origin, flags);
    serving(&options, Origin::new(options.origin.clone())).await
}

/// A proxy that gives up on an origin after `timeout` without a sign of life.
pub(crate) async fn impatient_proxy(origin: SocketAddr, timeout: Duration) -> SocketAddr {
    let origin = format!("http://{origin}");
    let options = options(&origin, &[]);
    let origin = Origin::new(options.origin.clone()).header_timeout(timeout);
    serving(&options, origin).await
}

fn options(origin: &str, flags: &[&str]) -> Options {
    let always = [
        "reverse-proxy",
        "--listen",
        "127.0.0.1:0",
        "--origin",
        origin,
    ];
    Options::try_parse_from(always.iter().chain(flags)).expect("the flags are valid")
}

async fn serving(options: &Options, origin: Origin) -> SocketAddr {
    let caches = caches(options).expect("the sizes fit together");
    let cache = cache_layer(&caches, options).expect("a default cache");
    let (listener, address) = listen().await;
    tokio::spawn(serve(listener, stack(&cache, origin), pending()));
    address
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    (listener, address)
}

/// An address where nobody listens.
pub(crate) async fn nowhere() -> SocketAddr {
    listen().await.1
}

/// One exchange as both ends saw it.
pub(crate) struct Exchange {
    /// The header section that reached the origin; lower-case names, as hyper writes them.
    pub(crate) origin: String,
    /// The whole answer that reached the client.
    pub(crate) client: String,
    /// Where the origin listened.
    pub(crate) authority: String,
}

/// Sends raw bytes through a proxy to an origin that answers with raw bytes.
pub(crate) async fn exchange(request: impl AsRef<[u8]>, answer: impl AsRef<[u8]>) -> Exchange {
    let (listener, address) = listen().await;
    let proxy = proxy(address).await;
    let mut client = client::connect(proxy).await;
    client::write(&mut client, request).await;
    let (mut served, _) = listener.accept().await.expect("the proxy connects");
    let origin = read_head(&mut served).await;
    client::write(&mut served, answer).await;
    let client = read_message(&mut client).await;
    Exchange {
        origin,
        client,
        authority: address.to_string(),
    }
}

pub(crate) const EMPTY_OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
