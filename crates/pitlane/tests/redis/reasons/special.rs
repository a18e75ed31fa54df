//! The reasons that need more than one request at a time, or one that is left.

use std::{
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use pitlane::{Caches, Outcome, Reason, ResponseCacheLayer};
use pitlane_testkit::{Gate, Origin};
use tower::{Layer, ServiceExt};

use super::case::{Answer, Handler, ask, counts, reply, send, service};

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];

pub(super) async fn all() -> [Reason; 4] {
    [
        stored().await,
        collapsed().await,
        abandoned().await,
        slow().await,
    ]
}

fn get() -> Request<Full<Bytes>> {
    Request::get("http://site.test/")
        .body(Full::default())
        .unwrap()
}

/// It is how a computation ends that went well.
async fn stored() -> Reason {
    let cache = Caches::builder().build().unwrap().get("default").unwrap();
    let handler: Handler = Arc::new(|_, _| reply(FRESH, "x"));
    let service = service(&ResponseCacheLayer::new(&cache), &handler);
    assert!(ask(&service, get()).await.stored);
    send(&service, get()).await.unwrap();
    assert_eq!(cache.fills(), [(Reason::Stored, 1)]);
    Reason::Stored
}

async fn collapsed() -> Reason {
    let cache = Caches::builder().build().unwrap().get("default").unwrap();
    let gate = Gate::new();
    let held = gate.clone();
    let handler: Handler = Arc::new(move |_, call| -> Answer {
        let held = held.clone();
        Box::pin(async move {
            if call == 1 {
                held.pass().await;
            }
            Ok(Origin::reply(FRESH, "x"))
        })
    });
    let service = service(&ResponseCacheLayer::new(&cache), &handler);
    let mut cx = Context::from_waker(Waker::noop());
    let mut first = Box::pin(send(&service, get()));
    assert!(first.as_mut().poll(&mut cx).is_pending());
    let why = ask(&service, get()).await;
    assert_eq!(
        (why.outcome, why.reason),
        (Outcome::Collapsed, Reason::Collapsed)
    );
    let mut second = Box::pin(send(&service, get()));
    assert!(second.as_mut().poll(&mut cx).is_pending());
    gate.open(1);
    let (_, answer) = tokio::join!(first, second);
    let answer = answer.unwrap();
    let said = answer.headers()["cache-status"].to_str().unwrap();
    assert!(said.ends_with("detail=collapsed"), "{said}");
    let counted = counts(&cache);
    assert!(
        counted.contains(&(Outcome::Collapsed, Reason::Collapsed, 1)),
        "{counted:?}"
    );
    Reason::Collapsed
}

/// An answer whose body does not end.
fn endless() -> Answer {
    let (mut sender, body) = http_body_util::channel::Channel::<Bytes, _>::new(1);
    tokio::spawn(async move {
        let _ = sender.send_data(Bytes::from_static(b"x")).await;
        std::future::pending::<()>().await;
    });
    let body = http_body_util::combinators::UnsyncBoxBody::new(body);
    let reply = Origin::reply(FRESH, "").map(|_| body);
    Box::pin(async { Ok(reply) })
}

async fn abandoned() -> Reason {
    let cache = Caches::builder().build().unwrap().get("default").unwrap();
    let layer = ResponseCacheLayer::new(&cache);
    let inner = tower::service_fn(|_: Request<Full<Bytes>>| endless());
    let service = layer.layer(inner);
    let (request, asked) = pitlane::explain::Asking::mark(get()).unwrap();
    drop(service.clone().oneshot(request).await.unwrap());
    let why = asked.explanations().remove(0);
    assert_eq!(
        (why.outcome, why.reason),
        (Outcome::Miss, Reason::Abandoned)
    );
    drop(service.oneshot(get()).await.unwrap());
    assert_eq!(cache.fills(), [(Reason::Abandoned, 1)]);
    Reason::Abandoned
}

/// Whoever asks why keeps nobody waiting, so this can't be asked about.
async fn slow() -> Reason {
    let cache = Caches::builder().build().unwrap().get("default").unwrap();
    let layer = ResponseCacheLayer::new(&cache).patience(Duration::from_millis(20));
    let service = layer.layer(tower::service_fn(|_: Request<Full<Bytes>>| endless()));
    let _first = service.clone().oneshot(get()).await.unwrap();
    // It waits for the first one's body, loses its patience, and asks for itself.
    let _second = service.oneshot(get()).await.unwrap();
    assert_eq!(cache.fills(), [(Reason::SlowBody, 1)]);
    Reason::SlowBody
}
