//! Everything that the rules look at, read once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::failure::Failure;
use crate::step::Step;
use crate::workspace::Workspace;

#[derive(Debug)]
pub(crate) struct Repository {
    pub(crate) workspace: Workspace,
    /// The text files, by their path from the root. Other files have no words.
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) trees: Vec<Tree>,
}

/// Which packages one build compiles, its own package left out.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) package: &'static str,
    pub(crate) features: &'static str,
    pub(crate) names: Vec<String>,
}

/// The builds that some promise is made about: what memory-only users compile,
/// and what keeps the core pure.
const TREES: [(&str, &str); 4] = [
    ("pitlane", "--no-default-features"),
    ("pitlane", ""),
    ("pitlane", "--all-features"),
    ("pitlane-core", "--all-features"),
];

impl Repository {
    pub(crate) fn read() -> Result<Self, Failure> {
        let workspace = Workspace::read()?;
        let trees = TREES
            .iter()
            .map(|(package, features)| Tree::read(package, features));
        Ok(Self {
            trees: trees.collect::<Result<_, _>>()?,
            files: read_files(&paths()?),
            workspace,
        })
    }

    pub(crate) fn file(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// The Rust files below a folder.
    pub(crate) fn sources(&self, folder: &str) -> impl Iterator<Item = (&str, &str)> + use<'_> {
        let prefix = format!("{folder}/");
        let files = self.files.iter();
        files
            .filter(move |(path, _)| path.starts_with(&prefix) && path.ends_with(".rs"))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }
}

impl Tree {
    fn read(package: &'static str, features: &'static str) -> Result<Self, Failure> {
        let printed = Step::cargo("tree --edges normal --prefix none --format {p} --package")
            .add_arguments(&[package])
            .add_arguments(&features.split_whitespace().collect::<Vec<_>>())
            .read()?;
        Ok(Self {
            package,
            features,
            names: names(&printed, package),
        })
    }
}

/// One package a line, as `name v1.2.3 …`; a repeated one ends with `(*)`.
/// Two versions of one package count twice.
fn names(printed: &str, own: &str) -> Vec<String> {
    let words = printed.lines().map(|line| line.split_whitespace());
    let mut packages: Vec<(&str, &str)> = words
        .filter_map(|mut words| Some((words.next()?, words.next()?)))
        .filter(|(name, _)| *name != own)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    let names = packages.into_iter().map(|(name, _)| name.to_owned());
    names.collect()
}

/// Files that git has or would take; without git, every file but what builds
/// leave behind.
fn paths() -> Result<Vec<String>, Failure> {
    let listed = Step::program("git", "ls-files -z --cached --others --exclude-standard").read();
    if let Ok(listed) = listed {
        let paths = listed.split('\0').filter(|path| !path.is_empty());
        return Ok(paths.map(str::to_owned).collect());
    }
    let mut paths = Vec::new();
    walk(Path::new(""), &mut paths)
        .map_err(|error| Failure::failed(format!("can't list the files: {error}")))?;
    Ok(paths)
}

fn walk(folder: &Path, paths: &mut Vec<String>) -> std::io::Result<()> {
    for entry in Path::new(".").join(folder).read_dir()? {
        let entry = entry?;
        let name = entry.file_name();
        let path = folder.join(&name);
        if !entry.file_type()?.is_dir() {
            paths.push(path.to_string_lossy().replace('\\', "/"));
        } else if !is_left_behind(&name.to_string_lossy()) {
            walk(&path, paths)?;
        }
    }
    Ok(())
}

fn is_left_behind(folder: &str) -> bool {
    folder == ".git" || folder == "node_modules" || folder.starts_with("target")
}

/// A file that is listed and gone is about to be a deletion; one that isn't
/// UTF-8 is a picture or the like.
fn read_files(paths: &[String]) -> BTreeMap<String, String> {
    let files = paths.iter().filter_map(|path| {
        let text = fs::read_to_string(path).ok()?;
        Some((path.clone(), text))
    });
    files.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_counts_each_version_once_and_not_itself() {
        let printed = "own v0.1.0 (/somewhere)\nitoa v1.0.0\nhttp v1.1.0\nitoa v1.0.0 (*)\n\
            http v0.2.0\n\n";
        assert_eq!(names(printed, "own"), ["http", "http", "itoa"]);
    }

    #[test]
    fn a_walk_finds_what_git_would_have_listed() {
        let mut paths = Vec::new();
        walk(Path::new("src"), &mut paths).expect("tests run in the package's folder");
        assert!(paths.iter().any(|path| path == "src/tidy/repository.rs"));
        assert!(is_left_behind("target-arm") && is_left_behind(".git"));
        assert!(!is_left_behind("src"));
    }
}
