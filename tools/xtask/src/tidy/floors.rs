//! Dependencies between our crates go strictly down.

use super::repository::Repository;
use crate::workspace::Package;

/// The house, from the ground up. A crate's floor says what it may stand on:
/// only crates of lower floors.
const FLOORS: &[(&str, u8)] = &[
    ("pitlane-core", 0),
    ("pitlane-policy", 0),
    ("pitlane-macros", 0),
    ("pitlane-redis", 1),
    ("pitlane", 2),
    ("pitlane-sessions", 3),
    ("pitlane-sqlx", 3),
    ("pitlane-postgres", 3),
    ("pitlane-admin", 3),
    ("pitlane-cli", 4),
];

/// Stands beside the house: only tests may lean on it.
const TESTKIT: &str = "pitlane-testkit";

pub(crate) fn broken(repository: &Repository) -> Vec<String> {
    let workspace = &repository.workspace;
    let mut sentences = Vec::new();
    for package in workspace.crates() {
        match floor(&package.name) {
            Some(floor) => sentences.extend(climbs(package, floor, &workspace.packages)),
            None if package.name == TESTKIT && !package.published => {}
            None => sentences.push(format!(
                "{} has no floor: add it to the floors of tidy, or move it out of crates/",
                package.name
            )),
        }
    }
    sentences
}

fn climbs(package: &Package, own: u8, ours: &[Package]) -> Vec<String> {
    let name = &package.name;
    let is_ours = |dependency: &&str| ours.iter().any(|one| one.name == **dependency);
    let sentence = |dependency: &str| match floor(dependency) {
        Some(below) if below < own => None,
        Some(other) => Some(format!(
            "{name} (floor {own}) depends on {dependency} (floor {other}): dependencies go strictly down"
        )),
        None => Some(format!(
            "{name} (floor {own}) depends on {dependency}, which has no floor: only tests may"
        )),
    };
    let dependencies = package.shipped().filter(is_ours);
    dependencies.filter_map(sentence).collect()
}

fn floor(name: &str) -> Option<u8> {
    let known = FLOORS.iter().find(|(known, _)| *known == name);
    known.map(|(_, floor)| *floor)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, check_broken, check_tidy};

    #[test]
    fn a_dependency_upwards_or_sideways_is_refused() {
        check_broken(
            fixture::tidy().depends("pitlane-core", "pitlane", "null"),
            "pitlane-core (floor 0) depends on pitlane (floor 2): dependencies go strictly down",
        );
        check_broken(
            fixture::tidy().depends("pitlane-core", "pitlane-policy", "\"build\""),
            "pitlane-core (floor 0) depends on pitlane-policy (floor 0): dependencies go strictly down",
        );
    }

    #[test]
    fn the_testkit_is_for_tests_only() {
        check_tidy(fixture::tidy().depends("pitlane-core", "pitlane-testkit", "\"dev\""));
        check_broken(
            fixture::tidy().depends("pitlane-core", "pitlane-testkit", "null"),
            "pitlane-core (floor 0) depends on pitlane-testkit, which has no floor: only tests may",
        );
    }

    #[test]
    fn an_example_is_no_foundation() {
        check_broken(
            fixture::tidy().depends("pitlane", "simlane", "null"),
            "pitlane (floor 2) depends on simlane, which has no floor: only tests may",
        );
    }

    #[test]
    fn a_crate_without_a_floor_is_refused() {
        check_broken(
            fixture::tidy().package("crates/pitlane-extra", "null"),
            "pitlane-extra has no floor: add it to the floors of tidy, or move it out of crates/",
        );
    }
}
