//! Writes that are aborted wherever they can be.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{Method, StatusCode};
use pitlane::{CacheHint, Caches};
use pitlane_testkit::{Origin, Steps};
use tower::{Layer, Service};

use crate::drive::{FRESH, Pause, ask, bench, get, poll_once, request};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Commits,
    RollsBack,
    Panics,
}

/// A write with await points everywhere: before it owes, before, within and after its commit,
/// and after it has published.
async fn write(caches: Caches, committed: Arc<AtomicBool>, ending: Ending) {
    Pause::default().await;
    let mut owed = caches.owe(["row:1"]);
    owed.add(["rows"]);
    Pause::default().await;
    if ending == Ending::RollsBack {
        owed.cancel();
        Pause::default().await;
        return;
    }
    // The database commits, and its acknowledgement is still under way.
    committed.store(true, Ordering::SeqCst);
    Pause::default().await;
    if ending == Ending::Panics {
        std::panic::resume_unwind(Box::new("after the commit"));
    }
    let publishing = owed.publish();
    Pause::default().await;
    let _ = publishing.await.unwrap();
    Pause::default().await;
}

/// Drops the write after `polls` polls; says whether it had ended by then.
async fn check(polls: usize, ending: Ending) -> bool {
    let bench = bench();
    let service = bench.layer.layer(Origin::new(|request, call| async move {
        let tag = request.uri().path()[1..].to_owned();
        let mut reply = Origin::reply(FRESH, call.to_string());
        reply.extensions_mut().insert(CacheHint::tags([tag]));
        reply
    }));
    for path in ["/row:1", "/rows", "/other"] {
        get(&service, path).await;
    }
    let committed = Arc::new(AtomicBool::new(false));
    let mut ended = false;
    {
        let mut work = Box::pin(write(bench.caches, Arc::clone(&committed), ending));
        for _ in 0..polls {
            let poll = std::panic::AssertUnwindSafe(|| poll_once(work.as_mut()).is_ready());
            ended = std::panic::catch_unwind(poll).unwrap_or(true);
            if ended {
                break;
            }
        }
    }
    let committed = committed.load(Ordering::SeqCst);
    for path in ["/row:1", "/rows"] {
        let hit = get(&service, path).await.is_hit();
        let context = format!("{ending:?} dropped after {polls} polls");
        assert!(
            !(committed && hit),
            "{context}: an old {path} after the commit"
        );
        if ending == Ending::RollsBack && ended {
            assert!(hit, "{context}: nothing was written");
        }
    }
    assert!(get(&service, "/other").await.is_hit());
    ended
}

#[tokio::test]
async fn a_write_that_is_dropped_at_any_await_point_invalidates_what_it_committed() {
    for ending in [Ending::Commits, Ending::RollsBack, Ending::Panics] {
        let mut polls = 0;
        while !check(polls, ending).await {
            polls += 1;
        }
        assert!(polls >= 3, "{ending:?} has {polls} await points");
    }
}

#[tokio::test]
async fn a_cancelled_debt_invalidates_nothing() {
    let bench = bench();
    let origin = Origin::new(|_, _| async {
        let mut reply = Origin::reply(FRESH, "x");
        reply.extensions_mut().insert(CacheHint::tags(["row"]));
        reply
    });
    let service = bench.layer.layer(origin);
    get(&service, "/").await;
    bench.caches.owe(["row"]).cancel();
    assert!(get(&service, "/").await.is_hit());
    drop(bench.caches.owe(["row"]));
    assert!(!get(&service, "/").await.is_hit());
}

/// How often the handler of a POST waits.
const WAITS: usize = 4;

#[tokio::test]
async fn an_unsafe_request_dropped_after_its_handler_began_ends_its_uri_and_before_does_not() {
    for method in [
        Method::POST,
        Method::DELETE,
        Method::from_bytes(b"ODD").unwrap(),
    ] {
        for polls in 0..=WAITS {
            let bench = bench();
            let service = bench.layer.layer(Origin::new(|request, call| async move {
                if request.method() != Method::GET {
                    for _ in 0..WAITS {
                        Pause::default().await;
                    }
                }
                Origin::reply(FRESH, call.to_string())
            }));
            get(&service, "/a").await;
            get(&service, "/b").await;
            {
                // It is called at once, which alone must not count as begun.
                let call = service.clone().call(request(method.clone(), "/a", &[]));
                let mut write = pin!(call);
                for _ in 0..polls {
                    assert!(poll_once(write.as_mut()).is_pending());
                }
            }
            let hit = get(&service, "/a").await.is_hit();
            assert_eq!(hit, polls == 0, "{method} after {polls} polls");
            assert!(get(&service, "/b").await.is_hit());
        }
    }
}

#[tokio::test]
async fn only_an_unsafe_request_that_was_not_refused_ends_its_uri() {
    for (method, status, ends) in [
        (Method::POST, 200, true),
        (Method::PUT, 204, true),
        (Method::PATCH, 303, true),
        (Method::DELETE, 404, false),
        (Method::POST, 409, false),
        (Method::POST, 500, true),
        (Method::POST, 504, true),
        (Method::POST, 503, false),
        (Method::POST, 501, false),
        (Method::OPTIONS, 200, false),
        (Method::TRACE, 200, false),
        (Method::HEAD, 200, false),
    ] {
        let bench = bench();
        let service = bench.layer.layer(Origin::new(move |request, _| async move {
            let mut reply = Origin::reply(FRESH, "x");
            if request.method() != Method::GET {
                *reply.status_mut() = StatusCode::from_u16(status).unwrap();
            }
            reply
        }));
        get(&service, "/a").await;
        ask(&service, method.clone(), "/a", &[]).await;
        assert_eq!(
            get(&service, "/a").await.is_hit(),
            !ends,
            "{method} {status}"
        );
    }
}

#[tokio::test]
async fn the_uri_is_ended_before_the_writer_sees_its_answer() {
    let bench = bench();
    let service = bench.layer.layer(Origin::new(|request, _| async move {
        match *request.method() {
            Method::GET => Origin::reply(FRESH, "x"),
            _ => Steps::new().then(std::future::pending()).reply(&[]),
        }
    }));
    get(&service, "/a").await;
    let post = request(Method::POST, "/a", &[]);
    let head = tower::ServiceExt::oneshot(service.clone(), post)
        .await
        .unwrap();
    // Its body has not even begun.
    assert!(!get(&service, "/a").await.is_hit());
    drop(head);
}

#[tokio::test]
async fn a_write_that_failed_takes_nothing_away_that_may_stand_in() {
    let bench = bench();
    let down = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&down);
    let origin = Origin::new(move |_, call| {
        let down = seen.load(Ordering::SeqCst);
        async move {
            let mut reply = Origin::reply(FRESH, call.to_string());
            if down {
                *reply.status_mut() = StatusCode::BAD_GATEWAY;
            }
            reply
        }
    });
    let layer = bench
        .layer
        .stale_if_error(std::time::Duration::from_secs(600));
    let service = layer.layer(origin);
    get(&service, "/a").await;
    down.store(true, Ordering::SeqCst);
    ask(&service, Method::POST, "/a", &[]).await;
    let bridged = get(&service, "/a").await;
    assert_eq!((bridged.text(), bridged.detail()), ("1", "stale-if-error"));
    down.store(false, Ordering::SeqCst);
    let renewed = get(&service, "/a").await;
    assert_eq!((renewed.text(), renewed.is_hit()), ("4", false));
}
