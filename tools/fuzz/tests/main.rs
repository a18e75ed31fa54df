//! The short form of fuzzing: the committed corpus, and blind mutations of it.

use pitlane_fuzz::mutate::Mutator;
use pitlane_fuzz::{TARGETS, Target, dictionary, target};
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

const MUTATIONS: usize = 4_000;

/// Changes nothing but which inputs are tried: any number is as good.
const SEED: u64 = 9111;

#[track_caller]
fn check(name: &str) {
    let target = target(name).expect("a target");
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "corpus/{name} is empty");
    for input in &corpus {
        run(&target, input);
    }
    let mut mutator = Mutator::new(SEED, dictionary::words(target.dictionary));
    for _ in 0..MUTATIONS {
        run(&target, &mutator.next(&corpus));
    }
}

/// Says what the input was, so that it can become part of the corpus.
fn run(target: &Target, input: &[u8]) {
    let outcome = catch_unwind(AssertUnwindSafe(|| target.run(input)));
    if let Err(broken) = outcome {
        eprintln!("{} is broken by b\"{}\"", target.name, input.escape_ascii());
        resume_unwind(broken);
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let files = fs::read_dir(&folder).expect("a folder of the target's name");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    // Folders are listed in any order, and mutations should be the same everywhere.
    paths.sort();
    let read = paths.iter().map(|path| fs::read(path).expect("a file"));
    read.collect()
}

#[test]
fn ages_hold() {
    check("age");
}

#[test]
fn cache_control_holds() {
    check("cache-control");
}

#[test]
fn dates_hold() {
    check("dates");
}

#[test]
fn the_policy_holds() {
    check("policy");
}

#[test]
fn ranges_hold() {
    check("range");
}

#[test]
fn structured_fields_hold() {
    check("structured-fields");
}

#[test]
fn vary_holds() {
    check("vary");
}

/// `cargo xtask fuzz` takes the names from the dictionaries.
#[test]
fn every_target_has_its_files_and_every_file_its_target() {
    let names: BTreeSet<String> = TARGETS
        .iter()
        .map(|target| target.name.to_owned())
        .collect();
    assert_eq!(names.len(), TARGETS.len());
    for folder in ["dictionaries", "corpus"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let files = fs::read_dir(folder).expect("a folder");
        let there: BTreeSet<String> = files
            .map(|file| file.expect("a file").path())
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .collect();
        assert_eq!(there, names);
    }
    for target in TARGETS {
        assert!(
            dictionary::words(target.dictionary).len() > 5,
            "{}",
            target.name
        );
    }
}
