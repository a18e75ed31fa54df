//! What the API and the forms change. Each function is one transaction: it
//! checks, writes, and tells the transaction of every row it changed, those
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

use pitlane_sqlx::Guarded;
use sqlx::{Sqlite, SqliteConnection};

pub(crate) use cascade::Entry;
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
use crate::changes::TouchedTags;
use crate::failure::Failure;

/// A committed write: the row as it is now, and the tags it touched.
#[derive(Debug)]
pub(crate) struct Written<T> {
    pub(crate) row: T,
    pub(crate) touched: TouchedTags,
}

/// A transaction that may write from its first statement on. (One that begins
/// as a reader fails at its first write if somebody else wrote in between.)
async fn begin(site: &Site) -> Result<Guarded<Sqlite>, Failure> {
    let transaction = site.0.db.begin_with("BEGIN IMMEDIATE").await?;
    let (caches, changes) = (&site.0.caching.caches, &site.0.changes);
    Ok(Guarded::over(transaction, caches, changes))
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
