//! A leader that reads nothing, or leaves, stalls nobody: class 33.

use pitlane::{Caches, ResponseCacheLayer};
use pitlane_e2e::{Ask, send};
use pitlane_testkit::{Gate, Origin, Protocol, Server};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tower_layer::Layer;

use crate::bodies::{End, streamed};

const CHUNK: usize = 64 << 10;
/// More than the sockets between two processes hold.
const CHUNKS: usize = 512;

async fn start(gate: &Gate) -> (Server, Origin) {
    let caches = Caches::builder().memory(256 << 20).max_body(64 << 20);
    let cache = caches.build().unwrap().get("default").unwrap();
    let gate = gate.clone();
    let origin = Origin::new(move |_, _| {
        let gate = gate.clone();
        async move {
            gate.pass().await;
            streamed(&[], CHUNKS, CHUNK, End::Fine)
        }
    });
    let server = Server::start(ResponseCacheLayer::new(&cache).layer(origin.clone())).await;
    (server, origin)
}

/// Asks, and reads nothing.
async fn lead(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let request = b"GET /page HTTP/1.1\r\nHost: v.example\r\n\r\n";
    stream.write_all(request).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_of_a_leader_that_reads_nothing_are_answered_in_full() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let gate = Gate::new();
        let (server, origin) = start(&gate).await;
        let leader = lead(&server).await;
        gate.arrival().await;
        gate.open(1);
        for _ in 0..3 {
            let heard = send(protocol, server.address(), &Ask::get("/page"))
                .await
                .unwrap();
            assert_eq!(heard.body.len(), CHUNK * CHUNKS);
        }
        assert_eq!(origin.calls(), 1);
        drop(leader);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_of_a_leader_that_leaves_before_the_head_are_answered() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let gate = Gate::new();
        let (server, origin) = start(&gate).await;
        let leader = lead(&server).await;
        gate.arrival().await;
        let address = server.address();
        let followers: Vec<_> = (0..3)
            .map(|_| tokio::spawn(async move { send(protocol, address, &Ask::get("/page")).await }))
            .collect();
        drop(leader);
        gate.open(4);
        for follower in followers {
            let heard = follower.await.unwrap().unwrap();
            assert_eq!(heard.body.len(), CHUNK * CHUNKS);
        }
        assert!(origin.calls() <= 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_of_a_leader_that_leaves_within_the_body_are_answered() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let gate = Gate::new();
        gate.open(100);
        let (server, origin) = start(&gate).await;
        let leader = lead(&server).await;
        gate.arrival().await;
        let address = server.address();
        let follower =
            tokio::spawn(async move { send(protocol, address, &Ask::get("/page")).await });
        drop(leader);
        let heard = follower.await.unwrap().unwrap();
        assert_eq!(heard.body.len(), CHUNK * CHUNKS);
        let heard = send(protocol, address, &Ask::get("/page")).await.unwrap();
        assert_eq!(heard.body.len(), CHUNK * CHUNKS);
        assert!(origin.calls() <= 3);
    }
}
