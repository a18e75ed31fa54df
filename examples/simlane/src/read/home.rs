//! The front page: how much there is, and what the editors feature.
//!
//! Featured rows are chosen by a column that no write changes. A "next five
//! races" would depend on every event's date, and so on every event.

use pitlane::cached;
use pitlane::data::{DataError, Json};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::clubs::{self, ClubCard};
use super::{Seen, events};
use crate::Site;
use crate::failure::Failure;
use crate::model::{Event, Series};
use crate::tags::{self, Tags};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HomePage {
    counts: Counts,
    events: Vec<Event>,
    clubs: Vec<ClubCard>,
    series: Vec<Series>,
}

#[derive(Debug, Serialize, Deserialize, FromRow)]
struct Counts {
    clubs: i64,
    teams: i64,
    drivers: i64,
    events: i64,
}

pub(crate) async fn home(site: &Site) -> Result<Seen<HomePage>, Failure> {
    Ok(front(site).await?)
}

#[cached(
    caches = site.queries(),
    cache = "query",
    ttl = "5m",
    key = "query:home",
    codec = Json,
    skip(site),
)]
async fn front(site: &Site) -> Result<Seen<HomePage>, DataError<Failure>> {
    let mut db = site.read().await?;
    let counted = [tags::CLUBS, tags::TEAMS, tags::PROFILES, tags::EVENTS];
    let mut shown = Tags::of(counted.map(Into::into));
    let counts = sqlx::query_as(
        "SELECT (SELECT count(*) FROM clubs) AS clubs, (SELECT count(*) FROM teams) AS teams, \
         (SELECT count(*) FROM profiles) AS drivers, (SELECT count(*) FROM events) AS events",
    )
    .fetch_one(&mut *db)
    .await?;
    let events = events::rows(&mut db, events::FEATURED, None, &mut shown).await?;
    let clubs = clubs::cards(&mut db, clubs::FEATURED, &mut shown).await?;
    let series = sqlx::query_as("SELECT * FROM series ORDER BY id")
        .fetch_all(&mut *db)
        .await?;
    let page = HomePage {
        counts,
        events,
        clubs,
        series,
    };
    site.piece(page, shown)
}
