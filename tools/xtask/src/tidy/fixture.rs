//! A small tidy repository in memory, and ways to make one thing in it wrong.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::repository::{Repository, Tree};
use crate::conformance;
use crate::workspace::Workspace;

#[derive(Debug)]
pub(crate) struct Fixture {
    metadata: Value,
    files: BTreeMap<String, String>,
    trees: Vec<Tree>,
}

const ROOT: &str = "[workspace.package]\nversion = \"0.1.0\"\n\n\
    [workspace.lints.rust]\nunsafe_code = \"forbid\"\n";
const MIT: &str = "Permission is hereby granted, WITHOUT WARRANTY OF ANY KIND";
const APACHE: &str = "Version 2.0, January 2004\nEND OF TERMS AND CONDITIONS";
const MANIFEST: &str = "[package]\nedition.workspace = true\n\n[lints]\nworkspace = true\n";

/// A file of tests with the one function `fact`, and a file of stories with the one story `story`.
pub(crate) const TEST: &str = "tests/it/facts.rs";
pub(crate) const STORIES: &str = "tests/scenarios/stories.toml";

const STORY: &str = "[[scenario]]\nname = \"story\"\nprofile = \"both\"\n";
const ROWS: &str = "[[row]]\nid = \"9111-3-one\"\nsection = \"RFC 9111 §3\"\n\
    level = \"MUST\"\nsays = \"It is so.\"\nprofile = \"both\"\n\
    tests = [\"scenario story\", \"tests/it/facts.rs fact\"]\n\n\
    [[row]]\nid = \"9111-4-two\"\nsection = \"RFC 9111 §4\"\n\
    level = \"MAY\"\nsays = \"It may be.\"\nprofile = \"rfc\"\n\
    left_out = \"A client's affair.\"\n";

pub(crate) fn tidy() -> Fixture {
    let rows = conformance::rows(ROWS).expect("well formed");
    let stories = conformance::scenarios([(STORIES, STORY)].into_iter()).expect("well formed");
    let empty = Fixture {
        metadata: json!({ "workspace_root": "/r", "target_directory": "/r/target", "packages": [] }),
        files: BTreeMap::new(),
        trees: Vec::new(),
    };
    empty
        .file("Cargo.toml", ROOT)
        .file("CHANGELOG.md", "# Changes\n\n## [Unreleased]\n")
        .file("LICENSE-MIT", MIT)
        .file("LICENSE-APACHE", APACHE)
        .file(TEST, "fn fact() {}\n")
        .file(STORIES, STORY)
        .file(conformance::ROWS, ROWS)
        .file(conformance::PAGE, &conformance::page(&rows, &stories))
        .package("crates/pitlane-core", "null")
        .package("crates/pitlane-policy", "null")
        .package("crates/pitlane-redis", "null")
        .package("crates/pitlane", "null")
        .package("crates/pitlane-admin", "null")
        .package("crates/pitlane-testkit", "[]")
        .package("examples/simlane", "[]")
        .depends("pitlane", "pitlane-core", "null")
}

/// Exactly this is wrong with it, and nothing else.
#[track_caller]
pub(crate) fn check_broken(fixture: Fixture, sentence: &str) {
    assert_eq!(super::broken(&fixture.build()), [sentence]);
}

#[track_caller]
pub(crate) fn check_tidy(fixture: Fixture) {
    assert_eq!(super::broken(&fixture.build()), Vec::<String>::new());
}

impl Fixture {
    pub(crate) fn build(self) -> Repository {
        Repository {
            workspace: Workspace::parse(&self.metadata.to_string()).expect("well formed"),
            files: self.files,
            trees: self.trees,
        }
    }

    /// `publish` is as cargo prints it: `null` for published, `[]` for not.
    pub(crate) fn package(mut self, folder: &str, publish: &str) -> Self {
        let name = folder.rsplit('/').next().unwrap_or(folder);
        let package = json!({
            "name": name,
            "version": "0.1.0",
            "description": "What it is",
            "license": "MIT OR Apache-2.0",
            "publish": parse(publish),
            "manifest_path": format!("/r/{folder}/Cargo.toml"),
            "dependencies": [],
        });
        self.packages().push(package);
        let library = "pub fn one() {}\n".repeat(20);
        self.file(&format!("{folder}/Cargo.toml"), MANIFEST)
            .file(&format!("{folder}/src/lib.rs"), &library)
    }

    pub(crate) fn package_field(mut self, name: &str, field: &str, json: &str) -> Self {
        self.find(name)[field] = parse(json);
        self
    }

    /// `kind` is as cargo prints it: `null`, `"build"` or `"dev"`.
    pub(crate) fn depends(mut self, from: &str, to: &str, kind: &str) -> Self {
        let dependency = json!({ "name": to, "kind": parse(kind) });
        let dependencies = self.find(from)["dependencies"].as_array_mut();
        dependencies.expect("a list").push(dependency);
        self
    }

    pub(crate) fn compiles(
        mut self,
        package: &'static str,
        features: &'static str,
        name: &str,
    ) -> Self {
        self.trees.push(Tree {
            package,
            features,
            names: vec![name.to_owned()],
        });
        self
    }

    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    pub(crate) fn without_file(mut self, path: &str) -> Self {
        assert!(self.files.remove(path).is_some(), "there is no {path}");
        self
    }

    pub(crate) fn replace(self, path: &str, from: &str, to: &str) -> Self {
        let old = self.files.get(path).expect("the file is there").clone();
        assert!(old.contains(from), "{path} has no {from}");
        self.file(path, &old.replace(from, to))
    }

    fn find(&mut self, name: &str) -> &mut Value {
        let mut packages = self.packages().iter_mut();
        let package = packages.find(|package| package["name"] == name);
        package.expect("the package is there")
    }

    fn packages(&mut self) -> &mut Vec<Value> {
        let packages = self.metadata["packages"].as_array_mut();
        packages.expect("a list")
    }
}

fn parse(json: &str) -> Value {
    serde_json::from_str(json).expect("well formed")
}
