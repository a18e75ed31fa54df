//! How a transaction may end, and what that ends.

use std::{panic::AssertUnwindSafe, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use pitlane::{Caches, ErrorKind, Invalidated, Invalidation};
use pitlane_sqlx::{CommitErrorKind, Guarded};

use crate::{
    fixture::CLUB,
    sqlite::{Database, name, rename},
};

#[tokio::test]
async fn a_commit_ends_what_shows_the_row_before_it_returns() {
    let db = Database::new().await;
    db.site.warm().await;
    let tx = db.renaming("new").await;
    db.site.check_kept("old").await;
    let ended = tx.commit().await.unwrap();
    assert!(matches!(ended, Invalidated::Applied { .. }), "{ended:?}");
    db.site.check_ended("new").await;
}

#[tokio::test]
async fn a_commit_that_changed_nothing_ends_nothing() {
    let db = Database::new().await;
    db.site.warm().await;
    let _ended = db.begin().await.commit().await.unwrap();
    db.site.check_kept("old").await;
}

#[tokio::test]
async fn what_follows_from_no_row_ends_with_the_rest() {
    let db = Database::new().await;
    db.site.warm().await;
    let mut tx = db.begin().await;
    tx.also(
        Invalidation::default()
            .add_url("http://clubs.test/club")
            .unwrap(),
    );
    let _ended = tx.commit().await.unwrap();
    db.site.check_ended("old").await;
}

#[tokio::test]
async fn a_rollback_ends_nothing() {
    let db = Database::new().await;
    db.site.warm().await;
    db.renaming("new").await.rollback().await.unwrap();
    db.site.check_kept("old").await;
    assert_eq!(db.truth().await, "old");
}

#[tokio::test]
async fn a_transaction_that_is_dropped_ends_nothing() {
    let db = Database::new().await;
    db.site.warm().await;
    drop(db.renaming("new").await);
    db.site.check_kept("old").await;
    // Never polled, it has not begun.
    drop(db.renaming("new").await.commit());
    db.site.check_kept("old").await;
    assert_eq!(db.truth().await, "old");
}

#[tokio::test]
async fn a_panic_in_the_middle_ends_nothing() {
    let db = Database::new().await;
    db.site.warm().await;
    let mut tx = db.renaming("new").await;
    let panicked = tokio::spawn(async move {
        rename(&mut tx, "newer").await;
        std::panic::resume_unwind(Box::new("in the middle"));
    });
    assert!(panicked.await.unwrap_err().is_panic());
    db.site.check_kept("old").await;
    assert_eq!(db.truth().await, "old");
}

#[tokio::test]
async fn a_type_that_nobody_registered_is_an_error_and_the_transaction_rolls_back() {
    struct Unheard;

    async fn write(mut tx: Guarded<sqlx::Sqlite>) -> Result<(), pitlane::Error> {
        tx.changed(&Unheard)?;
        let _ended = tx.commit().await;
        Ok(())
    }

    let db = Database::new().await;
    db.site.warm().await;
    let error = write(db.renaming("new").await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownModel);
    assert!(error.to_string().contains("Unheard"), "{error}");
    db.site.check_kept("old").await;
    assert_eq!(db.truth().await, "old");
}

#[tokio::test]
async fn a_commit_that_is_refused_ends_what_it_might_have_changed_and_once_more_later() {
    let db = Database::new().await;
    db.site.warm().await;
    let mut tx = db.renaming("new").await.grace(Duration::from_millis(200));
    let team = sqlx::query("INSERT INTO teams (club) VALUES (404)");
    team.execute(&mut *tx).await.unwrap();
    let error = tx.commit().await.unwrap_err();
    assert_eq!(error.kind(), CommitErrorKind::Database);
    let cause = error
        .database_error()
        .and_then(|error| error.as_database_error());
    assert!(cause.unwrap().is_foreign_key_violation(), "{error:?}");
    db.site.check_ended("old").await;
    // Two reads so far: whoever asks again makes the page a third time.
    assert_eq!(db.site.reads(), 2);
    db.site.until_made(3).await;
    assert_eq!(db.truth().await, "old");
}

#[tokio::test]
async fn no_grace_is_short_enough_for_a_busy_loop() {
    let db = Database::new().await;
    for (said, is) in [(0, "100ms"), (99, "100ms"), (101, "101ms"), (5000, "5s")] {
        let tx = db.begin().await.grace(Duration::from_millis(said));
        let shown = format!("{tx:?}");
        assert!(shown.contains(&format!("grace: {is},")), "{shown}");
    }
}

#[tokio::test]
async fn a_panic_of_a_rule_ends_nothing() {
    let db = Database::new().await;
    db.site.warm().await;
    let changes = pitlane::changes::Changes::builder()
        .on_change::<i64>(|_| std::panic::resume_unwind(Box::new("a rule")))
        .build()
        .unwrap();
    let caches: &Caches = &db.site.caches;
    let mut tx = Guarded::begin(&db.pool, caches, &changes).await.unwrap();
    rename(&mut tx, "new").await;
    let told = std::panic::catch_unwind(AssertUnwindSafe(|| tx.changed(&1_i64)));
    assert!(told.is_err());
    drop(tx);
    db.site.check_kept("old").await;
    assert_eq!(db.truth().await, "old");
}

/// Its own answer is as old as the position that was noted before it wrote.
#[tokio::test]
async fn what_a_request_shows_that_also_writes_is_not_served_again() {
    let db = Database::new().await;
    let (pool, caches, changes) = (
        db.pool.clone(),
        db.site.caches.clone(),
        db.site.changes.clone(),
    );
    let visit = async move || {
        let mut tx = Guarded::begin(&pool, &caches, &changes).await.unwrap();
        let before = name(&mut tx).await;
        rename(&mut tx, "visited").await;
        tx.changed(&CLUB).unwrap();
        let ended = tx.commit().await;
        let _ended = ended.map_err(|_| StatusCode::BAD_GATEWAY)?;
        Ok::<_, StatusCode>(crate::fixture::shown(before, "club:1"))
    };
    let mut site = db.site;
    let layer = pitlane::AnonymousCacheLayer::new(&site.caches.get("default").unwrap());
    let layer = layer.ttl(Duration::from_secs(900));
    site.app = Router::new().route("/visit", get(visit)).layer(layer);
    assert_eq!(site.get("/visit").await.text, "old");
    let again = site.get("/visit").await;
    assert_eq!((again.is_hit, &*again.text), (false, "visited"));
}
