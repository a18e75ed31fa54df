//! Entries and results, which four kinds of page show in the same table.

use sqlx::SqliteConnection;

use crate::failure::Failure;
use crate::model::EventParticipation;
use crate::tags::{self, Tags};

/// The entries for which `condition` holds for the bound id, as one literal.
macro_rules! entries_where {
    ($condition:literal) => {
        concat!(
            "SELECT p.id, p.event_id, e.name AS event_name, e.status AS event_status, e.track, \
             e.starts_at, d.simulator, d.id AS driver_id, d.name AS driver_name, d.country, \
             p.team_id, t.name AS team_name, t.colour, p.status, p.position, p.best_lap_ms \
             FROM participations p JOIN events e ON e.id = p.event_id \
             JOIN profiles d ON d.\"row\" = p.profile LEFT JOIN teams t ON t.id = p.team_id WHERE ",
            $condition,
            " ORDER BY e.starts_at, e.id, p.position IS NULL, p.position, p.id"
        )
    };
}

pub(super) const OF_EVENT: &str = entries_where!("p.event_id = ?");
pub(super) const OF_DRIVER: &str = entries_where!("p.profile = ?");
pub(super) const OF_TEAM: &str = entries_where!("p.team_id = ?");
pub(super) const OF_CLUB: &str = entries_where!("t.club_id = ?");
pub(super) const OF_USER: &str = entries_where!("d.user_id = ?");

/// Reads entries, and adds the tags of the events, drivers and teams that
/// their rows name.
pub(super) async fn read(
    db: &mut SqliteConnection,
    sql: &'static str,
    id: i64,
    shown: &mut Tags,
) -> Result<Vec<EventParticipation>, Failure> {
    let entries: Vec<EventParticipation> = sqlx::query_as(sql).bind(id).fetch_all(db).await?;
    for entry in &entries {
        shown.add(tags::event(entry.event_id));
        shown.add(tags::profile(&entry.simulator, &entry.driver_id));
        shown.extend(Tags::of(entry.team_id.map(tags::team)));
    }
    Ok(entries)
}
