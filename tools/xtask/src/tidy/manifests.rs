//! What every manifest says: the shared lints, edition, version and licence.

use super::repository::Repository;
use super::toml::{is_inherited, value};
use crate::workspace::Package;

pub(crate) fn broken(repository: &Repository) -> Vec<String> {
    let root = repository.file("Cargo.toml").unwrap_or_default();
    let mut sentences = Vec::new();
    if value(root, "workspace.lints.rust", "unsafe_code") != Some("\"forbid\"") {
        sentences.push("Cargo.toml must say `unsafe_code = \"forbid\"` for the workspace".into());
    }
    let shared = value(root, "workspace.package", "version").unwrap_or_default();
    for package in &repository.workspace.packages {
        let path = package.manifest();
        let manifest = repository.file(&path).unwrap_or_default();
        let lacks = lacks(package, manifest, shared.trim_matches('"'));
        sentences.extend(lacks.into_iter().map(|what| format!("{path} {what}")));
    }
    sentences
}

fn lacks(package: &Package, manifest: &str, shared: &str) -> Vec<String> {
    let mut lacks = Vec::new();
    if value(manifest, "lints", "workspace") != Some("true") {
        lacks.push("must take the workspace's lints".to_owned());
    }
    if !package.is_crate() {
        return lacks;
    }
    if !is_inherited(manifest, "package", "edition") {
        lacks.push("must take the workspace's edition".to_owned());
    }
    if is_blank(package.description.as_deref()) {
        lacks.push("has no description".to_owned());
    }
    if is_blank(package.license.as_deref()) {
        lacks.push("has no license".to_owned());
    }
    if package.published && package.version != shared {
        let own = &package.version;
        lacks.push(format!("has version {own}, and the workspace has {shared}"));
    }
    lacks
}

fn is_blank(text: Option<&str>) -> bool {
    text.is_none_or(|text| text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, Fixture, check_broken, check_tidy};

    const CORE: &str = "crates/pitlane-core/Cargo.toml";

    fn core_with(field: &str, json: &str) -> Fixture {
        fixture::tidy().package_field("pitlane-core", field, json)
    }

    #[test]
    fn unsafe_code_is_forbidden_for_all() {
        check_broken(
            fixture::tidy().replace("Cargo.toml", "\"forbid\"", "\"deny\""),
            "Cargo.toml must say `unsafe_code = \"forbid\"` for the workspace",
        );
    }

    #[test]
    fn every_package_takes_the_lints() {
        for folder in ["crates/pitlane-core", "examples/simlane"] {
            let manifest = format!("{folder}/Cargo.toml");
            check_broken(
                fixture::tidy().replace(&manifest, "[lints]", "[other]"),
                &format!("{manifest} must take the workspace's lints"),
            );
        }
    }

    #[test]
    fn every_crate_takes_the_edition() {
        check_broken(
            fixture::tidy().replace(CORE, "edition.workspace = true", "edition = \"2021\""),
            &format!("{CORE} must take the workspace's edition"),
        );
        let example = "examples/simlane/Cargo.toml";
        check_tidy(fixture::tidy().replace(example, "edition.workspace = true", ""));
    }

    #[test]
    fn every_crate_says_what_it_is_and_under_which_licence() {
        for blank in ["null", "\" \""] {
            let sentence = format!("{CORE} has no description");
            check_broken(core_with("description", blank), &sentence);
            let sentence = format!("{CORE} has no license");
            check_broken(core_with("license", blank), &sentence);
        }
    }

    #[test]
    fn published_crates_share_one_version() {
        check_broken(
            core_with("version", "\"0.2.0\""),
            &format!("{CORE} has version 0.2.0, and the workspace has 0.1.0"),
        );
        check_tidy(fixture::tidy().package_field("pitlane-testkit", "version", "\"0.0.0\""));
    }
}
