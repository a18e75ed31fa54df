//! Words that must not reach the repository: paths of somebody's machine, and
//! what marks unfinished or silenced work.

use super::repository::Repository;

/// Joined at compile time, so that this file may be in the repository.
const FORBIDDEN: &[&str] = &[
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[", "ignore"),
    concat!("dbg", "!("),
];

const MACHINE: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/tmp/", "bash_jobs"),
];

/// Followed by somebody's name.
const HOMES: &str = concat!("/ho", "me/");

/// Packages come from crates.io, whatever mirror a machine fetches them from.
const LOCK: &str = "Cargo.lock";
const REGISTRY: &str = "\"registry+https://github.com/rust-lang/crates.io-index\"";

pub(crate) fn broken(repository: &Repository) -> Vec<String> {
    let files = repository.files.iter();
    files
        .flat_map(|(path, text)| {
            let lines = text.lines().enumerate();
            lines.filter_map(move |(number, line)| {
                let what = forbidden(line).or_else(|| foreign(path, line))?;
                Some(format!("{path}:{} {what}", number + 1))
            })
        })
        .collect()
}

fn forbidden(line: &str) -> Option<String> {
    let word = FORBIDDEN.iter().find(|word| line.contains(*word));
    let path = || MACHINE.iter().find(|path| begins(line, path).is_some());
    if let Some(word) = word {
        return Some(format!("says `{word}`"));
    }
    if let Some(path) = path() {
        return Some(format!("names a path of one machine, `{path}`"));
    }
    let name = begins(line, HOMES)?.chars().next()?;
    name.is_ascii_alphanumeric()
        .then(|| format!("names a path of one machine, below `{HOMES}`"))
}

/// What follows the path, where it stands as the beginning of a path and not
/// somewhere inside a longer one.
fn begins<'a>(line: &'a str, path: &str) -> Option<&'a str> {
    let mut rest = line;
    let mut before = None;
    while let Some((left, right)) = rest.split_once(path) {
        let previous = left.chars().next_back().or(before);
        if previous.is_none_or(|one| !(one.is_alphanumeric() || "_-.}~*>".contains(one))) {
            return Some(right);
        }
        before = path.chars().next_back();
        rest = right;
    }
    None
}

fn foreign(path: &str, line: &str) -> Option<String> {
    let source = line.strip_prefix("source = ")?;
    (path == LOCK && source != REGISTRY).then(|| "names a source other than crates.io".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, check_broken, check_tidy};
    use super::*;

    #[track_caller]
    fn check_line(line: &str, what: &str) {
        let fixture = fixture::tidy().file("docs/page.md", &format!("first\n{line}\n"));
        match what {
            "" => check_tidy(fixture),
            what => check_broken(fixture, &format!("docs/page.md:2 {what}")),
        }
    }

    #[test]
    fn marks_of_unfinished_work_are_refused() {
        for word in FORBIDDEN {
            check_line(&format!("    {word}"), &format!("says `{word}`"));
        }
        check_line("a list of things to do (ignore it)", "");
    }

    #[test]
    fn paths_of_one_machine_are_refused() {
        for path in MACHINE {
            let what = format!("names a path of one machine, `{path}`");
            check_line(&format!("open {path}x"), &what);
            check_line(&format!("{path}x"), &what);
            check_line(&format!("\"file://{path}x\""), &what);
            check_line(&format!("https://example.com{path}x and {path}"), &what);
            check_line(&format!("https://example.com{path}x"), "");
        }
        let below = format!("names a path of one machine, below `{HOMES}`");
        check_line(&format!("cd {HOMES}anna"), &below);
        check_line(&format!("cd {HOMES}<user>"), "");
    }

    #[test]
    fn the_lock_file_names_only_the_public_registry() {
        let lock = |source: &str| fixture::tidy().file(LOCK, &format!("source = {source}\n"));
        check_tidy(lock(REGISTRY));
        check_broken(
            lock("\"registry+https://mirror.example/index\""),
            "Cargo.lock:1 names a source other than crates.io",
        );
    }
}
