//! The committed corpus: files that people have named, and those that fuzzing has added.

use std::fs;
use std::io;
use std::path::Path;

use super::files;
use crate::failure::Failure;

/// Begins a minimal set with the files that people have named.
pub(super) fn begin(committed: &Path, minimal: &Path) -> Result<(), Failure> {
    let begin = || {
        if minimal.exists() {
            fs::remove_dir_all(minimal)?;
        }
        fs::create_dir_all(minimal)
    };
    begin().map_err(|error| lost(minimal, &error))?;
    copy(committed, minimal, |name| !is_added(name))?;
    Ok(())
}

/// Puts the minimal set where it is committed; returns how many files there are then.
pub(super) fn replace(committed: &Path, minimal: &Path) -> Result<usize, Failure> {
    for path in files(committed)? {
        if path
            .file_name()
            .is_some_and(|name| is_added(&name.to_string_lossy()))
        {
            fs::remove_file(&path).map_err(|error| lost(&path, &error))?;
        }
    }
    copy(minimal, committed, |_| true)
}

fn copy(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) -> Result<usize, Failure> {
    let mut count = 0;
    for path in files(from)? {
        let name = path.file_name().unwrap_or_default();
        if wanted(&name.to_string_lossy()) {
            fs::copy(&path, to.join(name)).map_err(|error| lost(&path, &error))?;
            count += 1;
        }
    }
    Ok(count)
}

/// libFuzzer names a file by the hash of what is in it.
fn is_added(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn lost(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    const HASH: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    const OTHER: &str = "0a39a3ee5e6b4b0d3255bfef95601890afd80709";

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let files = files(folder).expect("a folder");
        let names = files.iter().filter_map(|path| path.file_name());
        let mut names: Vec<_> = names
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn named_files_stay_and_added_ones_are_replaced() {
        let (committed, minimal) = (folder("committed"), folder("minimal"));
        for name in ["plain", HASH] {
            fs::write(committed.join(name), "old").expect("a file");
        }
        begin(&committed, &minimal).expect("folders");
        assert_eq!(names(&minimal), ["plain"]);
        fs::write(minimal.join(OTHER), "new").expect("a file");
        assert_eq!(replace(&committed, &minimal).expect("folders"), 2);
        assert_eq!(names(&committed), [OTHER, "plain"]);
        for folder in [committed, minimal] {
            fs::remove_dir_all(folder).expect("a folder");
        }
    }
}
