//! Events and the series they belong to.

use serde::Serialize;
use sqlx::SqliteConnection;

use super::{Seen, results};
use crate::failure::Failure;
use crate::model::{Event, EventParticipation, Series};
use crate::tags::{self, Tags};

#[derive(Debug, Serialize)]
pub(crate) struct EventList {
    events: Vec<Event>,
}

#[derive(Debug, Serialize)]
pub(crate) struct EventPage {
    event: Event,
    participants: Vec<EventParticipation>,
}

#[derive(Debug, Serialize)]
pub(crate) struct SeriesPage {
    series: Series,
    events: Vec<Event>,
}

macro_rules! events {
    ($rest:literal) => {
        concat!(
            "SELECT e.*, s.name AS series_name, s.simulator FROM events e \
             JOIN series s ON s.id = e.series_id ",
            $rest
        )
    };
}

pub(super) const FEATURED: &str = events!("WHERE e.featured AND ?1 IS NULL ORDER BY e.id");
const ALL: &str = events!("WHERE ?1 IS NULL ORDER BY e.starts_at, e.id");
const OF_SERIES: &str = events!("WHERE e.series_id = ?1 ORDER BY e.starts_at, e.id");
const ONE: &str = events!("WHERE e.id = ?1");

pub(super) async fn rows(
    db: &mut SqliteConnection,
    sql: &'static str,
    id: Option<i64>,
    shown: &mut Tags,
) -> Result<Vec<Event>, Failure> {
    let events: Vec<Event> = sqlx::query_as(sql).bind(id).fetch_all(db).await?;
    for event in &events {
        shown.add(tags::event(event.id));
    }
    Ok(events)
}

pub(crate) async fn event_list(db: &mut SqliteConnection) -> Result<Seen<EventList>, Failure> {
    let mut shown = Tags::of([tags::EVENTS.into()]);
    let events = rows(db, ALL, None, &mut shown).await?;
    Ok(Seen::new(EventList { events }, shown))
}

pub(crate) async fn event(db: &mut SqliteConnection, id: i64) -> Result<Seen<EventPage>, Failure> {
    let mut shown = Tags::of([tags::event_participants(id)]);
    let event = rows(db, ONE, Some(id), &mut shown).await?.pop();
    let event = event.ok_or_else(|| Failure::missing(tags::event(id)))?;
    let participants = results::read(db, results::OF_EVENT, id, &mut shown).await?;
    Ok(Seen::new(
        EventPage {
            event,
            participants,
        },
        shown,
    ))
}

pub(crate) async fn series(
    db: &mut SqliteConnection,
    id: i64,
) -> Result<Seen<SeriesPage>, Failure> {
    let mut shown = Tags::of([tags::series(id)]);
    let series: Option<Series> = sqlx::query_as("SELECT * FROM series WHERE id = ?")
        .bind(id)
        .fetch_optional(&mut *db)
        .await?;
    let series = series.ok_or_else(|| Failure::missing(tags::series(id)))?;
    let events = rows(db, OF_SERIES, Some(id), &mut shown).await?;
    Ok(Seen::new(SeriesPage { series, events }, shown))
}
