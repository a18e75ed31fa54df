//! Writes whose COMMIT takes its time, and who leaves meanwhile.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use axum::routing::post;
use pitlane_sqlx::Guarded;
use pitlane_testkit::Server;
use tokio::{io::AsyncWriteExt, net::TcpStream, runtime::Runtime};

use crate::{
    fixture::{CLUB, until},
    sqlite::{Database, rename},
};

#[tokio::test]
async fn a_handler_that_is_dropped_while_its_commit_waits_ends_what_it_changed_after_it() {
    let db = Database::new().await;
    db.site.warm().await;
    let tx = db.renaming("new").await;
    db.hold_commits().await;
    tokio::select! {
        ended = tx.commit() => panic!("it commits: {ended:?}"),
        () = db.until_a_commit_waits() => {}
    }
    // Whoever ends the page now has it stored again, old: the row is not new yet.
    db.site.check_kept("old").await;
    db.let_commits_go().await;
    assert_eq!(db.truth().await, "new");
    db.site.until_shown("new").await;
}

#[tokio::test]
async fn a_client_that_leaves_while_its_write_commits_takes_no_invalidation_along() {
    let db = Database::new().await;
    db.site.warm().await;
    let gone = Arc::new(AtomicBool::new(false));
    let (pool, caches, changes) = (&db.pool, &db.site.caches, &db.site.changes);
    let (pool, caches, changes) = (pool.clone(), caches.clone(), changes.clone());
    let is_gone = Arc::clone(&gone);
    let write = async move || {
        let _gone = Gone(is_gone);
        let mut tx = Guarded::begin(&pool, &caches, &changes).await.unwrap();
        rename(&mut tx, "new").await;
        tx.changed(&CLUB).unwrap();
        tx.commit().await.map(drop).unwrap();
    };
    let app = db.site.app.clone().route("/rename", post(write));
    let server = Server::start(app).await;

    db.hold_commits().await;
    let mut client = TcpStream::connect(server.address()).await.unwrap();
    let request = b"POST /rename HTTP/1.1\r\nhost: clubs.test\r\ncontent-length: 0\r\n\r\n";
    client.write_all(request).await.unwrap();
    db.until_a_commit_waits().await;
    drop(client);
    until("the handler is dropped", async || {
        gone.load(Ordering::SeqCst)
    })
    .await;
    db.site.check_kept("old").await;
    db.let_commits_go().await;
    assert_eq!(db.truth().await, "new");
    db.site.until_shown("new").await;
}

struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_commit_that_goes_unanswered_ends_again_and_again_what_it_may_have_changed() {
    let db = Database::new().await;
    db.site.warm().await;
    let tx = db.renaming("new").await.grace(Duration::from_millis(100));
    db.hold_commits().await;
    let committing = tokio::spawn(tx.commit());
    db.until_a_commit_waits().await;
    // Made by the first visitor, and ended twice since.
    db.site.until_made(3).await;
    assert!(!committing.is_finished());
    db.let_commits_go().await;
    let _ended = committing.await.unwrap().unwrap();
    db.site.until_shown("new").await;
}

#[tokio::test]
async fn a_pool_that_is_closed_owes_nothing_any_more() {
    let db = Database::new().await;
    db.site.warm().await;
    let tx = db.renaming("new").await;
    db.hold_commits().await;
    tokio::select! {
        ended = tx.commit() => panic!("it commits: {ended:?}"),
        () = db.until_a_commit_waits() => {}
    }
    let pool = db.pool.clone();
    let closing = tokio::spawn(async move { pool.close().await });
    db.site.check_kept("old").await;
    db.let_commits_go().await;
    closing.await.unwrap();
    db.site.check_ended("new").await;
}

#[test]
fn a_runtime_that_ends_while_a_commit_waits_pays_its_debt() {
    let of_writer = Runtime::new().unwrap();
    Runtime::new().unwrap().block_on(async {
        let db = Database::new().await;
        db.site.warm().await;
        let tx = db.renaming("new").await;
        db.hold_commits().await;
        of_writer.spawn(tx.commit());
        db.until_a_commit_waits().await;
        db.site.check_kept("old").await;
        of_writer.shutdown_background();
        // Nobody is left who could wait for the answer.
        db.site.until_made(2).await;
        db.let_commits_go().await;
    });
}

/// Drops a write after no poll, after one, and so on, until it ends before it is dropped.
#[tokio::test]
async fn a_write_that_is_dropped_anywhere_ends_what_it_committed() {
    const NAMES: [&str; 2] = ["even", "odd"];
    let db = Database::new().await;
    let mut dropped_and_committed = 0;
    let mut rounds = 0;
    while dropped_and_committed == 0 {
        rounds += 1;
        assert!(rounds < 100, "no write was dropped while it was committed");
        for polls in 0.. {
            db.site.get("/club").await;
            let name = NAMES[polls % 2];
            let before = db.truth().await;
            let write = async { db.renaming(name).await.commit().await.map(drop).unwrap() };
            let ended = polled(polls, write).await.is_some();
            let truth = db.truth().await;
            db.site.until_shown(&truth).await;
            if ended {
                assert_eq!(truth, name);
                break;
            }
            dropped_and_committed += usize::from(before != truth);
        }
    }
}

/// The output, unless the future is still pending after that many polls.
async fn polled<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(move |cx| {
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
