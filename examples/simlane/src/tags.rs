//! The names of tags, in one place, so that what a page shows and what a
//! write touches can only ever be spelled the same way.
//!
//! A row's tag (`club:42`) stands for the row's own fields, wherever they are
//! shown. A list's tag (`clubs`, `club:42:members`) stands for which rows are
//! in the list.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The letters of a query that its tag is made of.
///
/// A longer query shares the tag of its first letters: it is invalidated a
/// little too often, and a name costs only three tags a word.
const SEARCH_LETTERS: usize = 3;

/// A set of tags that is filled while rows are read or written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tags(BTreeSet<String>);

impl Tags {
    pub(crate) fn of(tags: impl IntoIterator<Item = String>) -> Self {
        Self(tags.into_iter().collect())
    }

    pub(crate) fn add(&mut self, tag: impl Into<String>) {
        self.0.insert(tag.into());
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub(crate) fn into_vec(self) -> Vec<String> {
        self.0.into_iter().collect()
    }
}

/// Which clubs there are.
pub(crate) const CLUBS: &str = "clubs";
/// Which teams there are.
pub(crate) const TEAMS: &str = "teams";
/// Which drivers there are.
pub(crate) const PROFILES: &str = "profiles";
/// Which events there are.
pub(crate) const EVENTS: &str = "events";

pub(crate) fn club(id: i64) -> String {
    format!("club:{id}")
}

/// Who is in a club, and as what.
pub(crate) fn club_members(id: i64) -> String {
    format!("club:{id}:members")
}

/// Whether one person is in a club, and as what.
pub(crate) fn membership(club: i64, user: i64) -> String {
    format!("club:{club}:member:{user}")
}

pub(crate) fn club_teams(id: i64) -> String {
    format!("club:{id}:teams")
}

/// How many members and teams a club has.
pub(crate) fn club_stats(id: i64) -> String {
    format!("club:{id}:stats")
}

/// The entries of all of a club's teams.
pub(crate) fn club_results(id: i64) -> String {
    format!("club:{id}:results")
}

pub(crate) fn team(id: i64) -> String {
    format!("team:{id}")
}

pub(crate) fn team_results(id: i64) -> String {
    format!("team:{id}:results")
}

pub(crate) fn profile(simulator: &str, id: &str) -> String {
    format!("profile:{simulator}:{id}")
}

pub(crate) fn profile_results(simulator: &str, id: &str) -> String {
    format!("profile:{simulator}:{id}:results")
}

/// Which events a series has.
pub(crate) fn series(id: i64) -> String {
    format!("series:{id}")
}

pub(crate) fn event(id: i64) -> String {
    format!("event:{id}")
}

pub(crate) fn event_participants(id: i64) -> String {
    format!("event:{id}:participants")
}

pub(crate) fn user(id: i64) -> String {
    format!("user:{id}")
}

/// The clubs a person is in, and as what.
pub(crate) fn user_clubs(id: i64) -> String {
    format!("user:{id}:clubs")
}

pub(crate) fn user_profiles(id: i64) -> String {
    format!("user:{id}:profiles")
}

/// The entries of all of a person's drivers.
pub(crate) fn user_participations(id: i64) -> String {
    format!("user:{id}:participations")
}

/// The words of a name or of a query in lower case, each after one space;
/// a name matches when it contains the query in this form.
pub(crate) fn words(text: &str) -> String {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .flat_map(|word| [" ".to_owned(), word.to_lowercase()])
        .collect()
}

/// What a search for `words` depends on besides the rows it shows: names that
/// begin to match.
pub(crate) fn search(words: &str) -> Option<String> {
    let first = words.split_whitespace().next()?;
    Some(format!(
        "search:{}",
        first.chars().take(SEARCH_LETTERS).collect::<String>()
    ))
}

/// The searches that a name may appear in: those for the beginnings of its
/// words.
pub(crate) fn searches(name: &str) -> BTreeSet<String> {
    let words = words(name);
    let prefixes = words.split_whitespace().flat_map(|word| {
        (1..=SEARCH_LETTERS).map(|letters| word.chars().take(letters).collect::<String>())
    });
    prefixes.map(|prefix| format!("search:{prefix}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, query: &str) {
        let tag = search(&words(query)).unwrap();
        assert!(
            words(name).contains(&words(query)),
            "{name} does not match {query}"
        );
        assert!(searches(name).contains(&tag), "{name} does not touch {tag}");
    }

    #[test]
    fn a_name_touches_every_search_it_matches() {
        for query in [
            "s",
            "sp",
            "spa",
            "spa-fran",
            "Spa Francorchamps",
            "24",
            "24 h",
            "É",
        ] {
            check("Écurie: Spa–Francorchamps 24 Heures", query);
        }
    }

    #[test]
    fn a_query_without_letters_has_no_tag() {
        assert_eq!(search(&words(" %_' ")), None);
    }
}
