//! What the RFCs ask of a shared cache, row by row, and the page that is made of the rows.

mod page;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::failure::Failure;

pub(crate) use page::page;

/// Where the rows are written.
pub(crate) const ROWS: &str = "tests/conformance.toml";
/// Where the stories are that rows may name.
pub(crate) const SCENARIOS: &str = "tests/scenarios/";
/// What is made of the rows.
pub(crate) const PAGE: &str = "docs/reference/conformance.md";

/// The words of RFC 2119, and `stated` for what a text defines without any of them.
pub(crate) const LEVELS: [&str; 6] = ["MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "stated"];
pub(crate) const PROFILES: [&str; 3] = ["both", "rfc", "application"];

/// One thing that an RFC asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) id: String,
    /// `RFC 9111 §5.2.2.5`
    pub(crate) section: String,
    pub(crate) level: String,
    /// In our own words.
    pub(crate) says: String,
    pub(crate) profile: String,
    /// What fails when it is not so.
    pub(crate) tests: Option<Vec<String>>,
    /// Why there is no test.
    pub(crate) left_out: Option<String>,
    /// What is done beyond it or differently.
    pub(crate) note: Option<String>,
}

/// What a row names as a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown<'a> {
    Scenario(&'a str),
    Function { path: &'a str, name: &'a str },
    Unreadable,
}

/// The stories by their names.
pub(crate) type Scenarios = BTreeMap<String, Story>;

/// What is asked of a story here; how it goes is its own runner's affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Story {
    pub(crate) path: String,
    pub(crate) profile: String,
}

impl Row {
    pub(crate) fn shown(&self) -> impl Iterator<Item = Shown<'_>> {
        self.tests.iter().flatten().map(|test| Shown::of(test))
    }

    /// `RFC 9111`
    pub(crate) fn rfc(&self) -> &str {
        self.section
            .split_once(" §")
            .map_or(&self.section, |(rfc, _)| rfc)
    }
}

impl<'a> Shown<'a> {
    fn of(test: &'a str) -> Self {
        match test.split_once(' ') {
            Some(("scenario", name)) => Self::Scenario(name),
            Some((path, name)) if path.ends_with(".rs") => Self::Function { path, name },
            _ => Self::Unreadable,
        }
    }
}

/// Writes the page anew.
pub(crate) fn run() -> Result<(), Failure> {
    let text = read(Path::new(ROWS))?;
    let rows = rows(&text).map_err(Failure::failed)?;
    let mut files = BTreeMap::new();
    let folder = fs::read_dir(SCENARIOS).map_err(|error| broken(SCENARIOS, &error))?;
    for entry in folder {
        let path = entry.map_err(|error| broken(SCENARIOS, &error))?.path();
        files.insert(path.to_string_lossy().replace('\\', "/"), read(&path)?);
    }
    let files = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()));
    let scenarios = scenarios(files).map_err(Failure::failed)?;
    if let Some(folder) = Path::new(PAGE).parent() {
        fs::create_dir_all(folder).map_err(|error| broken(PAGE, &error))?;
    }
    fs::write(PAGE, page(&rows, &scenarios)).map_err(|error| broken(PAGE, &error))?;
    println!("{PAGE}: {} rows", rows.len());
    Ok(())
}

/// Reads the rows in their order.
pub(crate) fn rows(text: &str) -> Result<Vec<Row>, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rows {
        row: Vec<Row>,
    }
    let Rows { row } = toml::from_str(text).map_err(|error| format!("{ROWS}: {error}"))?;
    Ok(row)
}

/// Reads the names of all scenarios in these files.
pub(crate) fn scenarios<'a>(
    files: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Scenarios, String> {
    #[derive(Deserialize)]
    struct File {
        scenario: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        name: String,
        profile: String,
    }
    let mut all = Scenarios::new();
    for (path, text) in files.filter(|(path, _)| path.ends_with(".toml")) {
        let file: File = toml::from_str(text).map_err(|error| format!("{path}: {error}"))?;
        for Entry { name, profile } in file.scenario {
            let path = path.to_owned();
            all.insert(name, Story { path, profile });
        }
    }
    Ok(all)
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| broken(&path.to_string_lossy(), &error))
}

fn broken(path: &str, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_with_what_shows_it() {
        let text = "[[row]]\nid = \"a\"\nsection = \"RFC 9111 §3\"\nlevel = \"MUST\"\n\
            says = \"It is so.\"\nprofile = \"both\"\n\
            tests = [\"scenario one\", \"tests/a.rs two\", \"three\", \"four five\"]\n";
        let rows = rows(text).expect("it is well formed");
        let [row] = rows.as_slice() else {
            panic!("{rows:?}");
        };
        assert_eq!(row.rfc(), "RFC 9111");
        let two = Shown::Function {
            path: "tests/a.rs",
            name: "two",
        };
        let shown: Vec<_> = row.shown().collect();
        let unreadable = Shown::Unreadable;
        assert_eq!(shown, [Shown::Scenario("one"), two, unreadable, unreadable]);
    }

    #[test]
    fn a_field_that_no_row_has_is_refused() {
        let said = rows("[[row]]\nid = \"a\"\nlevle = \"MUST\"\n").expect_err("it has a slip");
        assert!(said.contains("levle"), "{said}");
    }

    #[test]
    fn scenarios_are_found_in_every_file() {
        let files = [
            (
                "tests/scenarios/a.toml",
                "[[scenario]]\nname = \"one\"\nprofile = \"both\"\n",
            ),
            (
                "tests/scenarios/b.toml",
                "[[scenario]]\nname = \"two\"\nprofile = \"rfc\"\n",
            ),
            ("tests/scenarios/README.md", "no story"),
        ];
        let found = scenarios(files.into_iter()).expect("they are well formed");
        assert_eq!(found.keys().collect::<Vec<_>>(), ["one", "two"]);
        let two = Story {
            path: "tests/scenarios/b.toml".to_owned(),
            profile: "rfc".to_owned(),
        };
        assert_eq!(found["two"], two);
        let said = scenarios([("a.toml", "[[")].into_iter()).expect_err("it is no TOML");
        assert!(said.starts_with("a.toml: "), "{said}");
    }
}
