//! The contract between reads and writes: a page carries the tags of what it
//! shows, a write names the tags of what it changed, and a page is out of
//! date exactly when the two have a tag in common.

use std::ops::{Deref, DerefMut};

use axum::response::Response;
use pitlane::{CacheHint, Caches};
use sqlx::{Sqlite, SqliteConnection, Transaction};

use crate::failure::Failure;
use crate::tags::{self, Tags};

/// One row that a write created, updated or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The row, with the rows it belongs to.
    pub row: Row,
    /// What happened to it.
    pub kind: Kind,
    /// The text it can be found by from now on, where that is new: it may
    /// appear in searches that didn't show it.
    pub new_text: Option<String>,
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants say it")]
pub enum Kind {
    Created,
    Updated,
    Deleted,
}

/// A row of one of the seven models that can change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are the ids of the row and its parents")]
pub enum Row {
    Club {
        id: i64,
    },
    ClubMember {
        club: i64,
        user: i64,
    },
    Team {
        id: i64,
        club: i64,
    },
    SimProfile {
        simulator: String,
        id: String,
        user: Option<i64>,
    },
    Event {
        id: i64,
        series: i64,
    },
    EventParticipation {
        event: i64,
        simulator: String,
        driver: String,
        user: Option<i64>,
        team: Option<i64>,
        club: Option<i64>,
    },
    User {
        id: i64,
    },
}

impl Change {
    /// A change of a row that can't be searched for, or is found as before.
    #[must_use]
    pub fn new(kind: Kind, row: Row) -> Self {
        Self {
            row,
            kind,
            new_text: None,
        }
    }

    /// The row is found by this text from now on.
    #[must_use]
    pub fn found_by(mut self, text: impl Into<String>) -> Self {
        self.new_text = Some(text.into());
        self
    }
}

/// The tags that a change touches: the row's own always, those of the lists
/// it is in when it comes or goes.
#[must_use]
pub fn tags_of(change: &Change) -> Vec<String> {
    let mut touched = Tags::default();
    let listed = change.kind != Kind::Updated;
    let list = |tag: String| listed.then_some(tag);
    match &change.row {
        Row::Club { id } => {
            touched.add(tags::club(*id));
            touched.extend(Tags::of(list(tags::CLUBS.into())));
        }
        // Roles are shown wherever memberships are, so an update touches the
        // lists themselves; only the count stays.
        Row::ClubMember { club, user } => {
            touched.add(tags::club_members(*club));
            touched.add(tags::user_clubs(*user));
            touched.add(tags::membership(*club, *user));
            touched.extend(Tags::of(list(tags::club_stats(*club))));
        }
        Row::Team { id, club } => {
            touched.add(tags::team(*id));
            touched.extend(Tags::of(list(tags::TEAMS.into())));
            touched.extend(Tags::of(list(tags::club_teams(*club))));
            touched.extend(Tags::of(list(tags::club_stats(*club))));
        }
        Row::SimProfile {
            simulator,
            id,
            user,
        } => {
            touched.add(tags::profile(simulator, id));
            touched.extend(Tags::of(list(tags::PROFILES.into())));
            touched.extend(Tags::of(
                user.and_then(|user| list(tags::user_profiles(user))),
            ));
        }
        Row::Event { id, series } => {
            touched.add(tags::event(*id));
            touched.extend(Tags::of(list(tags::EVENTS.into())));
            touched.extend(Tags::of(list(tags::series(*series))));
        }
        Row::EventParticipation {
            event,
            simulator,
            driver,
            user,
            team,
            club,
        } => {
            touched.add(tags::event_participants(*event));
            touched.add(tags::profile_results(simulator, driver));
            touched.extend(Tags::of(user.map(tags::user_participations)));
            touched.extend(Tags::of(team.map(tags::team_results)));
            touched.extend(Tags::of(club.map(tags::club_results)));
        }
        Row::User { id } => touched.add(tags::user(*id)),
    }
    if let Some(text) = &change.new_text {
        touched.extend(Tags::of(tags::searches(text)));
    }
    touched.into_vec()
}

/// On a response: the tags of everything it shows, as the cache is told them.
#[derive(Clone, Debug, Default)]
pub struct ShownTags(pub Vec<String>);

/// On a response: the tags of everything the request changed.
#[derive(Clone, Debug, Default)]
pub struct TouchedTags(pub Vec<String>);

/// Adds the tags of what a response shows.
#[must_use]
pub fn shown(mut response: Response, tags: Vec<String>) -> Response {
    let extensions = response.extensions_mut();
    let shown = extensions.get_or_insert_default::<ShownTags>();
    shown.0.extend(tags);
    let hint = CacheHint::tags(shown.0.iter().map(String::as_str));
    extensions.insert(hint);
    response
}

/// A transaction that writes, and the caches that will have to know.
#[derive(Debug)]
pub(crate) struct Write {
    transaction: Transaction<'static, Sqlite>,
    caches: Caches,
}

impl Write {
    pub(crate) fn new(transaction: Transaction<'static, Sqlite>, caches: &Caches) -> Self {
        Self {
            transaction,
            caches: caches.clone(),
        }
    }
}

impl Deref for Write {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.transaction
    }
}

impl DerefMut for Write {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }
}

/// Commits a write and ends every kept answer that shows what it changed;
/// nothing else in the site commits.
///
/// The invalidation is owed before the commit begins. A commit that fails may
/// have happened all the same, so what is owed is then published by `Drop`;
/// an error before this point rolls back, and owes nothing.
///
/// A task of its own does both: a visitor who leaves drops the handler's
/// future, but the database finishes a commit that it has been sent. Were the
/// invalidation published at that moment, a page read just before the commit
/// could still be stored after it.
pub(crate) async fn commit(write: Write, changes: &[Change]) -> Result<TouchedTags, Failure> {
    let touched = Tags::of(changes.iter().flat_map(tags_of)).into_vec();
    let owed = write.caches.owe(touched.iter().map(String::as_str));
    let committed = tokio::spawn(async move {
        write.transaction.commit().await?;
        owed.publish().await.map_err(internal)
    });
    let _position = committed.await.map_err(internal)??;
    Ok(TouchedTags(touched))
}

fn internal(error: impl Into<crate::BoxError>) -> Failure {
    Failure::Internal(error.into())
}

/// Adds the tags of what a request changed to its response.
#[must_use]
pub(crate) fn touched(mut response: Response, tags: TouchedTags) -> Response {
    response.extensions_mut().insert(tags);
    response
}
