//! A client that leaves takes no invalidation along: its request is dropped
//! after every number of polls, and no page may be old afterwards.

use std::pin::pin;
use std::task::Poll;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Request, header};
use simlane::{Options, open};
use tower::ServiceExt;

/// What happens between the drop and the next look at the page.
#[derive(Clone, Copy)]
enum Meanwhile {
    /// Nothing.
    Quiet,
    /// Somebody asks for the page all the time, so that a page from before
    /// the commit is stored again.
    Readers,
}

#[tokio::test]
async fn a_write_that_is_dropped_anywhere_ends_what_it_changed() {
    check(Meanwhile::Quiet).await;
}

#[tokio::test]
async fn a_page_that_is_read_while_a_dropped_write_commits_does_not_stay() {
    check(Meanwhile::Readers).await;
}

async fn check(meanwhile: Meanwhile) {
    let opened = open(Options::default()).await.unwrap();
    let site = opened.router();
    // How many polls a write takes depends on the database's threads, so one
    // round may miss the moment of the commit.
    let (mut rounds, mut committed) = (0, 0);
    while rounds < 3 || committed == 0 {
        assert!(rounds < 100, "no write was dropped while it was committed");
        committed += round(&site, meanwhile, rounds).await;
        rounds += 1;
    }
}

/// Drops a write after no poll, after one, and so on until it ends before it
/// is dropped. Returns how many of the dropped ones were committed.
async fn round(site: &Router, meanwhile: Meanwhile, round: usize) -> usize {
    let mut dropped_and_committed = 0;
    for polls in 0..1000 {
        let before = shown(site).await;
        assert!(shown(site).await.is_hit());
        let name = format!("Zebra {round} {polls}");
        let what = format!("dropped after {polls} polls in round {round}");
        let write = site.clone().oneshot(patch("/api/clubs/1", &name));
        let answered = polled(polls, write).await.is_some();
        if !answered {
            // A hit never waits, so nothing has happened since the drop. Whoever
            // finds a miss here stores a page that the commit then makes old.
            assert!(
                shown(site).await.is_hit(),
                "{what}: ended before its commit"
            );
            settle(site, meanwhile).await;
        }
        let committed = truth(site).await.contains(&name);
        let after = shown(site).await;
        assert_eq!(after.body.contains(&name), committed, "{what}");
        assert!(committed || after.body == before.body, "{what}");
        if committed && (answered || matches!(meanwhile, Meanwhile::Quiet)) {
            assert!(
                after.cache_status.ends_with("stored; detail=invalidated"),
                "{what}"
            );
        }
        if answered {
            assert!(committed, "{what}");
            return dropped_and_committed;
        }
        dropped_and_committed += usize::from(committed);
    }
    panic!("the write never ends");
}

/// The output, unless the future is still pending after that many polls.
async fn polled<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // Dropped at once, while what it waits for is still being done.
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Waits until the database is done with the dropped write: two writers never
/// hold its lock together, so the second of two more writes comes after it.
async fn settle(site: &Router, meanwhile: Meanwhile) {
    let mut others = pin!(async {
        for _ in 0..2 {
            let answer = site
                .clone()
                .oneshot(patch("/api/events/1", "Okapi"))
                .await
                .unwrap();
            assert_eq!(answer.status(), 200);
        }
    });
    match meanwhile {
        Meanwhile::Quiet => others.await,
        Meanwhile::Readers => loop {
            tokio::select! {
                () = &mut others => return,
                // A hit never waits, so the others need to be let in.
                () = async { shown(site).await; tokio::task::yield_now().await } => {}
            }
        },
    }
}

struct Shown {
    cache_status: String,
    body: String,
}

impl Shown {
    fn is_hit(&self) -> bool {
        self.cache_status.starts_with("pitlane; hit; ")
    }
}

async fn shown(site: &Router) -> Shown {
    get(site, Request::get("/clubs/1")).await
}

/// The row as the database has it: with credentials no cache answers.
async fn truth(site: &Router) -> String {
    let request = Request::get("/api/clubs/1").header(header::AUTHORIZATION, "Bearer x");
    let answer = get(site, request).await;
    assert_eq!(
        answer.cache_status,
        "pitlane; fwd=bypass; detail=authorization"
    );
    answer.body
}

async fn get(site: &Router, request: http::request::Builder) -> Shown {
    let request = request.header(header::HOST, "simlane.test");
    let answer = site
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let cache_status = answer.headers()["cache-status"]
        .to_str()
        .unwrap()
        .to_owned();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    Shown {
        cache_status,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

fn patch(path: &str, name: &str) -> Request<Body> {
    Request::patch(path)
        .header(header::HOST, "simlane.test")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(format!(r#"{{"name":"{name}"}}"#)))
        .unwrap()
}
