//! The checker in its short form, and that it finds what it is there to find.

#![expect(
    clippy::print_stdout,
    reason = "the figures, for whoever asks for them"
)]

use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

/// One at a time: each keeps all processors busy.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs the checker, and hands on what it says.
#[track_caller]
fn check(arguments: &str) -> String {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_consistency"))
        .args(arguments.split_whitespace())
        .output()
        .expect("the checker");
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    );
    println!("{told}");
    assert!(status.success(), "{status}: {told}");
    told
}

/// How many reads the line of the result counts.
fn reads(told: &str) -> u64 {
    let words: Vec<&str> = told.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "reads");
    let number = at.and_then(|at| words.get(at.checked_sub(1)?));
    number
        .and_then(|number| number.parse().ok())
        .expect("a count of reads")
}

/// Every read is judged, and at least three in ten come from memory and from Redis each: the
/// checker's own success says so.
#[test]
fn no_read_is_older_than_it_may_be_while_everything_fails() {
    let told = check("--seconds 80");
    assert!(told.contains("; 0 violations"), "{told}");
    assert!(reads(&told) >= 10_000, "that is no history: {told}");
}

#[test]
fn a_position_noted_after_the_handler_is_found() {
    check("--mutant late-position --seed 7 --runs 3");
}

#[test]
fn other_mistakes_are_found() {
    check("--mutant early-invalidation");
    check("--mutant forgotten-invalidation");
    check("--mutant missing-tag");
}
