//! The pages of `docs/guide`: every block of code in them is a test. What the pages need to show
//! that their code does what they say is here.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser as _;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use pitlane::{Cache, Caches, Clock};
use pitlane_testkit::{Answer, Client, Origin, Protocol, Reply, Server};
use tokio::net::TcpListener;
use tonic::transport::Endpoint;
use tonic_server::proto::{GetClubRequest, clubs_client::ClubsClient};
use tonic_server::{Options, Racing};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

#[doc = include_str!("../../../docs/guide/first-lines.md")]
mod first_lines {}

#[doc = include_str!("../../../docs/guide/layer-order.md")]
mod layer_order {}

#[doc = include_str!("../../../docs/guide/options.md")]
mod options {}

#[doc = include_str!("../../../docs/guide/data.md")]
mod data {}

#[doc = include_str!("../../../docs/guide/fragments.md")]
mod fragments {}

#[doc = include_str!("../../../docs/guide/locks.md")]
mod locks {}

#[doc = include_str!("../../../docs/guide/command.md")]
mod command {}

#[doc = include_str!("../../../docs/guide/stats.md")]
mod stats {}

#[doc = include_str!("../../../docs/guide/testing.md")]
mod testing {}

#[doc = include_str!("../../../docs/guide/explain.md")]
mod explain {}

#[doc = include_str!("../../../docs/guide/tracing.md")]
mod tracing {}

/// For files that are compiled with nothing but this crate.
#[doc(hidden)]
pub mod crates {
    pub use axum;
    pub use pitlane;
    pub use tower;
}

/// A handler of the kind that plain hyper has.
pub type Handler = Origin;

/// What a server asks of a service.
pub fn serve<S, B>(_: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
}

/// Makes answers of a service's errors, as the guide does.
pub fn answering<S, B>(
    inner: S,
) -> impl Service<Request<Incoming>, Response = Reply, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = BoxError>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    answering_with(inner, StatusCode::SERVICE_UNAVAILABLE)
}

/// The same with a status of one's own.
pub fn answering_with<S, B>(
    inner: S,
    status: StatusCode,
) -> impl Service<Request<Incoming>, Response = Reply, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = BoxError>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    service_fn(move |request| {
        let inner = inner.clone();
        async move {
            Ok(match inner.oneshot(request).await {
                Ok(answer) => answer.map(|body| body.map_err(Into::into).boxed_unsync()),
                Err(_) => {
                    let mut refusal = Origin::reply(&[], "");
                    *refusal.status_mut() = status;
                    refusal
                }
            })
        }
    })
}

/// Longer than anything here may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// A fresh cache, and the registry that it is in.
///
/// # Panics
///
/// Never: nothing of it can fail.
#[must_use]
pub fn cache() -> (Cache, Caches) {
    let caches = Caches::builder().build().expect("caches");
    (caches.get("default").expect("the cache"), caches)
}

/// The same with a clock that stands still until it is moved.
///
/// # Panics
///
/// Never: nothing of it can fail.
#[must_use]
pub fn cache_and_clock() -> (Cache, Caches, Clock) {
    let (caches, clock) = ::pitlane::testing::caches();
    (caches.get("default").expect("the cache"), caches, clock)
}

/// Serves, and runs what a page shows.
///
/// # Panics
///
/// When that fails.
pub fn shown<S, B>(service: S, show: impl AsyncFnOnce(&Site) -> Result<(), pitlane::Error>)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let site = Site::start(service).await;
        show(&site).await.expect("what is shown");
    });
}

/// Serves a handler behind a layer, and runs what a page shows.
///
/// The handler says how often it was asked, and for what. `/status/404` has that status, `/long` a
/// long text, `/nonce/N` a policy with that nonce, and `/language` tells the visitor's.
///
/// # Panics
///
/// When that fails.
pub fn demo<L, S, B>(layer: L, show: impl AsyncFnOnce(&Site) -> Result<(), pitlane::Error>)
where
    L: Layer<Origin, Service = S>,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let origin = Origin::new(|request, call| async move { answer(&request, call) });
    shown(layer.layer(origin), show);
}

fn answer(request: &Request<()>, call: usize) -> Reply {
    let text = |text: String| Origin::reply(&[("content-type", "text/plain")], text);
    let path = request.uri().path();
    let rest = |prefix| path.strip_prefix(prefix);
    if let Some(Ok(status)) = rest("/status/").map(str::parse) {
        let mut answer = text(format!("{status}"));
        *answer.status_mut() = status;
        return answer;
    }
    if let Some(nonce) = rest("/nonce/") {
        let policy = format!("script-src 'nonce-{nonce}'");
        let headers = [
            ("content-type", "text/html"),
            ("content-security-policy", &policy),
        ];
        return Origin::reply(&headers, format!("<script nonce={nonce}></script>"));
    }
    match path {
        "/long" => text("a page that repeats itself, ".repeat(100)),
        "/language" => {
            let language = request.headers().get("accept-language");
            let language = language.and_then(|language| language.to_str().ok());
            text(language.unwrap_or("no language").to_owned())
        }
        _ => text(format!("{call} {} {}", request.method(), request.uri())),
    }
}

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

    /// Sends a body over HTTP/1.1 and says what `Cache-Status` has to tell.
    ///
    /// # Panics
    ///
    /// When the method is none.
    pub async fn send(&self, method: &str, path: &str, body: &'static str) -> String {
        let [client, _] = &self.clients;
        let request = Request::builder().method(method).uri(self.server.url(path));
        let request = request.body(Full::from(body)).expect("a request");
        client.send(request).await.header("cache-status").to_owned()
    }

    /// Waits for what comes in the background.
    ///
    /// # Panics
    ///
    /// When it takes longer than anything may.
    pub async fn until(&self, what: &str, mut met: impl AsyncFnMut() -> bool) {
        let wait = async {
            while !met().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, wait).await;
        assert!(waited.is_ok(), "not within {DEADLINE:?}: {what}");
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
    let options = Options::parse_from(["tonic-server"]);
    let racing = Racing::new(&caches, &options).expect("a cache");
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
