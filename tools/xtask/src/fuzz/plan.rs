//! What the command line asks for.

use crate::failure::Failure;

const MINUTES: u64 = 20;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) targets: Vec<String>,
    /// For each target.
    pub(super) minutes: u64,
    pub(super) keep: bool,
}

impl Plan {
    /// All the targets, unless some are named.
    pub(super) fn parse(arguments: &[String], known: &[String]) -> Result<Self, Failure> {
        let mut plan = Self {
            targets: Vec::new(),
            minutes: MINUTES,
            keep: false,
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--keep" => plan.keep = true,
                "--minutes" => plan.minutes = minutes(words.next())?,
                name if known.iter().any(|one| one == name) => plan.targets.push(name.to_owned()),
                name => {
                    return Err(Failure::usage(format!(
                        "there is no target `{name}`; there are {}",
                        known.join(", ")
                    )));
                }
            }
        }
        if plan.targets.is_empty() {
            plan.targets = known.to_vec();
        }
        Ok(plan)
    }
}

/// None at all would mean without end to libFuzzer.
fn minutes(word: Option<&String>) -> Result<u64, Failure> {
    let number = word.and_then(|word| word.parse().ok());
    number
        .filter(|minutes| (1..=100_000).contains(minutes))
        .ok_or_else(|| Failure::usage("`--minutes` takes a whole number from 1 to 100000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Plan, String> {
        let words = |line: &str| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        Plan::parse(&words(line), &words("age range")).map_err(|failure| failure.to_string())
    }

    #[track_caller]
    fn check(line: &str, targets: &[&str], minutes: u64, keep: bool) {
        let plan = parse(line).expect("a plan");
        assert_eq!(plan.targets, targets);
        assert_eq!((plan.minutes, plan.keep), (minutes, keep));
    }

    #[test]
    fn without_names_all_targets_have_twenty_minutes() {
        check("", &["age", "range"], 20, false);
        check("range", &["range"], 20, false);
        check("--minutes 3 range age --keep", &["range", "age"], 3, true);
    }

    #[test]
    fn what_means_nothing_is_a_usage_error() {
        for (line, part) in [
            ("agee", "no target `agee`; there are age, range"),
            ("--minutes", "a whole number"),
            ("--minutes 0", "a whole number"),
            ("--minutes age", "a whole number"),
            ("--forever", "no target `--forever`"),
        ] {
            let said = parse(line).expect_err("it means nothing");
            assert!(said.contains(part), "{line}: {said}");
        }
    }
}
