//! The functions of `tags.rs` as templates call them: `tags.club(club.id)`.
//! Those for rows take the rows that a fragment shows, as they are.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use crate::tags::{self, Tags};

pub(super) fn functions() -> Value {
    let of_id = |tag: fn(i64) -> String| Value::from_function(tag);
    let of_rows = |add: AddTags| Value::from_function(move |rows: Value| all(&rows, add));
    Value::from_pairs([
        ("club", of_id(tags::club)),
        ("club_members", of_id(tags::club_members)),
        ("club_teams", of_id(tags::club_teams)),
        ("club_stats", of_id(tags::club_stats)),
        ("club_results", of_id(tags::club_results)),
        ("team_results", of_id(tags::team_results)),
        ("series", of_id(tags::series)),
        ("event_participants", of_id(tags::event_participants)),
        ("user", of_id(tags::user)),
        ("user_clubs", of_id(tags::user_clubs)),
        ("user_profiles", of_id(tags::user_profiles)),
        ("user_participations", of_id(tags::user_participations)),
        ("profile", Value::from_function(profile)),
        ("profile_results", Value::from_function(profile_results)),
        ("search", Value::from_function(search)),
        ("all_clubs", Value::from(tags::CLUBS)),
        ("all_events", Value::from(tags::EVENTS)),
        ("clubs", of_rows(club)),
        ("cards", of_rows(card)),
        ("teams", of_rows(team)),
        ("drivers", of_rows(driver)),
        ("events", of_rows(event)),
        ("members", of_rows(member)),
        ("memberships", of_rows(membership)),
        ("entries", of_rows(entry)),
    ])
}

type AddTags = fn(&Value, &mut Tags) -> Result<(), Error>;

/// The tags of all rows of a list.
fn all(rows: &Value, add: AddTags) -> Result<Vec<String>, Error> {
    let mut shown = Tags::default();
    for row in rows.try_iter()? {
        add(&row, &mut shown)?;
    }
    Ok(shown.into_vec())
}

fn profile(simulator: &str, id: &str) -> String {
    tags::profile(simulator, id)
}

fn profile_results(simulator: &str, id: &str) -> String {
    tags::profile_results(simulator, id)
}

/// None, for a query without letters.
fn search(query: &str) -> Vec<String> {
    tags::search(&tags::words(query)).into_iter().collect()
}

fn club(row: &Value, shown: &mut Tags) -> Result<(), Error> {
    shown.add(tags::club(number(row, "id")?));
    Ok(())
}

/// A club and how many are in it.
fn card(row: &Value, shown: &mut Tags) -> Result<(), Error> {
    shown.add(tags::club_stats(number(row, "id")?));
    club(row, shown)
}

fn team(row: &Value, shown: &mut Tags) -> Result<(), Error> {
    shown.add(tags::team(number(row, "id")?));
    Ok(())
}

fn driver(row: &Value, shown: &mut Tags) -> Result<(), Error> {
    shown.add(tags::profile(&text(row, "simulator")?, &text(row, "id")?));
    Ok(())
}

fn event(row: &Value, shown: &mut Tags) -> Result<(), Error> {
    shown.add(tags::event(number(row, "id")?));
    Ok(())
}

/// The person who is a member.
fn member(row: &Value, shown: &mut Tags) -> Result<(), Error> {
    shown.add(tags::user(number(row, "user_id")?));
    Ok(())
}

/// The club that somebody is a member of.
fn membership(row: &Value, shown: &mut Tags) -> Result<(), Error> {
    shown.add(tags::club(number(row, "club_id")?));
    Ok(())
}

/// The event, the driver and the team that an entry names.
fn entry(row: &Value, shown: &mut Tags) -> Result<(), Error> {
    shown.add(tags::event(number(row, "event_id")?));
    let (simulator, driver) = (text(row, "simulator")?, text(row, "driver_id")?);
    shown.add(tags::profile(&simulator, &driver));
    if row.get_attr("team_id")?.kind() != ValueKind::None {
        shown.add(tags::team(number(row, "team_id")?));
    }
    Ok(())
}

fn number(row: &Value, name: &str) -> Result<i64, Error> {
    let value = row.get_attr(name)?;
    value.as_i64().ok_or_else(|| missing(name))
}

fn text(row: &Value, name: &str) -> Result<String, Error> {
    let value = row.get_attr(name)?;
    value
        .as_str()
        .map(ToOwned::to_owned)
        .ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("a row has no {name}"))
}
