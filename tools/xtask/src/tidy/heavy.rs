//! Heavy dependencies stay where the design puts them, and pure crates pure.

use super::repository::{Repository, Tree};
use crate::workspace::Package;

/// The Redis client has one home, tests included: everybody else goes through
/// it, and so through its circuit breaker and its budget.
const REDIS_CLIENT: &str = "fred";
const REDIS_HOME: &str = "pitlane-redis";

/// Only leaves may ship these: nobody who adds `pitlane` compiles them.
const FOR_LEAVES: &[&str] = &["axum", "sqlx", "askama", "minijinja", "clap"];
const LEAVES: &[&str] = &[
    "pitlane-sessions",
    "pitlane-sqlx",
    "pitlane-postgres",
    "pitlane-admin",
    "pitlane-cli",
];

/// What a feature of a crate that is no leaf brings, and nothing else: that nobody compiles it
/// unasked is seen by what is compiled.
const BY_FEATURE: &[(&str, &str)] = &[("pitlane", "minijinja")];

/// What a pure crate may not reach, and what it alone may name.
const NOT_IN_CORE: &[&str] = &["tokio", "http", "hyper"];
const ALL_OF_POLICY: &[&str] = &["http", "httpdate", "sfv"];

pub(crate) fn broken(repository: &Repository) -> Vec<String> {
    let packages = repository.workspace.packages.iter();
    let mut sentences: Vec<String> = packages.flat_map(breaks).collect();
    sentences.extend(repository.trees.iter().flat_map(reaches));
    sentences
}

fn breaks(package: &Package) -> Vec<String> {
    let name = package.name.as_str();
    let mut sentences = Vec::new();
    let all = package.dependencies.iter();
    if name != REDIS_HOME && all.map(|one| &one.name).any(|one| one == REDIS_CLIENT) {
        sentences.push(format!(
            "{name} depends on {REDIS_CLIENT}: only {REDIS_HOME} may"
        ));
    }
    for dependency in package.shipped() {
        let why = if is_too_heavy(package, dependency) {
            "only leaf crates, examples, tools and tests may"
        } else if name == "pitlane-core" && NOT_IN_CORE.contains(&dependency) {
            "the core is pure"
        } else if name == "pitlane-policy" && !ALL_OF_POLICY.contains(&dependency) {
            "the policy may name only http, httpdate and sfv"
        } else {
            continue;
        };
        sentences.push(format!("{name} depends on {dependency}: {why}"));
    }
    sentences
}

fn is_too_heavy(package: &Package, dependency: &str) -> bool {
    let name = package.name.as_str();
    let is_leaf = !package.is_crate() || LEAVES.contains(&name);
    !is_leaf && FOR_LEAVES.contains(&dependency) && !BY_FEATURE.contains(&(name, dependency))
}

/// The same promises, held by everything that is compiled along.
fn reaches(tree: &Tree) -> Vec<String> {
    let is_lean = tree.package == "pitlane" && tree.features != "--all-features";
    let is_refused = |name: &&String| {
        let name = name.as_str();
        let is_heavy = name == REDIS_CLIENT || FOR_LEAVES.contains(&name);
        let is_impure = tree.package == "pitlane-core" && NOT_IN_CORE.contains(&name);
        (is_lean && is_heavy) || is_impure
    };
    let refused = tree.names.iter().filter(is_refused);
    let sentence = |name| {
        let features = shown(tree.features);
        format!("{} with {features} compiles {name}", tree.package)
    };
    refused.map(sentence).collect()
}

pub(crate) fn shown(features: &str) -> &str {
    match features {
        "" => "default features",
        "--no-default-features" => "no features",
        _ => "all features",
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, check_broken, check_tidy};

    #[track_caller]
    fn check_dependency(from: &str, to: &str, kind: &str, why: &str) {
        let fixture = fixture::tidy().depends(from, to, kind);
        match why {
            "" => check_tidy(fixture),
            why => check_broken(fixture, &format!("{from} depends on {to}: {why}")),
        }
    }

    #[test]
    fn the_redis_client_has_one_home() {
        let why = "only pitlane-redis may";
        check_dependency("pitlane-redis", "fred", "null", "");
        check_dependency("pitlane", "fred", "null", why);
        check_dependency("pitlane", "fred", "\"dev\"", why);
        check_dependency("simlane", "fred", "null", why);
    }

    #[test]
    fn heavy_dependencies_stay_in_leaves_and_tests() {
        let why = "only leaf crates, examples, tools and tests may";
        for heavy in ["axum", "sqlx", "askama", "clap"] {
            check_dependency("pitlane", heavy, "null", why);
            check_dependency("pitlane", heavy, "\"build\"", why);
        }
        for heavy in ["axum", "sqlx", "askama", "minijinja", "clap"] {
            check_dependency("pitlane", heavy, "\"dev\"", "");
            check_dependency("pitlane-testkit", heavy, "null", why);
            check_dependency("simlane", heavy, "null", "");
        }
        check_dependency("pitlane-admin", "axum", "null", "");
        check_dependency("pitlane", "toml", "null", "");
    }

    #[test]
    fn what_a_feature_brings_is_compiled_by_nobody_else() {
        check_dependency("pitlane", "minijinja", "null", "");
        check_broken(
            fixture::tidy().compiles("pitlane", "", "minijinja"),
            "pitlane with default features compiles minijinja",
        );
    }

    #[test]
    fn pure_crates_stay_pure() {
        for impure in ["tokio", "http", "hyper"] {
            check_dependency("pitlane-core", impure, "null", "the core is pure");
            check_dependency("pitlane-core", impure, "\"dev\"", "");
        }
        let why = "the policy may name only http, httpdate and sfv";
        check_dependency("pitlane-policy", "bytes", "null", why);
        check_dependency("pitlane-policy", "http", "null", "");
        check_dependency("pitlane-policy", "httpdate", "null", "");
        check_dependency("pitlane-policy", "sfv", "null", "");
        check_dependency("pitlane-policy", "proptest", "\"dev\"", "");
    }

    #[test]
    fn a_promise_holds_through_other_packages_too() {
        let tree = |package, features, name| fixture::tidy().compiles(package, features, name);
        check_broken(
            tree("pitlane", "", "fred"),
            "pitlane with default features compiles fred",
        );
        check_broken(
            tree("pitlane", "--no-default-features", "axum"),
            "pitlane with no features compiles axum",
        );
        check_tidy(tree("pitlane", "--all-features", "fred"));
        check_broken(
            tree("pitlane-core", "--all-features", "tokio"),
            "pitlane-core with all features compiles tokio",
        );
        check_tidy(tree("pitlane", "", "tokio"));
    }
}
