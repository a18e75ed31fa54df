//! Rows that go when another one does. They are read before they are
//! deleted, because each of them is a change of its own that pages show.

use sqlx::{FromRow, SqliteConnection};

use crate::changes::{Change, Kind, Row};
use crate::failure::Failure;

/// An entry with everything that its tags are made of.
#[derive(Debug, FromRow)]
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) event_id: i64,
    pub(super) simulator: String,
    pub(super) driver_id: String,
    pub(super) user_id: Option<i64>,
    pub(super) team_id: Option<i64>,
    pub(super) club_id: Option<i64>,
}

impl Entry {
    pub(super) fn change(self, kind: Kind) -> Change {
        let row = Row::EventParticipation {
            event: self.event_id,
            simulator: self.simulator,
            driver: self.driver_id,
            user: self.user_id,
            team: self.team_id,
            club: self.club_id,
        };
        Change::new(kind, row)
    }
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
    db: &mut SqliteConnection,
    sql: &'static str,
    id: i64,
) -> Result<Vec<Change>, Failure> {
    let entries: Vec<Entry> = sqlx::query_as(sql).bind(id).fetch_all(&mut *db).await?;
    for entry in &entries {
        sqlx::query("DELETE FROM participations WHERE id = ?")
            .bind(entry.id)
            .execute(&mut *db)
            .await?;
    }
    Ok(entries
        .into_iter()
        .map(|entry| entry.change(Kind::Deleted))
        .collect())
}

pub(super) async fn teams_of_club(
    db: &mut SqliteConnection,
    club: i64,
) -> Result<Vec<Change>, Failure> {
    let teams: Vec<i64> = sqlx::query_scalar("SELECT id FROM teams WHERE club_id = ?")
        .bind(club)
        .fetch_all(&mut *db)
        .await?;
    let mut changes = Vec::new();
    for id in teams {
        changes.extend(team(db, id, club).await?);
    }
    Ok(changes)
}

/// Deletes a team with its entries.
pub(super) async fn team(
    db: &mut SqliteConnection,
    id: i64,
    club: i64,
) -> Result<Vec<Change>, Failure> {
    let mut changes = entries(db, OF_TEAM, id).await?;
    sqlx::query("DELETE FROM teams WHERE id = ?")
        .bind(id)
        .execute(db)
        .await?;
    changes.push(Change::new(Kind::Deleted, Row::Team { id, club }));
    Ok(changes)
}

pub(super) async fn members_of_club(
    db: &mut SqliteConnection,
    club: i64,
) -> Result<Vec<Change>, Failure> {
    let users: Vec<i64> = sqlx::query_scalar("SELECT user_id FROM club_members WHERE club_id = ?")
        .bind(club)
        .fetch_all(&mut *db)
        .await?;
    sqlx::query("DELETE FROM club_members WHERE club_id = ?")
        .bind(club)
        .execute(db)
        .await?;
    let change = |user| Change::new(Kind::Deleted, Row::ClubMember { club, user });
    Ok(users.into_iter().map(change).collect())
}
