//! The committed corpus: files that people have named, and those that fuzzing has added.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::files;
use crate::failure::Failure;

/// How many files fuzzing may add for one target. Most of what a long run finds beyond these reaches
/// one edge more each, such as one more name of a header in a table.
const MOST_ADDED: usize = 60;

/// A file, and the edges that it reaches and no chosen one does.
type Reached = (PathBuf, Vec<u32>);

/// Picks the files worth keeping from what a merge has found out about all of them: those with a
/// name, then always the one that adds the most edges.
///
/// The best choice is NP-hard; this greedy one is at most a logarithm worse (V. Chvatal, "A greedy
/// heuristic for the set-covering problem", 1979).
pub(super) fn choose(control: &str) -> Vec<PathBuf> {
    let (named, mut others): (Vec<Reached>, Vec<Reached>) = reached(control)
        .into_iter()
        .partition(|(path, _)| !is_added(&name(path)));
    let mut covered: BTreeSet<u32> = named.iter().flat_map(|(_, edges)| edges).copied().collect();
    let mut chosen = Vec::new();
    while chosen.len() < MOST_ADDED {
        for (_, edges) in &mut others {
            edges.retain(|edge| !covered.contains(edge));
        }
        let best = others.iter_mut().max_by_key(|(_, edges)| edges.len());
        let Some((path, edges)) = best.filter(|(_, edges)| !edges.is_empty()) else {
            break;
        };
        covered.extend(edges.drain(..));
        chosen.push(path.clone());
    }
    chosen
}

/// The control file of a merge: how many files there are, how many came before the merge, a path a
/// line; then `FT`, a file's number and its edges.
fn reached(control: &str) -> Vec<Reached> {
    let mut lines = control.lines();
    let count = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0);
    let mut files: Vec<Reached> = lines
        .by_ref()
        .skip(1)
        .take(count)
        .map(|path| (PathBuf::from(path), Vec::new()))
        .collect();
    for line in lines {
        let mut numbers = line.strip_prefix("FT ").unwrap_or_default().split(' ');
        let file = numbers
            .next()
            .and_then(|number| number.parse::<usize>().ok());
        if let Some((_, edges)) = file.and_then(|file| files.get_mut(file)) {
            edges.extend(numbers.filter_map(|number| number.parse::<u32>().ok()));
        }
    }
    files
}

/// Puts the chosen files where they are committed, instead of those of earlier runs; returns how many
/// files there are then. Those that people have named stay.
pub(super) fn replace(committed: &Path, chosen: &[PathBuf]) -> Result<usize, Failure> {
    let read = chosen.iter().map(|path| {
        let bytes = fs::read(path).map_err(|error| lost(path, &error))?;
        Ok((committed.join(name(path)), bytes))
    });
    // A chosen one may be one of those that go.
    let chosen = read.collect::<Result<Vec<_>, Failure>>()?;
    for path in files(committed)? {
        if is_added(&name(&path)) {
            fs::remove_file(&path).map_err(|error| lost(&path, &error))?;
        }
    }
    for (path, bytes) in chosen {
        fs::write(&path, bytes).map_err(|error| lost(&path, &error))?;
    }
    Ok(files(committed)?.len())
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
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

    const HASH: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    const OTHER: &str = "0a39a3ee5e6b4b0d3255bfef95601890afd80709";

    #[test]
    fn files_are_chosen_by_what_they_add_to_the_named_ones() {
        let hashes: Vec<String> = (0..4).map(|n| format!("{n}{}", &HASH[1..])).collect();
        let control = format!(
            "5\n1\nseeds/plain\na/{}\na/{}\na/{}\na/{}\n\
             STARTED 0 9\nFT 0 1 2 3\nCOV 0 1\nSTARTED 1 9\nFT 1 1 2 4\nFT 2 4 5 6\nFT 3 3\nFT 4 6 7\n",
            hashes[0], hashes[1], hashes[2], hashes[3]
        );
        let expected = [1, 3].map(|n: usize| PathBuf::from(format!("a/{}", hashes[n])));
        assert_eq!(choose(&control), expected);
        assert!(choose("").is_empty());
    }

    #[test]
    fn no_more_files_are_chosen_than_a_repository_should_hold() {
        let count = 2 * MOST_ADDED;
        let mut control = format!("{count}\n0\n");
        for n in 0..count {
            control += &format!("a/{n:040}\n");
        }
        for n in 0..count {
            control += &format!("FT {n} {n}\n");
        }
        assert_eq!(choose(&control).len(), MOST_ADDED);
    }

    #[test]
    fn named_files_stay_and_added_ones_are_replaced() {
        let folder = std::env::temp_dir().join(format!("xtask-{}-corpus", std::process::id()));
        let found = folder.join("found");
        fs::create_dir_all(&found).expect("folders");
        fs::write(found.join(OTHER), "new").expect("a file");
        let committed = folder.join("committed");
        fs::create_dir_all(&committed).expect("folders");
        for name in ["plain", HASH] {
            fs::write(committed.join(name), "old").expect("a file");
        }
        let count = replace(&committed, &[found.join(OTHER)]).expect("folders");
        let mut names: Vec<_> = files(&committed)
            .expect("a folder")
            .iter()
            .map(|path| name(path))
            .collect();
        names.sort();
        fs::remove_dir_all(&folder).expect("a folder");
        assert_eq!(
            (count, names),
            (2, vec![OTHER.to_owned(), "plain".to_owned()])
        );
    }
}
