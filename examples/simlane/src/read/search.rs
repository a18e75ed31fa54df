//! The search over everything that has a name.

use serde::Serialize;
use sqlx::SqliteConnection;

use super::Seen;
use crate::failure::Failure;
use crate::model::{Club, Event, SimProfile, Team};
use crate::tags::{self, Tags};

/// The most rows of each kind, and the most letters of a query that count.
const AT_MOST: usize = 20;
const LETTERS: usize = 64;

#[derive(Debug, Serialize)]
pub(crate) struct SearchPage {
    q: String,
    clubs: Vec<Club>,
    teams: Vec<Team>,
    drivers: Vec<SimProfile>,
    events: Vec<Event>,
}

/// Reads the first rows of one kind whose text has `words` in it.
macro_rules! found {
    ($db:expr, $words:expr, $from:literal) => {
        sqlx::query_as(concat!(
            $from,
            " WHERE instr(x.words, ?1) > 0 ORDER BY x.",
            "words LIMIT ?2"
        ))
        .bind($words)
        .bind(AT_MOST as i64)
        .fetch_all(&mut *$db)
        .await?
    };
}

pub(crate) async fn search(
    db: &mut SqliteConnection,
    query: &str,
) -> Result<Seen<SearchPage>, Failure> {
    let q: String = query.chars().take(LETTERS).collect();
    let words = tags::words(&q);
    let mut page = SearchPage {
        q,
        clubs: vec![],
        teams: vec![],
        drivers: vec![],
        events: vec![],
    };
    let Some(tag) = tags::search(&words) else {
        return Ok(Seen::new(page, Tags::default()));
    };
    page.clubs = found!(db, &words, "SELECT * FROM clubs x");
    page.teams = found!(db, &words, "SELECT * FROM teams x");
    page.drivers = found!(db, &words, "SELECT * FROM profiles x");
    page.events = found!(
        db,
        &words,
        "SELECT x.*, s.name AS series_name, s.simulator FROM events x \
         JOIN series s ON s.id = x.series_id"
    );
    let shown = tags(&page, tag);
    Ok(Seen::new(page, shown))
}

fn tags(page: &SearchPage, search: String) -> Tags {
    let mut shown = Tags::of([search]);
    shown.extend(Tags::of(page.clubs.iter().map(|club| tags::club(club.id))));
    shown.extend(Tags::of(page.teams.iter().map(|team| tags::team(team.id))));
    shown.extend(Tags::of(
        page.drivers
            .iter()
            .map(|driver| tags::profile(&driver.simulator, &driver.id)),
    ));
    shown.extend(Tags::of(
        page.events.iter().map(|event| tags::event(event.id)),
    ));
    shown
}
