//! Writes to routes that are not cached, on nodes that share a Redis.

use std::time::Duration;

use http::{HeaderName, Method};
use pitlane::{Caches, InvalidateLayer, Tag};
use pitlane_testkit::{Answer, Client, Origin, Protocol, RedisServer, Server};
use tower::Layer;

use crate::nodes::{Node, until};

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("cache-tag", "club:42")];
const POSITION: HeaderName = HeaderName::from_static("x-position");

/// A server for writes only, over a node's caches.
struct Writes {
    server: Server,
    client: Client,
}

impl Writes {
    async fn over(caches: &Caches) -> Self {
        let layer = InvalidateLayer::new(caches)
            .tags(|request| match request.uri.path() {
                "/api/clubs/42" => vec![Tag::from("club:42")],
                _ => Vec::new(),
            })
            .position_header(POSITION);
        Self {
            server: Server::start(layer.layer(Origin::counting(&[]))).await,
            client: Client::new(Protocol::Http1),
        }
    }

    async fn ask(&self, method: Method, path: &str) -> Answer {
        let url = self.server.url(path);
        self.client.ask(method, &url, &[("host", "site.org")]).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_on_one_node_ends_pages_on_all_and_tells_its_position() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let a = Node::joined(&redis, &origin).await;
    let b = Node::joined(&redis, &origin).await;
    let writes = Writes::over(&a.caches).await;
    for (write, read) in [("/x", "/x"), ("/api/clubs/42", "/y")] {
        b.get(read).await;
        assert!(b.get(read).await.is_hit());
        let answer = writes.ask(Method::POST, write).await;
        let position = answer.header("x-position").parse().expect("a position");
        // Whoever carries the position reads its own write on the other node.
        assert!(b.caches.reach(position).await);
        assert_eq!(b.get(read).await.detail(), "invalidated");
    }
    let read = writes.ask(Method::GET, "/y").await;
    assert_eq!(read.header("x-position"), "");
    assert!(b.get("/y").await.is_hit());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_write_is_owed_to_the_other_node() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let a = Node::joined(&redis, &origin).await;
    let b = Node::joined(&redis, &origin).await;
    b.get("/x").await;
    assert!(b.get("/x").await.is_hit());
    let hanging = Origin::new(|_, _| std::future::pending());
    let layer = InvalidateLayer::new(&a.caches);
    let server = Server::start(layer.layer(hanging.clone())).await;
    let client = Client::new(Protocol::Http1);
    let url = server.url("/x");
    let write = tokio::spawn(async move {
        client
            .ask(Method::POST, &url, &[("host", "site.org")])
            .await
    });
    until("the handler is called", || hanging.calls() == 1).await;
    write.abort();
    let heard = async {
        while b.get("/x").await.is_hit() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(10), heard).await;
    heard.expect("the other node hears of it");
}
