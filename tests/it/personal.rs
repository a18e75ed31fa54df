//! What a session is written for while the answer streams is one visitor's: class 18.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::Request;
use pitlane::AnonymousCacheLayer;
use pitlane_e2e::{Ask, send};
use pitlane_testkit::{Protocol, Server, Steps};
use tower::ServiceExt;
use tower_layer::Layer;

use crate::runner::in_memory;

/// Whether somebody's session was written to.
#[derive(Clone, Default)]
struct Session(Arc<AtomicBool>);

/// Serves pages whose bodies, or whose heads, write into the session of whoever says `x-write`.
async fn start(in_body: bool) -> Server {
    let cache = in_memory().get("default").unwrap();
    let handler = tower::service_fn(move |request: Request<_>| {
        let session: Session = request.extensions().get().cloned().unwrap();
        let said = request.headers().get("x-write").cloned();
        let write = move |session: &Session| session.0.store(true, Ordering::SeqCst);
        if said.is_some() && !in_body {
            write(&session);
        }
        let page = async move {
            // The head is on its way, and the layer has judged it.
            tokio::task::yield_now().await;
            let Some(said) = said else {
                return "for everybody".into();
            };
            write(&session);
            format!("for {}", said.to_str().unwrap()).into()
        };
        let reply = Steps::new()
            .then(page)
            .data(".")
            .reply(&[("content-type", "text/html")]);
        std::future::ready(Ok::<_, Infallible>(reply))
    });
    let cached = AnonymousCacheLayer::new(&cache)
        .ttl(Duration::from_secs(60))
        .personal(|extensions| {
            let session = extensions.get::<Session>();
            session.is_some_and(|session| session.0.load(Ordering::SeqCst))
        })
        .layer(handler);
    Server::start(tower::service_fn(move |mut request: Request<_>| {
        request.extensions_mut().insert(Session::default());
        cached.clone().oneshot(request)
    }))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_is_written_for_is_shown_to_nobody_else() {
    for in_body in [false, true] {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let server = start(in_body).await;
            let ask = async |ask: Ask| send(protocol, server.address(), &ask).await.unwrap();
            let planted = Ask::get("/page").header("x-write", "evil");
            assert_eq!(ask(planted).await.body, "for evil.");
            for told in ["stored", "pitlane; hit"] {
                let heard = ask(Ask::get("/page")).await;
                assert_eq!(heard.body, "for everybody.", "{in_body} {protocol:?}");
                let passed = heard.header("cache-status").contains("hit-for-miss");
                let told = heard.header("cache-status").contains(told) || passed;
                assert!(told, "{in_body} {protocol:?}: {heard:?}");
            }
        }
    }
}
