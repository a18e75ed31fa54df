//! What the API and the forms change. Each function is one transaction: it
//! checks, writes, and hands `changes::commit` every row it changed, those
//! that went along with a deleted one included.

mod cascade;
mod check;
mod clubs;
mod drivers;
mod events;
mod fields;
mod participations;
mod teams;
mod users;

use sqlx::SqliteConnection;

pub(crate) use clubs::{
    add_member, create_club, delete_club, patch_club, patch_member, remove_member,
};
pub(crate) use drivers::{create_driver, delete_driver, patch_driver};
pub(crate) use events::{create_event, delete_event, patch_event};
pub(crate) use fields::{Draft, Fields};
pub(crate) use participations::{create_participation, delete_participation, patch_participation};
pub(crate) use teams::{create_team, delete_team, patch_team};
pub(crate) use users::patch_user;

use crate::Site;
use crate::changes::{Change, Kind, Row, TouchedTags, Write};
use crate::failure::Failure;

/// A committed write: the row as it is now, and the tags it touched.
#[derive(Debug)]
pub(crate) struct Written<T> {
    pub(crate) row: T,
    pub(crate) touched: TouchedTags,
}

/// A transaction that may write from its first statement on. (One that begins
/// as a reader fails at its first write if somebody else wrote in between.)
async fn begin(site: &Site) -> Result<Write, Failure> {
    let transaction = site.0.db.begin_with("BEGIN IMMEDIATE").await?;
    Ok(Write::new(transaction, &site.0.caching.caches))
}

/// Refuses a reference to a row that doesn't exist, naming the field.
async fn must_exist(
    db: &mut SqliteConnection,
    sql: &'static str,
    id: i64,
    field: &str,
) -> Result<(), Failure> {
    let found: Option<i64> = sqlx::query_scalar(sql).bind(id).fetch_optional(db).await?;
    found
        .map(drop)
        .ok_or_else(|| Failure::invalid(field, "there is no such row"))
}

/// The update of a row, found by another text if that has changed.
fn updated<F: Fields>(row: Row, before: &F, after: &F) -> Change {
    let change = Change::new(Kind::Updated, row);
    match after.text() {
        Some(text) if before.text().as_ref() != Some(&text) => change.found_by(text),
        _ => change,
    }
}
