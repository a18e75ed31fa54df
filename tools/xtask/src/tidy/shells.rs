//! A crate that holds next to nothing is a promise, not a crate.

use super::repository::Repository;
use super::source::Source;

const FEWEST_LINES: usize = 20;

pub(crate) fn broken(repository: &Repository) -> Vec<String> {
    let lines = |folder: &str| -> usize {
        let files = repository.sources(&format!("{folder}/src"));
        files
            .map(|(path, text)| Source::read(path, text).code)
            .sum()
    };
    let crates = repository.workspace.crates();
    crates
        .map(|package| (package, lines(&package.folder)))
        .filter(|(_, lines)| *lines < FEWEST_LINES)
        .map(|(package, lines)| {
            let name = &package.name;
            format!("{name} has {lines} lines of code: a crate with fewer than {FEWEST_LINES} is an empty shell")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, check_broken, check_tidy};

    const LIBRARY: &str = "crates/pitlane-core/src/lib.rs";

    #[track_caller]
    fn check_empty(library: &str, lines: usize) {
        check_broken(
            fixture::tidy().file(LIBRARY, library),
            &format!(
                "pitlane-core has {lines} lines of code: a crate with fewer than 20 is an empty shell"
            ),
        );
    }

    #[test]
    fn fewer_than_twenty_lines_are_a_shell() {
        check_empty(&"const _: () = ();\n".repeat(19), 19);
        check_tidy(fixture::tidy().file(LIBRARY, &"const _: () = ();\n".repeat(20)));
    }

    #[test]
    fn comments_and_tests_fill_no_shell() {
        check_empty(&"// A comment.\n".repeat(50), 0);
        let tests = "const _: () = ();\n".repeat(50);
        check_empty(&format!("#[cfg(test)]\nmod tests {{\n{tests}}}\n"), 0);
    }

    #[test]
    fn an_example_may_be_short() {
        check_tidy(fixture::tidy().file("examples/simlane/src/main.rs", "fn main() {}\n"));
    }
}
