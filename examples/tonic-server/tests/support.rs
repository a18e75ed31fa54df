//! A server on a free port, and a client for it.

use std::time::Duration;

use clap::Parser;
use pitlane::Caches;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::Response;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic_server::proto::GetClubRequest;
use tonic_server::proto::clubs_client::ClubsClient;
use tonic_server::{Options, Racing, cache_layer, caches, serve};

/// Longer than anything here may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// The club that most tests ask for.
pub(crate) const OWLS: GetClubRequest = GetClubRequest { id: 2 };

/// A server that stops when it is dropped.
pub(crate) struct Running {
    pub(crate) service: Racing,
    pub(crate) caches: Caches,
    url: String,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let flags = ["tonic-server"].iter().chain(flags);
        let options = Options::try_parse_from(flags).unwrap();
        let caches = caches(&options).unwrap();
        let service = Racing::new(&caches, &options).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let layer = cache_layer(&caches).unwrap();
        let serving = service.clone();
        let task = tokio::spawn(async move {
            let served = serve(listener, layer, serving, std::future::pending()).await;
            panic!("serving has ended: {served:?}");
        });
        Self {
            service,
            caches,
            url,
            task,
        }
    }

    /// A client with a connection of its own.
    pub(crate) async fn client(&self) -> ClubsClient<Channel> {
        connect(&self.url).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) async fn connect(url: &str) -> ClubsClient<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    ClubsClient::new(endpoint.connect().await.unwrap())
}

/// What the cache says of an answer.
pub(crate) fn cache_status(metadata: &MetadataMap) -> &str {
    let status = metadata.get("cache-status");
    status.map_or("", |status| status.to_str().unwrap())
}

/// The last word of it.
pub(crate) fn detail<T>(response: &Response<T>) -> &str {
    let status = cache_status(response.metadata());
    status.rsplit("detail=").next().unwrap()
}

pub(crate) async fn until(what: &str, met: impl Fn() -> bool) {
    let wait = async {
        while !met() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(DEADLINE, wait).await;
    assert!(waited.is_ok(), "not within 10 s: {what}");
}
