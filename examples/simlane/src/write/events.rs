//! Events.

use sqlx::SqliteConnection;

use super::{Draft, Fields, Written, begin, cascade, must_exist};
use crate::changes::commit;
use crate::failure::Failure;
use crate::model::{Event, EventFields};
use crate::{Site, tags};

pub(crate) async fn create_event(site: &Site, mut draft: Draft) -> Result<Written<Event>, Failure> {
    let series: i64 = draft.need("series_id")?;
    let fields: EventFields = draft.fields()?;
    let mut tx = begin(site).await?;
    must_exist(
        &mut tx,
        "SELECT id FROM series WHERE id = ?",
        series,
        "series_id",
    )
    .await?;
    let id = sqlx::query(
        "INSERT INTO events (series_id, name, words, track, starts_at, laps, status) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(series)
    .bind(&fields.name)
    .bind(fields.text().map(|text| tags::words(&text)))
    .bind(&fields.track)
    .bind(&fields.starts_at)
    .bind(fields.laps)
    .bind(&fields.status)
    .execute(&mut *tx)
    .await?
    .last_insert_rowid();
    let row = event(&mut tx, id).await?;
    tx.created(&row)?;
    Ok(Written {
        row,
        touched: commit(tx).await?,
    })
}

pub(crate) async fn patch_event(
    site: &Site,
    id: i64,
    draft: Draft,
) -> Result<Written<Event>, Failure> {
    let mut tx = begin(site).await?;
    let before = event(&mut tx, id).await?;
    let fields: EventFields = draft.merged_into(&before.fields)?;
    sqlx::query(
        "UPDATE events SET name = ?, words = ?, track = ?, starts_at = ?, laps = ?, status = ? \
         WHERE id = ?",
    )
    .bind(&fields.name)
    .bind(fields.text().map(|text| tags::words(&text)))
    .bind(&fields.track)
    .bind(&fields.starts_at)
    .bind(fields.laps)
    .bind(&fields.status)
    .bind(id)
    .execute(&mut *tx)
    .await?;
    let row = Event {
        fields,
        ..before.clone()
    };
    tx.updated(&before, &row)?;
    Ok(Written {
        row,
        touched: commit(tx).await?,
    })
}

pub(crate) async fn delete_event(site: &Site, id: i64) -> Result<Written<()>, Failure> {
    let mut tx = begin(site).await?;
    let row = event(&mut tx, id).await?;
    cascade::entries(&mut tx, cascade::OF_EVENT, id).await?;
    sqlx::query("DELETE FROM events WHERE id = ?")
        .bind(id)
        .execute(&mut *tx)
        .await?;
    tx.deleted(&row)?;
    Ok(Written {
        row: (),
        touched: commit(tx).await?,
    })
}

pub(super) async fn event(db: &mut SqliteConnection, id: i64) -> Result<Event, Failure> {
    let row = sqlx::query_as(
        "SELECT e.*, s.name AS series_name, s.simulator FROM events e \
         JOIN series s ON s.id = e.series_id WHERE e.id = ?",
    )
    .bind(id)
    .fetch_optional(db)
    .await?;
    row.ok_or_else(|| Failure::missing(tags::event(id)))
}
