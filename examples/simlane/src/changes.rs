//! The contract between reads and writes: a page carries the tags of what it
//! shows, a write names the rows that it changed, and the registry here says
//! which tags those end. A page is out of date exactly when the two have a
//! tag in common.

use axum::response::Response;
use pitlane::CacheHint;
use pitlane::changes::{Change, Changes};
use pitlane::{Invalidation, Tag};
use pitlane_sqlx::Guarded;
use sqlx::Sqlite;

use crate::failure::Failure;
use crate::model::{Club, ClubMember, Event, SimProfile, Team, User};
use crate::tags;
use crate::write::{Entry, Fields};

/// What a change of a row of each of the seven models ends: what shows the
/// row always, the lists it is in when it comes or goes, and the searches by
/// which it is found for the first time.
pub(crate) fn registry() -> Result<Changes, pitlane::Error> {
    Changes::builder()
        .on_change::<Club>(|club| named([tags::club(club.id)]))
        .in_lists::<Club>(|_| named([tags::CLUBS]))
        .rule::<Club>(|change| found(change, |club| club.fields.text()))
        // Roles are shown wherever memberships are, so an update touches the
        // lists themselves; only the count stays.
        .on_change::<ClubMember>(|member| {
            let (club, user) = (member.club_id, member.user_id);
            named([
                tags::club_members(club),
                tags::user_clubs(user),
                tags::membership(club, user),
            ])
        })
        .in_lists::<ClubMember>(|member| named([tags::club_stats(member.club_id)]))
        .on_change::<Team>(|team| named([tags::team(team.id)]))
        .in_lists::<Team>(|team| {
            let club = team.club_id;
            named([
                tags::TEAMS.to_owned(),
                tags::club_teams(club),
                tags::club_stats(club),
            ])
        })
        .rule::<Team>(|change| found(change, |team| team.fields.text()))
        .on_change::<SimProfile>(|driver| named([tags::profile(&driver.simulator, &driver.id)]))
        .in_lists::<SimProfile>(|driver| {
            let of_user = driver.user_id.map(tags::user_profiles);
            named([tags::PROFILES.to_owned()].into_iter().chain(of_user))
        })
        .rule::<SimProfile>(|change| found(change, |driver| driver.fields.text()))
        .on_change::<Event>(|event| named([tags::event(event.id)]))
        .in_lists::<Event>(|event| named([tags::EVENTS.into(), tags::series(event.series_id)]))
        .rule::<Event>(|change| found(change, |event| event.fields.text()))
        .on_change::<Entry>(|entry| {
            let shown = [
                tags::event_participants(entry.event_id),
                tags::profile_results(&entry.simulator, &entry.driver_id),
            ];
            let of_user = entry.user_id.map(tags::user_participations);
            let of_team = entry.team_id.map(tags::team_results);
            let of_club = entry.club_id.map(tags::club_results);
            named(
                shown
                    .into_iter()
                    .chain(of_user)
                    .chain(of_team)
                    .chain(of_club),
            )
        })
        .on_change::<User>(|user| named([tags::user(user.id)]))
        .build()
}

fn named<T: Into<Tag>>(tags: impl IntoIterator<Item = T>) -> Vec<Tag> {
    tags.into_iter().map(Into::into).collect()
}

/// The searches that find a row by its text, where that is new. (Those that
/// found it by another text show it, and end with it.)
fn found<T>(change: Change<'_, T>, text: impl Fn(&T) -> Option<String>) -> Vec<Tag> {
    let (before, after) = (change.before(), change.after());
    let text = |row: Option<&T>| row.and_then(&text);
    match text(after) {
        Some(now) if text(before).as_ref() != Some(&now) => named(tags::searches(&now)),
        _ => Vec::new(),
    }
}

/// On a response: the tags of everything it shows, as the cache is told them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShownTags(pub(crate) Vec<String>);

/// On a response: the tags of everything the request changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct TouchedTags(pub(crate) Vec<String>);

impl From<&Invalidation> for TouchedTags {
    fn from(ended: &Invalidation) -> Self {
        let names = ended.names().iter().map(|tag| tag.name().to_owned());
        Self(names.collect())
    }
}

/// Adds the tags of what a response shows.
#[must_use]
pub(crate) fn shown(mut response: Response, tags: Vec<String>) -> Response {
    let extensions = response.extensions_mut();
    let shown = extensions.get_or_insert_default::<ShownTags>();
    shown.0.extend(tags);
    let hint = CacheHint::tags(shown.0.iter().map(String::as_str));
    extensions.insert(hint);
    response
}

/// Commits a write and ends every kept answer that shows what it changed;
/// nothing else in the site commits.
pub(crate) async fn commit(write: Guarded<Sqlite>) -> Result<TouchedTags, Failure> {
    let touched = TouchedTags::from(write.touched());
    let _position = write.commit().await?;
    Ok(touched)
}

/// Adds the tags of what a request changed to its response.
#[must_use]
pub(crate) fn touched(mut response: Response, tags: TouchedTags) -> Response {
    response.extensions_mut().insert(tags);
    response
}
