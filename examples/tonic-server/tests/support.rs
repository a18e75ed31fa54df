//! A server on a free port, and a client for it.

use std::time::Duration;

use clap::Parser;
use pitlane::Caches;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::Response;
use tonic::transport::{Channel, Endpoint};
use tonic_server::proto::clubs_client::ClubsClient;
use tonic_server::{Options, Racing, cache_layer, caches, serve};

/// Longer than anything here may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// A server that stops when it is dropped.
pub(crate) struct Running {
    pub(crate) service: Racing,
    pub(crate) caches: Caches,
    url: String,
    task: JoinHandle<()>,
}

impl Running {
    /// With its cache in memory.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let flags = ["tonic-server"].iter().chain(flags);
        let options = Options::try_parse_from(flags).unwrap();
        let caches = caches(&options).unwrap();
        let service = Racing::new(&caches, options.handler_delay).unwrap();
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
pub(crate) fn detail<T>(response: &Response<T>) -> &str {
    let status = response.metadata().get("cache-status");
    let status = status.expect("a cache status").to_str().unwrap();
    status.rsplit("detail=").next().unwrap()
}
