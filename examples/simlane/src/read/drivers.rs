//! Drivers: a profile in a simulator and its results.

use pitlane::cached;
use pitlane::data::{DataError, Json};
use serde::Serialize;

use super::{Seen, people, results};
use crate::Site;
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
    site: &Site,
    simulator: &str,
    id: &str,
) -> Result<Seen<DriverPage>, Failure> {
    let mut shown = Tags::default();
    let (driver, results) = profile(site, simulator, id).await?.noted(&mut shown);
    let person = match driver.user_id {
        Some(user) => people::user(site, user).await?.noted(&mut shown),
        None => None,
    };
    Ok(Seen::new(
        DriverPage {
            driver,
            person: person.map(|user| user.fields.name),
            results,
        },
        shown,
    ))
}

#[cached(
    caches = site.queries(),
    cache = "query",
    ttl = "10m",
    key = "profile:{simulator}:{id}",
    codec = Json,
    skip(site)
)]
async fn profile(
    site: &Site,
    simulator: &str,
    id: &str,
) -> Result<Seen<(SimProfile, Vec<EventParticipation>)>, DataError<Failure>> {
    let mut db = site.read().await?;
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
    let results = results::read(&mut db, results::OF_DRIVER, driver.row, &mut shown).await?;
    site.piece((driver, results), shown)
}
