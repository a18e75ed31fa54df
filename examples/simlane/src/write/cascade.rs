//! Rows that go when another one does. They are read before they are
//! deleted, because each of them is a change of its own that pages show.

use pitlane_sqlx::Guarded;
use sqlx::{FromRow, Sqlite};

use super::clubs::members_where;
use crate::failure::Failure;
use crate::model::{ClubMember, Team};

/// An entry with everything that its tags are made of.
#[derive(Debug, FromRow)]
pub(crate) struct Entry {
    pub(crate) id: i64,
    pub(crate) event_id: i64,
    pub(crate) simulator: String,
    pub(crate) driver_id: String,
    pub(crate) user_id: Option<i64>,
    pub(crate) team_id: Option<i64>,
    pub(crate) club_id: Option<i64>,
}

macro_rules! entries_where {
    ($condition:literal) => {
        concat!(
            "SELECT p.id, p.event_id, d.simulator, d.id AS driver_id, d.user_id, p.team_id, \
             t.club_id FROM participations p JOIN profiles d ON d.\"row\" = p.profile \
             LEFT JOIN teams t ON t.id = p.team_id WHERE ",
            $condition
        )
    };
}

pub(super) const ENTRY: &str = entries_where!("p.id = ?");
pub(super) const OF_EVENT: &str = entries_where!("p.event_id = ?");
pub(super) const OF_DRIVER: &str = entries_where!("p.profile = ?");
pub(super) const OF_TEAM: &str = entries_where!("p.team_id = ?");

/// Deletes the entries that `sql` finds.
pub(super) async fn entries(
    tx: &mut Guarded<Sqlite>,
    sql: &'static str,
    id: i64,
) -> Result<(), Failure> {
    let entries: Vec<Entry> = sqlx::query_as(sql).bind(id).fetch_all(&mut **tx).await?;
    for entry in &entries {
        sqlx::query("DELETE FROM participations WHERE id = ?")
            .bind(entry.id)
            .execute(&mut **tx)
            .await?;
        tx.deleted(entry)?;
    }
    Ok(())
}

pub(super) async fn teams_of_club(tx: &mut Guarded<Sqlite>, club: i64) -> Result<(), Failure> {
    let teams: Vec<Team> = sqlx::query_as("SELECT * FROM teams WHERE club_id = ?")
        .bind(club)
        .fetch_all(&mut **tx)
        .await?;
    for row in &teams {
        team(tx, row).await?;
    }
    Ok(())
}

/// Deletes a team with its entries.
pub(super) async fn team(tx: &mut Guarded<Sqlite>, team: &Team) -> Result<(), Failure> {
    entries(tx, OF_TEAM, team.id).await?;
    sqlx::query("DELETE FROM teams WHERE id = ?")
        .bind(team.id)
        .execute(&mut **tx)
        .await?;
    Ok(tx.deleted(team)?)
}

pub(super) async fn members_of_club(tx: &mut Guarded<Sqlite>, club: i64) -> Result<(), Failure> {
    let members: Vec<ClubMember> = sqlx::query_as(members_where!("m.club_id = ?"))
        .bind(club)
        .fetch_all(&mut **tx)
        .await?;
    sqlx::query("DELETE FROM club_members WHERE club_id = ?")
        .bind(club)
        .execute(&mut **tx)
        .await?;
    for member in &members {
        tx.deleted(member)?;
    }
    Ok(())
}
