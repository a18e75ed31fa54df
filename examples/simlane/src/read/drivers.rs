//! Drivers: a profile in a simulator and its results.

use serde::Serialize;
use sqlx::SqliteConnection;

use super::{Seen, results};
use crate::failure::Failure;
use crate::model::{EventParticipation, SimProfile};
use crate::tags::{self, Tags};

#[derive(Debug, Serialize)]
pub(crate) struct DriverPage {
    driver: SimProfile,
    /// The name of the person at the wheel, where that is known.
    person: Option<String>,
    results: Vec<EventParticipation>,
}

pub(crate) async fn driver(
    db: &mut SqliteConnection,
    simulator: &str,
    id: &str,
) -> Result<Seen<DriverPage>, Failure> {
    let driver: Option<SimProfile> =
        sqlx::query_as("SELECT * FROM profiles WHERE simulator = ? AND id = ?")
            .bind(simulator)
            .bind(id)
            .fetch_optional(&mut *db)
            .await?;
    let driver = driver.ok_or_else(|| Failure::missing(tags::profile(simulator, id)))?;
    let mut shown = Tags::of([
        tags::profile(simulator, id),
        tags::profile_results(simulator, id),
    ]);
    let person = sqlx::query_scalar("SELECT name FROM users WHERE id = ?")
        .bind(driver.user_id)
        .fetch_optional(&mut *db)
        .await?;
    shown.extend(Tags::of(driver.user_id.map(tags::user)));
    let results = results::read(db, results::OF_DRIVER, driver.row, &mut shown).await?;
    Ok(Seen::new(
        DriverPage {
            driver,
            person,
            results,
        },
        shown,
    ))
}
