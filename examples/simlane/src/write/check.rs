//! Which values each field may have.

use super::Fields;
use crate::failure::Failure;
use crate::model::{
    COLOURS, ClubFields, ENTRY_STATES, EVENT_STATES, EventFields, MemberFields,
    ParticipationFields, ProfileFields, ROLES, TeamFields, UserFields,
};

/// The longest name, and the longest text.
const NAME: usize = 80;
const TEXT: usize = 2000;

impl Fields for ClubFields {
    fn check(&self) -> Result<(), Failure> {
        name("name", &self.name)?;
        text("tagline", &self.tagline, NAME)?;
        text("description", &self.description, TEXT)?;
        country(&self.country)?;
        number("founded", self.founded, 1950, 2100)
    }

    fn text(&self) -> Option<String> {
        Some(self.name.clone())
    }
}

impl Fields for MemberFields {
    fn check(&self) -> Result<(), Failure> {
        one_of("role", &self.role, &ROLES)
    }
}

impl Fields for TeamFields {
    fn check(&self) -> Result<(), Failure> {
        name("name", &self.name)?;
        text("car", &self.car, NAME)?;
        number("number", self.number, 0, 999)?;
        one_of("colour", &self.colour, &COLOURS)
    }

    fn text(&self) -> Option<String> {
        Some(format!("{} {}", self.name, self.car))
    }
}

impl Fields for ProfileFields {
    fn check(&self) -> Result<(), Failure> {
        name("name", &self.name)?;
        country(&self.country)?;
        number("rating", self.rating, 0, 20_000)?;
        number("incidents", self.incidents, 0, 1000)?;
        number("starts", self.starts, 0, 100_000)?;
        number("podiums", self.podiums, 0, self.starts)?;
        number("wins", self.wins, 0, self.podiums)
    }

    fn text(&self) -> Option<String> {
        Some(self.name.clone())
    }
}

impl Fields for EventFields {
    fn check(&self) -> Result<(), Failure> {
        name("name", &self.name)?;
        name("track", &self.track)?;
        moment("starts_at", &self.starts_at)?;
        number("laps", self.laps, 1, 1000)?;
        one_of("status", &self.status, &EVENT_STATES)
    }

    fn text(&self) -> Option<String> {
        Some(format!("{} {}", self.name, self.track))
    }
}

impl Fields for ParticipationFields {
    fn check(&self) -> Result<(), Failure> {
        one_of("status", &self.status, &ENTRY_STATES)?;
        number("position", self.position.unwrap_or(1), 1, 200)?;
        number("best_lap_ms", self.best_lap_ms.unwrap_or(1), 1, 3_600_000)?;
        match (self.status == "finished", self.position) {
            (true, None) => Err(Failure::invalid(
                "position",
                "is missing for a finished race",
            )),
            (false, Some(_)) => Err(Failure::invalid("position", "is only for a finished race")),
            _ => Ok(()),
        }
    }
}

impl Fields for UserFields {
    fn check(&self) -> Result<(), Failure> {
        name("name", &self.name)?;
        text("bio", &self.bio, TEXT)?;
        country(&self.country)?;
        text("email", &self.email, NAME)?;
        match self.email.split_once('@') {
            Some((local, host)) if !local.is_empty() && !host.is_empty() => Ok(()),
            _ => Err(Failure::invalid("email", "must be an e-mail address")),
        }
    }
}

fn name(field: &str, value: &str) -> Result<(), Failure> {
    if value.trim().is_empty() {
        return Err(Failure::invalid(field, "must not be empty"));
    }
    text(field, value, NAME)
}

fn text(field: &str, value: &str, longest: usize) -> Result<(), Failure> {
    if value.chars().count() > longest {
        return Err(Failure::invalid(
            field,
            format!("must have at most {longest} characters"),
        ));
    }
    if value
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\r')
    {
        return Err(Failure::invalid(
            field,
            "must not contain control characters",
        ));
    }
    Ok(())
}

fn number(field: &str, value: i64, least: i64, most: i64) -> Result<(), Failure> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Failure::invalid(
        field,
        format!("must be between {least} and {most}"),
    ))
}

fn one_of(field: &str, value: &str, known: &[&str]) -> Result<(), Failure> {
    if known.contains(&value) {
        return Ok(());
    }
    Err(Failure::invalid(
        field,
        format!("must be one of {}", known.join(", ")),
    ))
}

fn country(value: &str) -> Result<(), Failure> {
    if value.len() == 2 && value.bytes().all(|b| b.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(Failure::invalid(
        "country",
        "must be two capital letters, such as GB",
    ))
}

/// `2027-01-31T19:00`: in this form the order of the text is that of time.
fn moment(field: &str, value: &str) -> Result<(), Failure> {
    let shape: String = value
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    let part = |from: usize, to: usize| value.get(from..to).and_then(|part| part.parse().ok());
    let within = |from, to, least: u32, most: u32| {
        part(from, to).is_some_and(|number: u32| (least..=most).contains(&number))
    };
    let real = within(5, 7, 1, 12)
        && within(8, 10, 1, 31)
        && within(11, 13, 0, 23)
        && within(14, 16, 0, 59);
    if shape == "0000-00-00T00:00" && real {
        return Ok(());
    }
    Err(Failure::invalid(field, "must look like 2027-01-31T19:00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, valid: bool) {
        assert_eq!(moment("starts_at", value).is_ok(), valid, "{value}");
    }

    #[test]
    fn moments_have_one_form() {
        check("2027-01-31T19:00", true);
        check("2027-12-01T23:59", true);
        for wrong in [
            "",
            "2027-13-01T00:00",
            "2027-1-01T00:00",
            "2027-01-31 19:00",
            "२027-01-31T19:00",
        ] {
            check(wrong, false);
        }
    }
}
