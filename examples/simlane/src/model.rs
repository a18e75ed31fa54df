//! The rows as they are stored, shown and sent.
//!
//! What the API may set is a struct of its own (`ClubFields`): the body of a
//! POST, and the row that a PATCH is merged into. Ids and parents never
//! change.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

pub(crate) const SIMULATORS: [&str; 3] = ["iracing", "acc", "lmu"];
pub(crate) const ROLES: [&str; 4] = ["owner", "manager", "driver", "reserve"];
pub(crate) const COLOURS: [&str; 6] = ["red", "amber", "green", "teal", "blue", "violet"];
pub(crate) const EVENT_STATES: [&str; 2] = ["scheduled", "finished"];
pub(crate) const ENTRY_STATES: [&str; 3] = ["entered", "finished", "retired"];

/// A row: its id and the fields that can be set.
#[derive(Clone, Debug, Serialize, Deserialize, FromRow)]
pub(crate) struct Club {
    pub(crate) id: i64,
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub(crate) fields: ClubFields,
}

#[derive(Clone, Debug, Serialize, Deserialize, FromRow)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClubFields {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) tagline: String,
    #[serde(default)]
    pub(crate) description: String,
    pub(crate) country: String,
    pub(crate) founded: i64,
}

/// A membership with the names of both sides.
#[derive(Clone, Debug, Serialize, Deserialize, FromRow)]
pub(crate) struct ClubMember {
    pub(crate) id: i64,
    pub(crate) club_id: i64,
    pub(crate) club_name: String,
    pub(crate) user_id: i64,
    pub(crate) username: String,
    pub(crate) user_name: String,
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub(crate) fields: MemberFields,
}

#[derive(Clone, Debug, Serialize, Deserialize, FromRow)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberFields {
    pub(crate) role: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, FromRow)]
pub(crate) struct Team {
    pub(crate) id: i64,
    pub(crate) club_id: i64,
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub(crate) fields: TeamFields,
}

#[derive(Clone, Debug, Serialize, Deserialize, FromRow)]
#[serde(deny_unknown_fields)]
pub(crate) struct TeamFields {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) car: String,
    pub(crate) number: i64,
    #[serde(default = "first_colour")]
    pub(crate) colour: String,
}

/// A driver: somebody's profile in one simulator.
#[derive(Clone, Debug, Serialize, Deserialize, FromRow)]
pub(crate) struct SimProfile {
    /// Where it is in the table; no business of anybody outside.
    #[serde(skip)]
    pub(crate) row: i64,
    pub(crate) simulator: String,
    pub(crate) id: String,
    pub(crate) user_id: Option<i64>,
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub(crate) fields: ProfileFields,
}

#[derive(Clone, Debug, Serialize, Deserialize, FromRow)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileFields {
    pub(crate) name: String,
    pub(crate) country: String,
    #[serde(default)]
    pub(crate) rating: i64,
    /// Incidents in a thousand corners.
    #[serde(default)]
    pub(crate) incidents: i64,
    #[serde(default)]
    pub(crate) starts: i64,
    #[serde(default)]
    pub(crate) podiums: i64,
    #[serde(default)]
    pub(crate) wins: i64,
}

/// A championship. Nothing on the site changes it.
#[derive(Clone, Debug, Serialize, Deserialize, FromRow)]
pub(crate) struct Series {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) simulator: String,
    pub(crate) class: String,
    pub(crate) summary: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, FromRow)]
pub(crate) struct Event {
    pub(crate) id: i64,
    pub(crate) series_id: i64,
    pub(crate) series_name: String,
    pub(crate) simulator: String,
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub(crate) fields: EventFields,
}

#[derive(Clone, Debug, Serialize, Deserialize, FromRow)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventFields {
    pub(crate) name: String,
    pub(crate) track: String,
    /// `2027-01-31T19:00`, in UTC.
    pub(crate) starts_at: String,
    pub(crate) laps: i64,
    #[serde(default = "first_event_state")]
    pub(crate) status: String,
}

/// A driver's entry in an event, with the names that a results table shows.
#[derive(Clone, Debug, Serialize, Deserialize, FromRow)]
pub(crate) struct EventParticipation {
    pub(crate) id: i64,
    pub(crate) event_id: i64,
    pub(crate) event_name: String,
    pub(crate) event_status: String,
    pub(crate) track: String,
    pub(crate) starts_at: String,
    pub(crate) simulator: String,
    pub(crate) driver_id: String,
    pub(crate) driver_name: String,
    pub(crate) country: String,
    pub(crate) team_id: Option<i64>,
    pub(crate) team_name: Option<String>,
    pub(crate) colour: Option<String>,
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub(crate) fields: ParticipationFields,
}

#[derive(Clone, Debug, Serialize, Deserialize, FromRow)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParticipationFields {
    #[serde(default = "first_entry_state")]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) position: Option<i64>,
    #[serde(default)]
    pub(crate) best_lap_ms: Option<i64>,
}

#[derive(Clone, Debug, Serialize, Deserialize, FromRow)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) username: String,
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub(crate) fields: UserFields,
}

#[derive(Clone, Debug, Serialize, Deserialize, FromRow)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserFields {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) country: String,
    #[serde(default)]
    pub(crate) bio: String,
}

fn first_colour() -> String {
    COLOURS[0].to_owned()
}

fn first_event_state() -> String {
    EVENT_STATES[0].to_owned()
}

fn first_entry_state() -> String {
    ENTRY_STATES[0].to_owned()
}
