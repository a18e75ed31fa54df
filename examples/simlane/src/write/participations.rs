//! Entries of drivers in events, and their results.

use serde::Serialize;
use sqlx::SqliteConnection;

use super::cascade::{ENTRY, Entry};
use super::{Draft, Written, begin, cascade, drivers, events, must_exist};
use crate::changes::commit;
use crate::failure::Failure;
use crate::model::ParticipationFields;
use crate::{Site, tags};

/// An entry as the API answers a write with it.
#[derive(Debug, Serialize)]
pub(crate) struct Participation {
    pub(crate) id: i64,
    event_id: i64,
    simulator: String,
    driver_id: String,
    team_id: Option<i64>,
    #[serde(flatten)]
    fields: ParticipationFields,
}

/// Enters the driver of the event's simulator whose id is in `driver_id`.
pub(crate) async fn create_participation(
    site: &Site,
    event: i64,
    mut draft: Draft,
) -> Result<Written<Participation>, Failure> {
    let driver_id: String = draft.need("driver_id")?;
    let team: Option<i64> = draft.take("team_id")?;
    let fields: ParticipationFields = draft.fields()?;
    let mut tx = begin(site).await?;
    let simulator = events::event(&mut tx, event).await?.simulator;
    let driver = match drivers::driver(&mut tx, &simulator, &driver_id).await {
        Err(Failure::NotFound { .. }) => {
            let message = format!("nobody has this id in {simulator}");
            return Err(Failure::invalid("driver_id", message));
        }
        found => found?,
    };
    if let Some(team) = team {
        must_exist(
            &mut tx,
            "SELECT id FROM teams WHERE id = ?",
            team,
            "team_id",
        )
        .await?;
    }
    let id = sqlx::query(
        "INSERT INTO participations (event_id, profile, team_id, status, position, best_lap_ms) \
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(event)
    .bind(driver.row)
    .bind(team)
    .bind(&fields.status)
    .bind(fields.position)
    .bind(fields.best_lap_ms)
    .execute(&mut *tx)
    .await?
    .last_insert_rowid();
    let entry = entry(&mut tx, event, id).await?;
    tx.created(&entry)?;
    Ok(Written {
        row: participation(&entry, fields),
        touched: commit(tx).await?,
    })
}

pub(crate) async fn patch_participation(
    site: &Site,
    event: i64,
    id: i64,
    draft: Draft,
) -> Result<Written<Participation>, Failure> {
    let mut tx = begin(site).await?;
    let entry = entry(&mut tx, event, id).await?;
    let before: ParticipationFields =
        sqlx::query_as("SELECT status, position, best_lap_ms FROM participations WHERE id = ?")
            .bind(id)
            .fetch_one(&mut *tx)
            .await?;
    let fields = draft.merged_into(&before)?;
    sqlx::query("UPDATE participations SET status = ?, position = ?, best_lap_ms = ? WHERE id = ?")
        .bind(&fields.status)
        .bind(fields.position)
        .bind(fields.best_lap_ms)
        .bind(id)
        .execute(&mut *tx)
        .await?;
    tx.updated(&entry, &entry)?;
    Ok(Written {
        row: participation(&entry, fields),
        touched: commit(tx).await?,
    })
}

pub(crate) async fn delete_participation(
    site: &Site,
    event: i64,
    id: i64,
) -> Result<Written<()>, Failure> {
    let mut tx = begin(site).await?;
    entry(&mut tx, event, id).await?;
    cascade::entries(&mut tx, ENTRY, id).await?;
    Ok(Written {
        row: (),
        touched: commit(tx).await?,
    })
}

async fn entry(db: &mut SqliteConnection, event: i64, id: i64) -> Result<Entry, Failure> {
    let row: Option<Entry> = sqlx::query_as(ENTRY).bind(id).fetch_optional(db).await?;
    row.filter(|entry| entry.event_id == event)
        .ok_or_else(|| Failure::missing(tags::event_participants(event)))
}

fn participation(entry: &Entry, fields: ParticipationFields) -> Participation {
    Participation {
        id: entry.id,
        event_id: entry.event_id,
        simulator: entry.simulator.clone(),
        driver_id: entry.driver_id.clone(),
        team_id: entry.team_id,
        fields,
    }
}
