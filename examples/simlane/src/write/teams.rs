//! Teams.

use sqlx::SqliteConnection;

use super::{Draft, Fields, Written, begin, cascade, must_exist, updated};
use crate::changes::{Change, Kind, Row, commit};
use crate::failure::Failure;
use crate::model::{Team, TeamFields};
use crate::{Site, tags};

pub(crate) async fn create_team(site: &Site, mut draft: Draft) -> Result<Written<Team>, Failure> {
    let club_id: i64 = draft.need("club_id")?;
    let fields: TeamFields = draft.fields()?;
    let mut tx = begin(site).await?;
    must_exist(
        &mut tx,
        "SELECT id FROM clubs WHERE id = ?",
        club_id,
        "club_id",
    )
    .await?;
    let id = sqlx::query(
        "INSERT INTO teams (club_id, name, words, car, number, colour) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(club_id)
    .bind(&fields.name)
    .bind(fields.text().map(|text| tags::words(&text)))
    .bind(&fields.car)
    .bind(fields.number)
    .bind(&fields.colour)
    .execute(&mut *tx)
    .await?
    .last_insert_rowid();
    let mut change = Change::new(Kind::Created, Row::Team { id, club: club_id });
    change.new_text = fields.text();
    Ok(Written {
        row: Team {
            id,
            club_id,
            fields,
        },
        touched: commit(tx, &[change]).await?,
    })
}

pub(crate) async fn patch_team(
    site: &Site,
    id: i64,
    draft: Draft,
) -> Result<Written<Team>, Failure> {
    let mut tx = begin(site).await?;
    let before = team(&mut tx, id).await?;
    let club_id = before.club_id;
    let fields = draft.merged_into(&before.fields)?;
    sqlx::query(
        "UPDATE teams SET name = ?, words = ?, car = ?, number = ?, colour = ? WHERE id = ?",
    )
    .bind(&fields.name)
    .bind(fields.text().map(|text| tags::words(&text)))
    .bind(&fields.car)
    .bind(fields.number)
    .bind(&fields.colour)
    .bind(id)
    .execute(&mut *tx)
    .await?;
    let change = updated(Row::Team { id, club: club_id }, &before.fields, &fields);
    Ok(Written {
        row: Team {
            id,
            club_id,
            fields,
        },
        touched: commit(tx, &[change]).await?,
    })
}

pub(crate) async fn delete_team(site: &Site, id: i64) -> Result<Written<()>, Failure> {
    let mut tx = begin(site).await?;
    let club = team(&mut tx, id).await?.club_id;
    let changes = cascade::team(&mut tx, id, club).await?;
    Ok(Written {
        row: (),
        touched: commit(tx, &changes).await?,
    })
}

async fn team(db: &mut SqliteConnection, id: i64) -> Result<Team, Failure> {
    let row = sqlx::query_as("SELECT * FROM teams WHERE id = ?")
        .bind(id)
        .fetch_optional(db)
        .await?;
    row.ok_or_else(|| Failure::missing(tags::team(id)))
}
