//! The papers that go with the code: both licences and the change log.

use super::repository::Repository;

/// Each with the words that show it is the whole of it and not a stub.
const PAPERS: &[(&str, &[&str])] = &[
    (
        "LICENSE-MIT",
        &[
            "Permission is hereby granted",
            "WITHOUT WARRANTY OF ANY KIND",
        ],
    ),
    (
        "LICENSE-APACHE",
        &["Version 2.0, January 2004", "END OF TERMS AND CONDITIONS"],
    ),
    ("CHANGELOG.md", &["## [Unreleased]"]),
];

pub(crate) fn broken(repository: &Repository) -> Vec<String> {
    let mut sentences = Vec::new();
    for (path, words) in PAPERS {
        let Some(text) = repository.file(path) else {
            sentences.push(format!("{path} is missing"));
            continue;
        };
        let absent = words.iter().find(|words| !text.contains(*words));
        sentences.extend(absent.map(|words| format!("{path} lacks `{words}`")));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, check_broken};
    use super::*;

    #[test]
    fn each_paper_must_be_there_and_whole() {
        for (path, words) in PAPERS {
            check_broken(
                fixture::tidy().without_file(path),
                &format!("{path} is missing"),
            );
            for word in *words {
                check_broken(
                    fixture::tidy().replace(path, word, ""),
                    &format!("{path} lacks `{word}`"),
                );
            }
        }
    }
}
