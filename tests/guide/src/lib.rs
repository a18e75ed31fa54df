//! The pages of `docs/guide`: every block of code in them is a test. What the pages need to show
//! that their code does what they say is here.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use pitlane::Caches;
use pitlane_testkit::{Answer, Client, Protocol, Server};
use tokio::net::TcpListener;
use tonic::transport::Endpoint;
use tonic_server::Racing;
use tonic_server::proto::{GetClubRequest, clubs_client::ClubsClient};
use tower_service::Service;

#[doc = include_str!("../../../docs/guide/first-lines.md")]
mod first_lines {}

#[doc = include_str!("../../../docs/guide/layer-order.md")]
mod layer_order {}

#[doc = include_str!("../../../docs/guide/options.md")]
mod options {}

/// A server that a page has started, and clients of both HTTP versions.
#[derive(Debug)]
pub struct Site {
    server: Server,
    clients: [Client; 2],
}

impl Site {
    /// Serves on a free port of the loopback interface.
    pub async fn start<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        Self {
            server: Server::start(service).await,
            clients: [Protocol::Http1, Protocol::Http2].map(Client::new),
        }
    }

    /// Asks over HTTP/1.1 and says what `Cache-Status` has to tell.
    pub async fn told(&self, path: &str, headers: &[(&str, &str)]) -> String {
        self.get(path, headers)
            .await
            .header("cache-status")
            .to_owned()
    }

    /// Asks over HTTP/1.1.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let [client, _] = &self.clients;
        client.get(&self.server.url(path), headers).await
    }

    /// Sends any request over HTTP/1.1.
    pub async fn ask(&self, method: http::Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let [client, _] = &self.clients;
        client.ask(method, &self.server.url(path), headers).await
    }

    /// Checks that a page is a miss, and then a hit in both HTTP versions.
    ///
    /// # Panics
    ///
    /// When it isn't.
    pub async fn check_cached(&self, path: &str) {
        let told = self.told(path, &[]).await;
        assert!(told.contains("fwd=uri-miss; stored"), "{path}: {told}");
        for client in &self.clients {
            let answer = client.get(&self.server.url(path), &[]).await;
            assert!(answer.is_hit(), "{path}: {answer:?}");
        }
    }
}

/// Runs a server on a free port until a page of it was a miss, and then a hit in both HTTP
/// versions.
///
/// # Panics
///
/// When it wasn't, or when the server ends.
pub async fn check_server<E: std::fmt::Debug>(
    serve: impl AsyncFnOnce(TcpListener) -> Result<(), E>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let check = async {
        for (protocol, hit) in [
            (Protocol::Http1, false),
            (Protocol::Http1, true),
            (Protocol::Http2, true),
        ] {
            let answer = Client::new(protocol).get(&url, &[]).await;
            assert_eq!(answer.is_hit(), hit, "{protocol:?}: {answer:?}");
        }
    };
    tokio::select! {
        ended = serve(listener) => panic!("the server ended: {ended:?}"),
        () = check => {}
    }
}

/// Runs a gRPC server on a free port until a call of it was computed once, answered from the cache
/// the second time, and computed again for a caller with a token.
///
/// # Panics
///
/// When it wasn't, or when the server ends.
pub async fn check_calls<E: std::fmt::Debug>(
    serve: impl AsyncFnOnce(TcpListener, Racing) -> Result<(), E>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let caches = Caches::builder().build().expect("caches");
    let racing = Racing::new(&caches, Duration::ZERO).expect("a cache");
    let computed = racing.clone();
    let check = async {
        let channel = Endpoint::from_shared(url).expect("a URL").connect().await;
        let mut client = ClubsClient::new(channel.expect("a server"));
        for (token, status) in [
            (None, "fwd=uri-miss"),
            (None, "pitlane; hit"),
            (Some("Bearer secret"), "fwd=bypass"),
        ] {
            let mut call = tonic::Request::new(GetClubRequest { id: 1 });
            if let Some(token) = token {
                let token = token.parse().expect("a token");
                call.metadata_mut().insert("authorization", token);
            }
            let answer = client.get_club(call).await.expect("a club");
            let told = answer.metadata().get("cache-status").cloned();
            let told = told.expect("Cache-Status");
            assert!(told.to_str().expect("text").contains(status), "{told:?}");
        }
        assert_eq!(computed.computed(), 2);
    };
    tokio::select! {
        ended = serve(listener, racing) => panic!("the server ended: {ended:?}"),
        () = check => {}
    }
}
