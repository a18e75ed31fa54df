//! Each row of the RFCs has a test or a reason, each story a row, and the page is up to date.

use std::collections::BTreeSet;

use super::repository::Repository;
use crate::conformance::{
    LEVELS, PAGE, PROFILES, ROWS, Row, SCENARIOS, Scenarios, Shown, page, rows, scenarios,
};

pub(crate) fn broken(repository: &Repository) -> Vec<String> {
    let Some(text) = repository.file(ROWS) else {
        return vec![format!("{ROWS} is missing")];
    };
    let rows = match rows(text) {
        Ok(rows) => rows,
        Err(sentence) => return vec![sentence],
    };
    let files = repository.files.iter();
    let stories = files.filter(|(path, _)| path.starts_with(SCENARIOS));
    let scenarios = match scenarios(stories.map(|(path, text)| (path.as_str(), text.as_str()))) {
        Ok(scenarios) => scenarios,
        Err(sentence) => return vec![sentence],
    };
    let mut sentences = Vec::new();
    let mut ids = BTreeSet::new();
    for row in &rows {
        if !ids.insert(&row.id) {
            sentences.push(format!("{ROWS}: there are two rows `{}`", row.id));
        }
        let wrong = shape(row)
            .into_iter()
            .chain(tests(row, &scenarios, repository))
            .chain(unshown(row, &scenarios));
        sentences.extend(wrong.map(|what| format!("{ROWS}: row `{}` {what}", row.id)));
    }
    sentences.extend(unnamed(&rows, &scenarios));
    if sentences.is_empty() && repository.file(PAGE) != Some(&page(&rows, &scenarios)) {
        sentences.push(format!(
            "{PAGE} is out of date: `cargo xtask conformance` writes it"
        ));
    }
    sentences
}

fn shape(row: &Row) -> Vec<String> {
    let mut wrong = Vec::new();
    let number = row.rfc().strip_prefix("RFC ").unwrap_or_default();
    if number.parse::<u16>().is_err() || row.rfc() == row.section {
        wrong.push(format!("names no section of an RFC: `{}`", row.section));
    }
    if !LEVELS.contains(&row.level.as_str()) {
        wrong.push(format!("has an unknown level `{}`", row.level));
    }
    if !PROFILES.contains(&row.profile.as_str()) {
        wrong.push(format!("has an unknown profile `{}`", row.profile));
    }
    if row.says.trim().is_empty() {
        wrong.push("says nothing".to_owned());
    }
    match (&row.tests, &row.left_out) {
        (Some(tests), None) if !tests.is_empty() => {}
        (None, Some(reason)) if !reason.trim().is_empty() => {}
        _ => wrong.push("needs either tests or a reason to be left out".to_owned()),
    }
    wrong
}

fn tests(row: &Row, scenarios: &Scenarios, repository: &Repository) -> Vec<String> {
    let missing = |shown: Shown<'_>| match shown {
        Shown::Scenario(name) => {
            (!scenarios.contains_key(name)).then(|| format!("names no scenario: `{name}`"))
        }
        Shown::Function { path, name } => {
            let text = repository.file(path).unwrap_or_default();
            let there = text.contains(&format!("fn {name}("));
            (!there).then(|| format!("names no function: `{name}` in {path}"))
        }
        Shown::Unreadable => Some("names a test that is neither story nor function".to_owned()),
    };
    row.shown().filter_map(missing).collect()
}

/// A profile that a row holds for and none of its tests is about. A function may be about any.
fn unshown(row: &Row, scenarios: &Scenarios) -> Option<String> {
    let is_about = |shown: Shown<'_>, profile: &str| match shown {
        Shown::Scenario(name) => scenarios
            .get(name)
            .is_none_or(|story| story.profile == "both" || story.profile == profile),
        Shown::Function { .. } | Shown::Unreadable => true,
    };
    let profiles = PROFILES.iter().filter(|profile| {
        **profile != "both" && (row.profile == "both" || row.profile == **profile)
    });
    let mut unshown = profiles.filter(|profile| !row.shown().any(|shown| is_about(shown, profile)));
    let profile = unshown.next().filter(|_| row.shown().next().is_some())?;
    Some(format!("is shown by no test for the profile `{profile}`"))
}

/// The stories that no row is about: either a rule is missing or the story says nothing.
fn unnamed<'a>(rows: &'a [Row], scenarios: &'a Scenarios) -> impl Iterator<Item = String> + 'a {
    let named: BTreeSet<_> = rows
        .iter()
        .flat_map(Row::shown)
        .filter_map(scenario)
        .collect();
    let unnamed = scenarios
        .iter()
        .filter(move |(name, _)| !named.contains(name.as_str()));
    unnamed.map(|(name, story)| format!("{}: no row of {ROWS} names `{name}`", story.path))
}

fn scenario(shown: Shown<'_>) -> Option<&str> {
    match shown {
        Shown::Scenario(name) => Some(name),
        Shown::Function { .. } | Shown::Unreadable => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, STORIES, TEST, check_broken, check_tidy};
    use super::*;

    /// The tidy row with one thing else, and the page that would be made of it.
    #[track_caller]
    fn check_row(from: &str, to: &str, what: &str) {
        let fixture = fixture::tidy().replace(ROWS, from, to);
        check_broken(fixture, &format!("{ROWS}: row `9111-3-one` {what}"));
    }

    #[test]
    fn a_row_has_a_section_a_level_a_profile_and_words() {
        check_row(
            "RFC 9111 §3",
            "RFC 9111",
            "names no section of an RFC: `RFC 9111`",
        );
        check_row(
            "RFC 9111 §3",
            "ISO 8601 §3",
            "names no section of an RFC: `ISO 8601 §3`",
        );
        check_row("\"MUST\"", "\"WILL\"", "has an unknown level `WILL`");
        check_row("\"both\"", "\"all\"", "has an unknown profile `all`");
        check_row("\"It is so.\"", "\" \"", "says nothing");
    }

    #[test]
    fn a_row_has_either_tests_or_a_reason() {
        let needs = "needs either tests or a reason to be left out";
        check_row(" fact\"]", " fact\"]\nleft_out = \"a reason\"", needs);
        check_broken(
            fixture::tidy().replace(ROWS, "left_out = \"A client's affair.\"", "left_out = \"\""),
            &format!("{ROWS}: row `9111-4-two` {needs}"),
        );
        check_broken(
            fixture::tidy().replace(ROWS, "left_out = \"A client's affair.\"", "tests = []"),
            &format!("{ROWS}: row `9111-4-two` {needs}"),
        );
    }

    #[test]
    fn two_rows_never_share_an_id() {
        check_broken(
            fixture::tidy().replace(ROWS, "9111-4-two", "9111-3-one"),
            &format!("{ROWS}: there are two rows `9111-3-one`"),
        );
    }

    #[test]
    fn every_test_that_is_named_exists() {
        check_row(
            "[\"scenario story\"",
            "[\"scenario stroy\", \"scenario story\"",
            "names no scenario: `stroy`",
        );
        check_row(
            &format!("{TEST} fact"),
            &format!("{TEST} fcat"),
            &format!("names no function: `fcat` in {TEST}"),
        );
        check_row(
            &format!("{TEST} fact"),
            "somewhere fact",
            "names a test that is neither story nor function",
        );
    }

    #[test]
    fn a_row_is_shown_for_each_profile_that_it_holds_for() {
        let fact = format!(", \"{TEST} fact\"");
        let alone = || fixture::tidy().replace(ROWS, &fact, "");
        let unshown = "is shown by no test for the profile `application`";
        check_broken(
            alone().replace(STORIES, "\"both\"", "\"rfc\""),
            &format!("{ROWS}: row `9111-3-one` {unshown}"),
        );
        let for_rfc = alone().replace(STORIES, "\"both\"", "\"rfc\"");
        let stale = format!("{PAGE} is out of date: `cargo xtask conformance` writes it");
        check_broken(for_rfc.replace(ROWS, "\"both\"", "\"rfc\""), &stale);
        check_broken(alone(), &stale);
    }

    #[test]
    fn every_story_is_named_by_a_row() {
        let more = "[[scenario]]\nname = \"lonely\"\nprofile = \"rfc\"\n";
        let path = format!("{SCENARIOS}more.toml");
        check_broken(
            fixture::tidy().file(&path, more),
            &format!("{path}: no row of {ROWS} names `lonely`"),
        );
    }

    #[test]
    fn the_page_is_what_the_rows_make() {
        let stale = format!("{PAGE} is out of date: `cargo xtask conformance` writes it");
        check_broken(
            fixture::tidy().replace(PAGE, "It is so.", "It was so."),
            &stale,
        );
        check_broken(fixture::tidy().without_file(PAGE), &stale);
        let told = fixture::tidy().replace(ROWS, "It is so.", "It was so.");
        check_tidy(told.replace(PAGE, "It is so.", "It was so."));
    }

    #[test]
    fn a_file_that_is_missing_or_broken_is_named() {
        check_broken(
            fixture::tidy().without_file(ROWS),
            &format!("{ROWS} is missing"),
        );
        let broken = fixture::tidy().file(STORIES, "[[scenario]]\n").build();
        let [sentence] = super::broken(&broken).try_into().expect("there is one");
        assert!(sentence.starts_with(&format!("{STORIES}: ")), "{sentence}");
    }
}
