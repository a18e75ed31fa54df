//! The page for readers: what is asked, of whom, and what shows it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{LEVELS, Row, Scenarios, Shown};

const HEAD: &str = "\
# Conformance

<!-- Made of tests/conformance.toml by `cargo xtask conformance`; edit that file. -->

What the RFCs ask of a shared cache that is run by the origin, in our own words, and the test that \
fails where it is not so. What is not tested says why. `MUST` and its kin are the words of the \
text; *stated* is what a text defines without any of them; a `MAY` is listed where Pitlane makes \
use of it.

*Profile* says where a row holds: `Profile::Rfc` uses all that the RFCs allow, \
`Profile::Application` denies by default and so stores less. Storing less breaks no rule: nobody \
has to store anything.

A name under *shown by* leads to the file that holds the test: a story under `tests/scenarios/` is \
played three times, against the policy alone, against the layer, and over sockets through the \
reverse proxy.
";

/// What each document is called.
const TITLES: [(&str, &str); 9] = [
    ("RFC 9110", "HTTP Semantics"),
    ("RFC 9111", "HTTP Caching"),
    ("RFC 9112", "HTTP/1.1"),
    ("RFC 5861", "Stale content"),
    ("RFC 6585", "Additional status codes"),
    ("RFC 8246", "Immutable responses"),
    ("RFC 9211", "Cache-Status"),
    ("RFC 9213", "Targeted cache control"),
    ("RFC 9875", "Cache groups"),
];

/// From the page's folder to the root.
const ROOT: &str = "../../";

/// The whole page; the same rows always make the same text.
pub(crate) fn page(rows: &[Row], scenarios: &Scenarios) -> String {
    let mut rfcs: Vec<(&str, Vec<&Row>)> = Vec::new();
    for row in rows {
        match rfcs.iter_mut().find(|(rfc, _)| *rfc == row.rfc()) {
            Some((_, those)) => those.push(row),
            None => rfcs.push((row.rfc(), vec![row])),
        }
    }
    let mut text = String::from(HEAD);
    text.push_str(&summary(&rfcs));
    for (rfc, rows) in &rfcs {
        let title = TITLES.iter().find(|(known, _)| known == rfc);
        let title = title.map_or(String::new(), |(_, title)| format!(": {title}"));
        let _ = write!(text, "\n## {rfc}{title}\n\n");
        text.push_str("| section | level | what is asked | profile | shown by |\n");
        text.push_str("| --- | --- | --- | --- | --- |\n");
        for row in rows {
            text.push_str(&line(row, scenarios));
        }
    }
    text
}

/// How many rows of each level are tested, and how many left out.
fn summary(rfcs: &[(&str, Vec<&Row>)]) -> String {
    let mut text =
        String::from("\n## In numbers\n\nTested rows, and behind a plus those left out.\n\n");
    let _ = writeln!(text, "| | {} | all |", LEVELS.join(" | "));
    let _ = writeln!(text, "| ---{} |", " | ---:".repeat(LEVELS.len() + 1));
    let all: Vec<&Row> = rfcs.iter().flat_map(|(_, rows)| rows).copied().collect();
    let total = [("all", all)];
    for (rfc, rows) in rfcs.iter().chain(&total) {
        let mut by_level = BTreeMap::<&str, Vec<&Row>>::new();
        for row in rows {
            by_level.entry(&row.level).or_default().push(row);
        }
        let counts = LEVELS.map(|level| count(by_level.get(level).map_or(&[], Vec::as_slice)));
        let _ = writeln!(text, "| {rfc} | {} | {} |", counts.join(" | "), count(rows));
    }
    text
}

fn count(rows: &[&Row]) -> String {
    let tested = rows.iter().filter(|row| row.tests.is_some()).count();
    match (tested, rows.len() - tested) {
        (0, 0) => String::new(),
        (tested, 0) => tested.to_string(),
        (tested, left_out) => format!("{tested} + {left_out}"),
    }
}

fn line(row: &Row, scenarios: &Scenarios) -> String {
    let section = row
        .section
        .split_once(' ')
        .and_then(|(_, rest)| rest.split_once(' '))
        .map_or(row.section.as_str(), |(_, section)| section);
    let mut says = row.says.clone();
    if let Some(note) = &row.note {
        let _ = write!(says, " *{note}*");
    }
    let shown = match &row.left_out {
        Some(reason) => format!("left out: {reason}"),
        None => {
            let links: Vec<_> = row.shown().map(|shown| link(shown, scenarios)).collect();
            links.join(", ")
        }
    };
    let cells = [section, &row.level, &says, &row.profile, &shown];
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    format!("| {} |\n", cells.join(" | "))
}

fn link(shown: Shown<'_>, scenarios: &Scenarios) -> String {
    let (name, path) = match shown {
        Shown::Scenario(name) => (name, scenarios.get(name).map(|story| story.path.as_str())),
        Shown::Function { path, name } => (name, Some(path)),
        Shown::Unreadable => return String::new(),
    };
    // Names are long, and a table breaks its lines only at spaces.
    let words = name.replace('_', " ");
    path.map_or(words.clone(), |path| format!("[{words}]({ROOT}{path})"))
}

#[cfg(test)]
mod tests {
    use super::super::Story;
    use super::*;

    fn row(section: &str, level: &str, tests: Option<&str>) -> Row {
        Row {
            id: "id".to_owned(),
            section: section.to_owned(),
            level: level.to_owned(),
            says: "A | is so.".to_owned(),
            profile: "both".to_owned(),
            tests: tests.map(|test| vec![test.to_owned()]),
            left_out: tests.is_none().then(|| "a client's affair".to_owned()),
            note: None,
        }
    }

    #[test]
    fn each_document_has_a_table_and_its_numbers() {
        let rows = [
            row("RFC 9111 §3", "MUST NOT", Some("scenario a_b")),
            row("RFC 9211 §2.1", "MAY", Some("tests/it/a.rs c_d")),
            row("RFC 9111 §4", "MUST NOT", None),
        ];
        let story = Story {
            path: "tests/scenarios/x.toml".to_owned(),
            profile: "both".to_owned(),
        };
        let files = Scenarios::from([("a_b".to_owned(), story)]);
        let page = page(&rows, &files);
        for line in [
            "| RFC 9111 |  | 1 + 1 |  |  |  |  | 1 + 1 |",
            "| RFC 9211 |  |  |  |  | 1 |  | 1 |",
            "| all |  | 1 + 1 |  |  | 1 |  | 2 + 1 |",
            "## RFC 9111: HTTP Caching",
            "| §3 | MUST NOT | A \\| is so. | both | [a b](../../tests/scenarios/x.toml) |",
            "| §4 | MUST NOT | A \\| is so. | both | left out: a client's affair |",
            "## RFC 9211: Cache-Status",
            "| §2.1 | MAY | A \\| is so. | both | [c d](../../tests/it/a.rs) |",
        ] {
            assert!(page.lines().any(|there| there == line), "{line}\n{page}");
        }
    }

    #[test]
    fn a_note_stands_behind_what_is_asked() {
        let mut row = row("RFC 9111 §3", "MUST", Some("scenario a"));
        row.note = Some("Even more.".to_owned());
        let line = line(&row, &Scenarios::new());
        assert_eq!(
            line,
            "| §3 | MUST | A \\| is so. *Even more.* | both | a |\n"
        );
    }
}
