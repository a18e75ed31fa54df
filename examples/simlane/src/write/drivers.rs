//! Drivers: profiles in a simulator.

use sqlx::SqliteConnection;

use super::{Draft, Written, begin, cascade, must_exist};
use crate::changes::commit;
use crate::failure::Failure;
use crate::model::{ProfileFields, SIMULATORS, SimProfile};
use crate::{Site, tags};

pub(crate) async fn create_driver(
    site: &Site,
    mut draft: Draft,
) -> Result<Written<SimProfile>, Failure> {
    let (simulator, id): (String, String) = (draft.need("simulator")?, draft.need("id")?);
    check_address(&simulator, &id)?;
    let user_id: Option<i64> = draft.take("user_id")?;
    let fields: ProfileFields = draft.fields()?;
    let mut tx = begin(site).await?;
    if let Some(user) = user_id {
        must_exist(
            &mut tx,
            "SELECT id FROM users WHERE id = ?",
            user,
            "user_id",
        )
        .await?;
    }
    let row = sqlx::query(
        "INSERT INTO profiles (simulator, id, user_id, name, words, country, rating, incidents, \
         starts, podiums, wins) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&simulator)
    .bind(&id)
    .bind(user_id)
    .bind(&fields.name)
    .bind(tags::words(&fields.name))
    .bind(&fields.country)
    .bind(fields.rating)
    .bind(fields.incidents)
    .bind(fields.starts)
    .bind(fields.podiums)
    .bind(fields.wins)
    .execute(&mut *tx)
    .await?
    .last_insert_rowid();
    let driver = SimProfile {
        row,
        simulator,
        id,
        user_id,
        fields,
    };
    tx.created(&driver)?;
    Ok(Written {
        row: driver,
        touched: commit(tx).await?,
    })
}

pub(crate) async fn patch_driver(
    site: &Site,
    simulator: &str,
    id: &str,
    draft: Draft,
) -> Result<Written<SimProfile>, Failure> {
    let mut tx = begin(site).await?;
    let before = driver(&mut tx, simulator, id).await?;
    let fields: ProfileFields = draft.merged_into(&before.fields)?;
    sqlx::query(
        "UPDATE profiles SET name = ?, words = ?, country = ?, rating = ?, incidents = ?, \
         starts = ?, podiums = ?, wins = ? WHERE \"row\" = ?",
    )
    .bind(&fields.name)
    .bind(tags::words(&fields.name))
    .bind(&fields.country)
    .bind(fields.rating)
    .bind(fields.incidents)
    .bind(fields.starts)
    .bind(fields.podiums)
    .bind(fields.wins)
    .bind(before.row)
    .execute(&mut *tx)
    .await?;
    let row = SimProfile {
        fields,
        ..before.clone()
    };
    tx.updated(&before, &row)?;
    Ok(Written {
        row,
        touched: commit(tx).await?,
    })
}

pub(crate) async fn delete_driver(
    site: &Site,
    simulator: &str,
    id: &str,
) -> Result<Written<()>, Failure> {
    let mut tx = begin(site).await?;
    let row = driver(&mut tx, simulator, id).await?;
    cascade::entries(&mut tx, cascade::OF_DRIVER, row.row).await?;
    sqlx::query("DELETE FROM profiles WHERE \"row\" = ?")
        .bind(row.row)
        .execute(&mut *tx)
        .await?;
    tx.deleted(&row)?;
    Ok(Written {
        row: (),
        touched: commit(tx).await?,
    })
}

pub(super) async fn driver(
    db: &mut SqliteConnection,
    simulator: &str,
    id: &str,
) -> Result<SimProfile, Failure> {
    let row = sqlx::query_as("SELECT * FROM profiles WHERE simulator = ? AND id = ?")
        .bind(simulator)
        .bind(id)
        .fetch_optional(db)
        .await?;
    row.ok_or_else(|| Failure::missing(tags::profile(simulator, id)))
}

/// Both halves of the address become part of a URL and of a tag.
fn check_address(simulator: &str, id: &str) -> Result<(), Failure> {
    if !SIMULATORS.contains(&simulator) {
        let known = format!("must be one of {}", SIMULATORS.join(", "));
        return Err(Failure::invalid("simulator", known));
    }
    let plain = id
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if id.is_empty() || id.len() > 32 || !plain {
        return Err(Failure::invalid(
            "id",
            "must be 1 to 32 of letters, digits, - and _",
        ));
    }
    Ok(())
}
