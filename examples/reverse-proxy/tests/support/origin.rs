//! Origins: a hyper server that counts its calls, and helpers for raw ones.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

pub(crate) type TestBody = BoxBody<Bytes, Infallible>;

pub(crate) struct Counting {
    pub(crate) address: SocketAddr,
    calls: Arc<AtomicUsize>,
}

impl Counting {
    /// An HTTP/1.1 origin that answers with `handler`.
    pub(crate) async fn start<H, F>(handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<TestBody>> + Send + 'static,
    {
        let (listener, address) = super::listen().await;
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (handler, counter) = (handler.clone(), Arc::clone(&counter));
                let service = service_fn(move |request| {
                    counter.fetch_add(1, Ordering::SeqCst);
                    let answer = handler(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, calls }
    }

    /// Answers with the request line and the body that it got.
    pub(crate) async fn echo() -> Self {
        Self::start(|request: Request<Incoming>| async {
            let line = format!("{} {}\n", request.method(), request.uri());
            let body = request
                .into_body()
                .collect()
                .await
                .expect("a complete body")
                .to_bytes();
            full([line.as_bytes(), &body].concat())
        })
        .await
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

pub(crate) fn full(body: impl Into<Bytes>) -> Response<TestBody> {
    Response::new(Full::new(body.into()).boxed())
}

/// Reads up to the end of a header section, one byte at a time so that nothing after it is lost.
/// Bytes become characters one to one.
pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(char::from(
            stream.read_u8().await.expect("a complete header section"),
        ));
    }
    head
}
