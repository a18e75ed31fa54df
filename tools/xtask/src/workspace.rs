//! What `cargo metadata` knows about this workspace, cut down to what is asked.

use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;
use crate::step::Step;

#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) target: String,
    pub(crate) packages: Vec<Package>,
}

#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) description: Option<String>,
    pub(crate) license: Option<String>,
    pub(crate) published: bool,
    /// Relative to the workspace's root, with `/` between the parts.
    pub(crate) folder: String,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug)]
pub(crate) struct Dependency {
    /// The package's own name, whatever the manifest renames it to.
    pub(crate) name: String,
    /// Only tests, benches and examples see it: users never compile it.
    pub(crate) for_tests: bool,
}

impl Workspace {
    pub(crate) fn read() -> Result<Self, Failure> {
        let json = Step::cargo("metadata --format-version 1 --no-deps").read()?;
        Self::parse(&json).map_err(Failure::failed)
    }

    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(json)
            .map_err(|error| format!("cargo metadata printed no JSON: {error}"))?;
        let root = text(&value, "workspace_root")?;
        let packages = list(&value, "packages")?.iter();
        let packages = packages.map(|package| Package::parse(package, &root));
        let mut packages = packages.collect::<Result<Vec<_>, _>>()?;
        packages.sort_by(|one, other| one.folder.cmp(&other.folder));
        Ok(Self {
            target: text(&value, "target_directory")?,
            packages,
        })
    }

    /// The packages under `crates/`.
    pub(crate) fn crates(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.is_crate())
    }
}

impl Package {
    pub(crate) fn is_crate(&self) -> bool {
        self.folder.starts_with("crates/")
    }

    /// What users compile along with it.
    pub(crate) fn shipped(&self) -> impl Iterator<Item = &str> {
        let shipped = self.dependencies.iter().filter(|one| !one.for_tests);
        shipped.map(|dependency| dependency.name.as_str())
    }

    pub(crate) fn manifest(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }

    fn parse(value: &Value, root: &str) -> Result<Self, String> {
        let dependencies = list(value, "dependencies")?.iter();
        let dependencies = dependencies.map(Dependency::parse);
        Ok(Self {
            name: text(value, "name")?,
            version: text(value, "version")?,
            description: text(value, "description").ok(),
            license: text(value, "license").ok(),
            // `publish = false` is an empty list of registries here.
            published: value.get("publish").is_none_or(Value::is_null),
            folder: folder(&text(value, "manifest_path")?, root)?,
            dependencies: dependencies.collect::<Result<Vec<_>, _>>()?,
        })
    }
}

impl Dependency {
    fn parse(value: &Value) -> Result<Self, String> {
        Ok(Self {
            name: text(value, "name")?,
            for_tests: value.get("kind").and_then(Value::as_str) == Some("dev"),
        })
    }
}

fn folder(manifest: &str, root: &str) -> Result<String, String> {
    let folder = Path::new(manifest)
        .parent()
        .and_then(|folder| folder.strip_prefix(root).ok())
        .and_then(Path::to_str);
    folder
        .map(|folder| folder.replace('\\', "/"))
        .ok_or_else(|| format!("{manifest} lies outside the workspace"))
}

fn text(value: &Value, name: &str) -> Result<String, String> {
    let text = value.get(name).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| format!("cargo metadata has no text `{name}`"))
}

fn list<'a>(value: &'a Value, name: &str) -> Result<&'a Vec<Value>, String> {
    let list = value.get(name).and_then(Value::as_array);
    list.ok_or_else(|| format!("cargo metadata has no list `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_becomes_packages_with_folders_and_kinds() {
        let json = r#"{"workspace_root": "/r", "target_directory": "/r/target", "packages": [
            {"name": "b", "version": "1.0.0", "publish": [], "manifest_path": "/r/tools/b/Cargo.toml",
             "dependencies": []},
            {"name": "a", "version": "1.0.0", "publish": null, "license": "MIT",
             "manifest_path": "/r/crates/a/Cargo.toml", "dependencies": [
                {"name": "one", "kind": null}, {"name": "two", "kind": "build"},
                {"name": "three", "kind": "dev"}]}]}"#;
        let workspace = Workspace::parse(json).expect("it is well formed");
        let [a, b] = workspace.packages.as_slice() else {
            panic!("{workspace:?}");
        };
        assert_eq!((a.name.as_str(), a.folder.as_str()), ("a", "crates/a"));
        assert!(a.published && a.is_crate());
        assert!(!b.published && !b.is_crate());
        assert_eq!(a.shipped().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(a.license.as_deref(), Some("MIT"));
        assert_eq!(a.description, None);
    }

    #[test]
    fn metadata_that_lacks_a_field_is_refused_by_its_name() {
        let check = |json: &str, part: &str| {
            let said = Workspace::parse(json).expect_err("it is not well formed");
            assert!(said.contains(part), "{said}");
        };
        check("warning: hello", "no JSON");
        check("{}", "`workspace_root`");
        check(r#"{"workspace_root": "/r"}"#, "`packages`");
        check(
            r#"{"workspace_root": "/r", "packages": [{"dependencies": [{}]}]}"#,
            "`name`",
        );
    }
}
