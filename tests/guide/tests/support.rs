//! A cache with a lifetime, services on real sockets, and what a test waits for.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use pitlane::{AnonymousCacheLayer, Cache, Caches};
use pitlane_testkit::{Answer, Client, Protocol, Server};
use tower::Service;

pub(crate) const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Longer than anything here may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Every answer of this type may be stored.
pub(crate) const TEXT: &[(&str, &str)] = &[("content-type", "text/plain")];

/// A fresh cache of its own.
pub(crate) fn memory() -> Cache {
    let caches = Caches::builder().build().unwrap();
    caches.get("default").unwrap()
}

/// The layer that most pages of the guide are about, over a fresh cache.
pub(crate) fn cache() -> AnonymousCacheLayer {
    AnonymousCacheLayer::new(&memory()).ttl(MINUTE)
}

/// A service on a socket, and a client for it.
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) client: Client,
}

impl Site {
    pub(crate) async fn start<S, B>(protocol: Protocol, service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self {
            server: Server::start(service).await,
            client: Client::new(protocol),
        }
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.client.get(&self.server.url(path), headers).await
    }

    /// Asks in a task of its own.
    pub(crate) fn begin(&self, path: &str) -> tokio::task::JoinHandle<Answer> {
        let (client, url) = (self.client.clone(), self.server.url(path));
        tokio::spawn(async move { client.get(&url, &[]).await })
    }
}

#[track_caller]
pub(crate) fn check(answer: &Answer, status: u16, told: &str) {
    let seen = answer.header("cache-status");
    assert_eq!(answer.status, status, "{seen} {:?}", answer.body);
    assert!(seen.contains(told), "{told:?} is not in {seen:?}");
}

pub(crate) async fn within<F: Future>(what: &str, work: F) -> F::Output {
    let done = tokio::time::timeout(DEADLINE, work).await;
    done.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"))
}

pub(crate) async fn until(what: &str, mut met: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !met().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(what, wait).await;
}
