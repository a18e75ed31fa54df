//! The HTML templates, compiled into the program. Every name ends in `.html`,
//! which is what makes minijinja escape all values.
//!
//! The parts of pages that are dear or shown often are fragments: `cached`
//! goes around them and names, by the functions of `tags`, the rows that they
//! show.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, Template, UndefinedBehavior};
use pitlane::fragment::{Fragment, Fragments, prefetch};

use crate::model::{COLOURS, ENTRY_STATES, EVENT_STATES, ROLES};
use crate::tags;

mod shown;

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../templates/", $name)))),*]
    };
}

const TEMPLATES: [(&str, &str); 18] = templates![
    "about.html",
    "base.html",
    "club.html",
    "clubs.html",
    "contact.html",
    "driver.html",
    "error.html",
    "event.html",
    "events.html",
    "home.html",
    "login.html",
    "manage.html",
    "me.html",
    "parts.html",
    "search.html",
    "series.html",
    "settings.html",
    "team.html",
];

/// All templates, and what is kept of them.
#[derive(Debug)]
pub(crate) struct Templates {
    environment: Environment<'static>,
    fragments: Fragments,
}

impl Templates {
    pub(crate) fn load(fragments: Fragments) -> Result<Self, Error> {
        let mut environment = environment()?;
        let fragments = fragments.install(&mut environment);
        Ok(Self {
            environment,
            fragments,
        })
    }

    pub(crate) fn get(&self, name: &str) -> Result<Template<'_, '_>, Error> {
        self.environment.get_template(name)
    }

    /// Brings the fragments that a template has for one row from Redis, where
    /// another server may have put them.
    pub(crate) async fn prefetch(
        &self,
        template: &str,
        names: &[&str],
        id: i64,
    ) -> Result<(), Error> {
        let fragment = |name: &&str| {
            let fragment = self.fragments.of(&self.environment, template, name);
            fragment.map(|fragment| fragment.arg(id))
        };
        let fragments: Result<Vec<Fragment>, Error> = names.iter().map(fragment).collect();
        let _found = prefetch(fragments?).await;
        Ok(())
    }
}

fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.add_filter("lap", lap);
    environment.add_filter("moment", moment);
    environment.add_filter("day", day);
    environment.add_filter("month", month);
    environment.add_filter("simulator", simulator);
    environment.add_filter("words", tags::words);
    environment.add_global("tags", shown::functions());
    environment.add_global("roles", ROLES.to_vec());
    environment.add_global("colours", COLOURS.to_vec());
    environment.add_global("event_states", EVENT_STATES.to_vec());
    environment.add_global("entry_states", ENTRY_STATES.to_vec());
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    Ok(environment)
}

/// 83456 milliseconds are `1:23.456`.
fn lap(milliseconds: i64) -> String {
    let (minutes, rest) = (milliseconds / 60_000, milliseconds % 60_000);
    format!("{minutes}:{:02}.{:03}", rest / 1000, rest % 1000)
}

/// `2027-01-31T19:00` is `31 Jan 2027, 19:00`.
fn moment(stored: &str) -> String {
    let year = stored.get(..4).unwrap_or_default();
    let time = stored.get(11..).unwrap_or_default();
    format!("{} {} {year}, {time}", day(stored), month(stored))
}

/// `2027-01-31T19:00` is on day `31`.
fn day(stored: &str) -> String {
    stored
        .get(8..10)
        .unwrap_or_default()
        .trim_start_matches('0')
        .to_owned()
}

/// `2027-01-31T19:00` is in `Jan`.
fn month(stored: &str) -> &'static str {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let number: Option<usize> = stored.get(5..7).and_then(|month| month.parse().ok());
    number
        .and_then(|number| MONTHS.get(number.checked_sub(1)?))
        .copied()
        .unwrap_or_default()
}

fn simulator(slug: &str) -> String {
    match slug {
        "iracing" => "iRacing".to_owned(),
        other => other.to_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_laps_read_as_people_write_them() {
        assert_eq!(moment("2027-01-03T19:00"), "3 Jan 2027, 19:00");
        assert_eq!(lap(83_456), "1:23.456");
        assert_eq!(lap(59_007), "0:59.007");
    }

    #[test]
    fn every_template_compiles() {
        assert_eq!(environment().unwrap().templates().count(), TEMPLATES.len());
    }
}
