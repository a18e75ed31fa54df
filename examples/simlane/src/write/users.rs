//! Users, who can only change themselves.

use super::{Draft, Written, begin};
use crate::changes::commit;
use crate::failure::Failure;
use crate::model::{User, UserFields};
use crate::{Site, tags};

pub(crate) async fn patch_user(
    site: &Site,
    id: i64,
    draft: Draft,
) -> Result<Written<User>, Failure> {
    let mut tx = begin(site).await?;
    let row: Option<User> = sqlx::query_as("SELECT * FROM users WHERE id = ?")
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?;
    let before = row.ok_or_else(|| Failure::missing(tags::user(id)))?;
    let fields: UserFields = draft.merged_into(&before.fields)?;
    sqlx::query("UPDATE users SET name = ?, email = ?, country = ?, bio = ? WHERE id = ?")
        .bind(&fields.name)
        .bind(&fields.email)
        .bind(&fields.country)
        .bind(&fields.bio)
        .bind(id)
        .execute(&mut *tx)
        .await?;
    let row = User {
        fields,
        ..before.clone()
    };
    tx.updated(&before, &row)?;
    Ok(Written {
        row,
        touched: commit(tx).await?,
    })
}
