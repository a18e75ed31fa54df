//! Parts of a transaction that are rolled back alone.

use pitlane::changes::Change;

use crate::{
    fixture::{CLUB, Club},
    sqlite::{Database, rename},
};

#[tokio::test]
async fn what_a_released_part_changed_ends_with_the_whole() {
    let db = Database::new().await;
    db.site.warm().await;
    let mut tx = db.begin().await;
    let mut part = tx.savepoint().await.unwrap();
    let mut inner = part.savepoint().await.unwrap();
    rename(&mut inner, "new").await;
    inner.note(Change::Somehow(&CLUB)).unwrap();
    inner.release().await.unwrap();
    part.release().await.unwrap();
    db.site.check_kept("old").await;
    assert_eq!(tx.touched().len(), 1);
    let _ended = tx.commit().await.unwrap();
    db.site.check_ended("new").await;
}

#[tokio::test]
async fn what_a_part_changed_that_was_rolled_back_ends_nothing() {
    let db = Database::new().await;
    db.site.warm().await;
    let mut tx = db.begin().await;
    tx.changed(&Club { id: 7 }).unwrap();
    for is_said in [true, false] {
        let mut part = tx.savepoint().await.unwrap();
        rename(&mut part, "new").await;
        let mut inner = part.savepoint().await.unwrap();
        inner.changed(&CLUB).unwrap();
        inner.release().await.unwrap();
        part.changed(&CLUB).unwrap();
        if is_said {
            part.rollback().await.unwrap();
        }
    }
    assert_eq!(tx.touched().names(), pitlane::tags!["club:7"]);
    let _ended = tx.commit().await.unwrap();
    db.site.check_kept("old").await;
    assert_eq!(db.truth().await, "old");
}

#[tokio::test]
async fn a_part_does_not_outlive_the_rollback_of_the_whole() {
    let db = Database::new().await;
    db.site.warm().await;
    let mut tx = db.begin().await;
    let mut part = tx.savepoint().await.unwrap();
    rename(&mut part, "new").await;
    part.changed(&CLUB).unwrap();
    part.release().await.unwrap();
    tx.rollback().await.unwrap();
    db.site.check_kept("old").await;
    assert_eq!(db.truth().await, "old");
}
