//! Events and the series they belong to.

use pitlane::cached;
use pitlane::data::{DataError, Json};
use serde::Serialize;
use sqlx::SqliteConnection;

use super::{Seen, results};
use crate::Site;
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

pub(crate) async fn event_list(site: &Site) -> Result<Seen<EventList>, Failure> {
    let Seen { data: events, tags } = list(site).await?;
    Ok(Seen::new(EventList { events }, tags))
}

pub(crate) async fn event(site: &Site, id: i64) -> Result<Seen<EventPage>, Failure> {
    let mut shown = Tags::default();
    let event = detail(site, id).await?.noted(&mut shown);
    let participants = participants(site, id).await?.noted(&mut shown);
    Ok(Seen::new(
        EventPage {
            event,
            participants,
        },
        shown,
    ))
}

pub(crate) async fn series(site: &Site, id: i64) -> Result<Seen<SeriesPage>, Failure> {
    let Seen { data, tags } = calendar(site, id).await?;
    let (series, events) = data;
    Ok(Seen::new(SeriesPage { series, events }, tags))
}

#[cached(
    caches = site.queries(),
    cache = "query",
    ttl = "5m",
    key = "query:event_list",
    codec = Json,
    skip(site),
)]
async fn list(site: &Site) -> Result<Seen<Vec<Event>>, DataError<Failure>> {
    let mut shown = Tags::of([tags::EVENTS.into()]);
    let events = rows(&mut *site.read().await?, ALL, None, &mut shown).await?;
    site.piece(events, shown)
}

#[cached(
    caches = site.queries(),
    cache = "query",
    ttl = "10m",
    key = "event:{id}:detail",
    codec = Json,
    skip(site),
)]
async fn detail(site: &Site, id: i64) -> Result<Seen<Event>, DataError<Failure>> {
    let mut shown = Tags::default();
    let event = rows(&mut *site.read().await?, ONE, Some(id), &mut shown).await?;
    let event = event.into_iter().next();
    site.piece(
        event.ok_or_else(|| Failure::missing(tags::event(id)))?,
        shown,
    )
}

#[cached(
    caches = site.queries(),
    cache = "query",
    ttl = "5m",
    key = "event:{id}:participants",
    codec = Json,
    skip(site),
)]
async fn participants(
    site: &Site,
    id: i64,
) -> Result<Seen<Vec<EventParticipation>>, DataError<Failure>> {
    let mut shown = Tags::of([tags::event_participants(id)]);
    let mut db = site.read().await?;
    let entries = results::read(&mut db, results::OF_EVENT, id, &mut shown).await?;
    site.piece(entries, shown)
}

#[cached(
    caches = site.queries(),
    cache = "query",
    ttl = "30m",
    key = "series:{id}:calendar",
    codec = Json,
    skip(site),
)]
async fn calendar(site: &Site, id: i64) -> Result<Seen<(Series, Vec<Event>)>, DataError<Failure>> {
    let mut db = site.read().await?;
    let mut shown = Tags::of([tags::series(id)]);
    let series: Option<Series> = sqlx::query_as("SELECT * FROM series WHERE id = ?")
        .bind(id)
        .fetch_optional(&mut *db)
        .await?;
    let series = series.ok_or_else(|| Failure::missing(tags::series(id)))?;
    let events = rows(&mut db, OF_SERIES, Some(id), &mut shown).await?;
    site.piece((series, events), shown)
}
