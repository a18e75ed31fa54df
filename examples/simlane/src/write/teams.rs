//! Teams.

use sqlx::SqliteConnection;

use super::{Draft, Fields, Written, begin, cascade, must_exist};
use crate::changes::commit;
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
    let row = Team {
        id,
        club_id,
        fields,
    };
    tx.created(&row)?;
    Ok(Written {
        row,
        touched: commit(tx).await?,
    })
}

pub(crate) async fn patch_team(
    site: &Site,
    id: i64,
    draft: Draft,
) -> Result<Written<Team>, Failure> {
    let mut tx = begin(site).await?;
    let before = team(&mut tx, id).await?;
    let fields: TeamFields = draft.merged_into(&before.fields)?;
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
    let row = Team {
        fields,
        ..before.clone()
    };
    tx.updated(&before, &row)?;
    Ok(Written {
        row,
        touched: commit(tx).await?,
    })
}

pub(crate) async fn delete_team(site: &Site, id: i64) -> Result<Written<()>, Failure> {
    let mut tx = begin(site).await?;
    let row = team(&mut tx, id).await?;
    cascade::team(&mut tx, &row).await?;
    Ok(Written {
        row: (),
        touched: commit(tx).await?,
    })
}

async fn team(db: &mut SqliteConnection, id: i64) -> Result<Team, Failure> {
    let row = sqlx::query_as("SELECT * FROM teams WHERE id = ?")
        .bind(id)
        .fetch_optional(db)
        .await?;
    row.ok_or_else(|| Failure::missing(tags::team(id)))
}
