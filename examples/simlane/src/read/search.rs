//! The search over everything that has a name.

use pitlane::cached;
use pitlane::data::{DataError, Json};
use serde::{Deserialize, Serialize};

use super::Seen;
use crate::Site;
use crate::failure::Failure;
use crate::model::{Club, Event, SimProfile, Team};
use crate::tags::{self, Tags};

/// The most rows of each kind, and the most letters of a query that count.
const AT_MOST: usize = 20;
const LETTERS: usize = 64;

#[derive(Debug, Default, Serialize, Deserialize)]
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

pub(crate) async fn search(site: &Site, query: &str) -> Result<Seen<SearchPage>, Failure> {
    let q: String = query.chars().take(LETTERS).collect();
    // Queries that differ in what isn't looked for find the same.
    let words = tags::words(&q);
    let mut seen = match tags::search(&words) {
        Some(tag) => found(site, &words, &tag).await?,
        None => Seen::new(SearchPage::default(), Tags::default()),
    };
    seen.data.q = q;
    Ok(seen)
}

/// What is found by words in the form that `tags::words` gives them, and by
/// the tag of searches for them, which follows from that.
#[cached(
    caches = site.queries(),
    cache = "query",
    ttl = "5m",
    key = "query:search:{words}",
    codec = Json,
    skip(site, tag)
)]
async fn found(
    site: &Site,
    words: &str,
    tag: &str,
) -> Result<Seen<SearchPage>, DataError<Failure>> {
    let mut db = site.read().await?;
    let page = SearchPage {
        q: String::new(),
        clubs: found!(db, words, "SELECT * FROM clubs x"),
        teams: found!(db, words, "SELECT * FROM teams x"),
        drivers: found!(db, words, "SELECT * FROM profiles x"),
        events: found!(
            db,
            words,
            "SELECT x.*, s.name AS series_name, s.simulator FROM events x \
             JOIN series s ON s.id = x.series_id"
        ),
    };
    let shown = tags(&page, tag);
    site.piece(page, shown)
}

fn tags(page: &SearchPage, search: &str) -> Tags {
    let mut shown = Tags::of([search.to_owned()]);
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
