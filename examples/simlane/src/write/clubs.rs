//! Clubs and their members.

use sqlx::SqliteConnection;

use super::{Draft, Written, begin, cascade};
use crate::changes::commit;
use crate::failure::Failure;
use crate::model::{Club, ClubFields, ClubMember, MemberFields};
use crate::{Site, tags};

/// Memberships with the names of both sides.
macro_rules! members_where {
    ($condition:literal) => {
        concat!(
            "SELECT m.id, m.club_id, c.name AS club_name, m.user_id, u.username, \
             u.name AS user_name, m.role FROM club_members m JOIN clubs c ON c.id = m.club_id \
             JOIN users u ON u.id = m.user_id WHERE ",
            $condition
        )
    };
}

pub(super) use members_where;

pub(crate) async fn create_club(site: &Site, draft: Draft) -> Result<Written<Club>, Failure> {
    let fields: ClubFields = draft.fields()?;
    let mut tx = begin(site).await?;
    let id = sqlx::query(
        "INSERT INTO clubs (name, words, tagline, description, country, founded) \
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(&fields.name)
    .bind(tags::words(&fields.name))
    .bind(&fields.tagline)
    .bind(&fields.description)
    .bind(&fields.country)
    .bind(fields.founded)
    .execute(&mut *tx)
    .await?
    .last_insert_rowid();
    let row = Club { id, fields };
    tx.created(&row)?;
    Ok(Written {
        row,
        touched: commit(tx).await?,
    })
}

pub(crate) async fn patch_club(
    site: &Site,
    id: i64,
    draft: Draft,
) -> Result<Written<Club>, Failure> {
    let mut tx = begin(site).await?;
    let before = club(&mut tx, id).await?;
    let fields: ClubFields = draft.merged_into(&before.fields)?;
    sqlx::query(
        "UPDATE clubs SET name = ?, words = ?, tagline = ?, description = ?, country = ?, \
         founded = ? WHERE id = ?",
    )
    .bind(&fields.name)
    .bind(tags::words(&fields.name))
    .bind(&fields.tagline)
    .bind(&fields.description)
    .bind(&fields.country)
    .bind(fields.founded)
    .bind(id)
    .execute(&mut *tx)
    .await?;
    let row = Club { id, fields };
    tx.updated(&before, &row)?;
    Ok(Written {
        row,
        touched: commit(tx).await?,
    })
}

pub(crate) async fn delete_club(site: &Site, id: i64) -> Result<Written<()>, Failure> {
    let mut tx = begin(site).await?;
    let row = club(&mut tx, id).await?;
    cascade::teams_of_club(&mut tx, id).await?;
    cascade::members_of_club(&mut tx, id).await?;
    sqlx::query("DELETE FROM clubs WHERE id = ?")
        .bind(id)
        .execute(&mut *tx)
        .await?;
    tx.deleted(&row)?;
    Ok(Written {
        row: (),
        touched: commit(tx).await?,
    })
}

/// Adds the user whose name is in `username`.
pub(crate) async fn add_member(
    site: &Site,
    club_id: i64,
    mut draft: Draft,
) -> Result<Written<ClubMember>, Failure> {
    let username: String = draft.need("username")?;
    let fields: MemberFields = draft.fields()?;
    let mut tx = begin(site).await?;
    club(&mut tx, club_id).await?;
    let user: Option<i64> = sqlx::query_scalar("SELECT id FROM users WHERE username = ?")
        .bind(&username)
        .fetch_optional(&mut *tx)
        .await?;
    let user = user.ok_or_else(|| Failure::invalid("username", "nobody has this name"))?;
    let id = sqlx::query("INSERT INTO club_members (club_id, user_id, role) VALUES (?, ?, ?)")
        .bind(club_id)
        .bind(user)
        .bind(&fields.role)
        .execute(&mut *tx)
        .await?
        .last_insert_rowid();
    let row = member(&mut tx, club_id, id).await?;
    tx.created(&row)?;
    Ok(Written {
        row,
        touched: commit(tx).await?,
    })
}

pub(crate) async fn patch_member(
    site: &Site,
    club: i64,
    id: i64,
    draft: Draft,
) -> Result<Written<ClubMember>, Failure> {
    let mut tx = begin(site).await?;
    let before = member(&mut tx, club, id).await?;
    let mut row = before.clone();
    row.fields = draft.merged_into(&before.fields)?;
    sqlx::query("UPDATE club_members SET role = ? WHERE id = ?")
        .bind(&row.fields.role)
        .bind(id)
        .execute(&mut *tx)
        .await?;
    tx.updated(&before, &row)?;
    Ok(Written {
        row,
        touched: commit(tx).await?,
    })
}

pub(crate) async fn remove_member(site: &Site, club: i64, id: i64) -> Result<Written<()>, Failure> {
    let mut tx = begin(site).await?;
    let row = member(&mut tx, club, id).await?;
    sqlx::query("DELETE FROM club_members WHERE id = ?")
        .bind(id)
        .execute(&mut *tx)
        .await?;
    tx.deleted(&row)?;
    Ok(Written {
        row: (),
        touched: commit(tx).await?,
    })
}

pub(super) async fn club(db: &mut SqliteConnection, id: i64) -> Result<Club, Failure> {
    let row = sqlx::query_as("SELECT * FROM clubs WHERE id = ?")
        .bind(id)
        .fetch_optional(db)
        .await?;
    row.ok_or_else(|| Failure::missing(tags::club(id)))
}

async fn member(db: &mut SqliteConnection, club: i64, id: i64) -> Result<ClubMember, Failure> {
    let row = sqlx::query_as(members_where!("m.club_id = ? AND m.id = ?"))
        .bind(club)
        .bind(id)
        .fetch_optional(db)
        .await?;
    row.ok_or_else(|| Failure::missing(tags::club_members(club)))
}
