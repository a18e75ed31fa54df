//! The sizes of files and functions, printed for people and never judged.

use super::heavy::shown;
use super::repository::Repository;
use super::source::Source;

const WORST: usize = 5;

/// One table row a package, the longest functions, and what `pitlane` compiles.
pub(crate) fn report(repository: &Repository) -> String {
    let mut rows = vec![Row::head()];
    let mut longest = Vec::new();
    for package in &repository.workspace.packages {
        let sources = measure(repository, &package.folder);
        rows.push(Row::of(&package.name, &sources).shown());
        longest.extend(named(sources));
    }
    longest.sort_by(|one, other| other.cmp(one));
    rows.push(String::new());
    rows.push("longest functions".to_owned());
    rows.extend(
        longest
            .iter()
            .take(WORST)
            .map(|(lines, name)| format!("{lines:>6}  {name}")),
    );
    rows.push(String::new());
    rows.extend(repository.trees.iter().map(|tree| {
        let count = tree.names.len();
        format!(
            "{count:>6}  packages below {} with {}",
            tree.package,
            shown(tree.features)
        )
    }));
    rows.join("\n")
}

/// The numbers of one package, in lines.
#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    name: String,
    code: usize,
    tests: usize,
    files: Spread,
    functions: Spread,
}

/// The middle, the ninth decile and the end of sorted numbers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Spread {
    median: usize,
    p90: usize,
    max: usize,
}

impl Row {
    fn of(name: &str, sources: &[(String, Source)]) -> Self {
        let sum = |part: fn(&Source) -> usize| sources.iter().map(|(_, one)| part(one)).sum();
        let code = sources.iter().filter(|(_, source)| source.code > 0);
        let functions = sources.iter().flat_map(|(_, source)| &source.functions);
        Self {
            name: name.to_owned(),
            code: sum(|source| source.code),
            tests: sum(|source| source.tests),
            files: Spread::of(code.map(|(_, source)| source.lines).collect()),
            functions: Spread::of(functions.map(|function| function.lines).collect()),
        }
    }

    fn head() -> String {
        let head = [
            "code",
            "tests",
            "file median",
            "max",
            "fn median",
            "p90",
            "max",
        ];
        line("package", &head)
    }

    fn shown(&self) -> String {
        let (files, functions) = (&self.files, &self.functions);
        let numbers = [
            self.code,
            self.tests,
            files.median,
            files.max,
            functions.median,
            functions.p90,
            functions.max,
        ];
        line(&self.name, &numbers)
    }
}

impl Spread {
    fn of(mut numbers: Vec<usize>) -> Self {
        numbers.sort_unstable();
        let at = |per_cent: usize| {
            let rank = (numbers.len() * per_cent).div_ceil(100);
            numbers.get(rank.saturating_sub(1)).copied().unwrap_or(0)
        };
        Self {
            median: at(50),
            p90: at(90),
            max: at(100),
        }
    }
}

fn line<T: ToString>(name: &str, columns: &[T; 7]) -> String {
    let columns = columns
        .iter()
        .map(|column| format!("{:>12}", column.to_string()));
    format!("{name:<18}{}", columns.collect::<String>())
}

fn measure(repository: &Repository, folder: &str) -> Vec<(String, Source)> {
    let files = repository.sources(folder);
    files
        .map(|(path, text)| (path.to_owned(), Source::read(path, text)))
        .collect()
}

/// Each function's length, and where it is.
fn named(sources: Vec<(String, Source)>) -> impl Iterator<Item = (usize, String)> {
    sources.into_iter().flat_map(|(path, source)| {
        let functions = source.functions.into_iter();
        functions.map(move |one| (one.lines, format!("{} ({path}:{})", one.name, one.line)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn a_spread_is_by_nearest_rank() {
        let spread = |median, p90, max| Spread { median, p90, max };
        assert_eq!(Spread::of(Vec::new()), spread(0, 0, 0));
        assert_eq!(Spread::of(vec![7]), spread(7, 7, 7));
        assert_eq!(Spread::of((1..=10).rev().collect()), spread(5, 9, 10));
    }

    #[test]
    fn a_row_leaves_test_files_out_of_the_spread_of_files() {
        let read = |path: &str, text: &str| (path.to_owned(), Source::read(path, text));
        let sources = [
            read("src/lib.rs", "fn a() {\n    b();\n}\n"),
            read("tests/main.rs", &"fn t() {}\n".repeat(40)),
        ];
        let row = Row::of("one", &sources);
        assert_eq!((row.code, row.tests), (3, 40));
        assert_eq!((row.files.max, row.functions.max), (3, 3));
    }

    #[test]
    fn the_report_names_the_longest_functions_and_counts_packages() {
        let long = format!("fn long() {{\n{}}}\n", "    a();\n".repeat(70));
        let repository = fixture::tidy()
            .file("examples/simlane/src/main.rs", &long)
            .compiles("pitlane", "", "bytes")
            .build();
        let report = report(&repository);
        assert!(
            report.contains("    72  long (examples/simlane/src/main.rs:1)"),
            "{report}"
        );
        assert!(report.contains("     1  packages below pitlane with default features"));
        assert!(report.lines().any(|line| line.starts_with("pitlane-core ")));
    }
}
