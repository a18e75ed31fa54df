//! `cargo xtask tidy`: the house rules that no compiler checks.
//!
//! A rule is a pure function from the [`Repository`] to the sentences that say
//! what breaks it, so every one of them is tested on a repository in memory.

mod conformance;
#[cfg(test)]
mod fixture;
mod floors;
mod heavy;
mod manifests;
mod papers;
mod repository;
mod shells;
mod sizes;
mod source;
mod toml;
mod words;

use crate::failure::Failure;
use crate::stopwatch::Stopwatch;

use repository::Repository;

type Rule = fn(&Repository) -> Vec<String>;

const RULES: &[(&str, Rule)] = &[
    ("floors", floors::broken),
    ("heavy dependencies", heavy::broken),
    ("forbidden words", words::broken),
    ("manifests", manifests::broken),
    ("empty shells", shells::broken),
    ("papers", papers::broken),
    ("conformance", conformance::broken),
];

/// Checks every rule, then prints the sizes, which never fail.
pub(crate) fn run() -> Result<(), Failure> {
    let stopwatch = Stopwatch::start();
    let repository = Repository::read()?;
    print_time("reading", &stopwatch);
    let mut sentences = Vec::new();
    for (name, rule) in RULES {
        let stopwatch = Stopwatch::start();
        sentences.extend(rule(&repository));
        print_time(name, &stopwatch);
    }
    let stopwatch = Stopwatch::start();
    let sizes = sizes::report(&repository);
    print_time("sizes", &stopwatch);
    println!("\n{sizes}");
    verdict(&sentences)
}

fn verdict(sentences: &[String]) -> Result<(), Failure> {
    if sentences.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "the house is untidy:\n  {}",
        sentences.join("\n  ")
    )))
}

fn print_time(name: &str, stopwatch: &Stopwatch) {
    println!("{name:<20}{:>6} ms", stopwatch.elapsed().as_millis());
}

/// What all the rules together say.
#[cfg(test)]
fn broken(repository: &Repository) -> Vec<String> {
    let all = RULES.iter().flat_map(|(_, rule)| rule(repository));
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tidy_repository_breaks_no_rule() {
        assert_eq!(broken(&fixture::tidy().build()), Vec::<String>::new());
    }

    #[test]
    fn every_sentence_is_in_the_verdict() {
        assert!(verdict(&[]).is_ok());
        let failure = verdict(&["one".into(), "two".into()]).expect_err("two are broken");
        assert_eq!(failure.to_string(), "the house is untidy:\n  one\n  two");
    }
}
