//! Orders that don't compile, and what the compiler says of them.
//!
//! Each file in `refused/` is given to the compiler with this very build of the guide's crate, so
//! that nothing is compiled twice. What is compared are the words that a reader goes by, because
//! the rest differs from one compiler to the next.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// What the compiler says of a file, or `None` if it has nothing against it.
fn compile(name: &str) -> Option<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/refused/{name}.rs"));
    let built = env::current_exe().unwrap();
    let built = built.parent().unwrap();
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args([
            "--edition",
            "2024",
            "--emit",
            "metadata",
            "--color",
            "never",
        ])
        .args(["--cap-lints", "allow", "--crate-type", "bin", "-o"])
        .arg(out)
        .arg("-L")
        .arg(format!("dependency={}", built.display()))
        .arg("--extern")
        .arg(format!("pitlane_guide={}", newest(built).display()))
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (!output.status.success()).then_some(said)
}

/// The guide's crate as it was last built.
fn newest(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let libraries = files.filter(|file| {
        let name = file.file_name().unwrap().to_string_lossy();
        name.starts_with("libpitlane_guide-") && name.ends_with(".rlib")
    });
    let changed = |file: &PathBuf| -> SystemTime { file.metadata().unwrap().modified().unwrap() };
    libraries.max_by_key(changed).expect("the guide's crate")
}

#[track_caller]
fn check_refused(name: &str, words: &[&str]) {
    let said = compile(name).unwrap_or_else(|| panic!("{name} compiles"));
    let first = said.lines().take_while(|line| !line.is_empty());
    let first = first.collect::<Vec<_>>().join("\n");
    for words in words {
        assert!(
            first.contains(words),
            "{name}: {words:?} is not in\n{first}"
        );
    }
}

#[test]
fn what_can_be_cloned_and_answers_compiles() {
    assert_eq!(compile("rate_limit_in_a_buffer"), None);
}

#[test]
fn what_cannot_be_cloned_is_named() {
    check_refused(
        "rate_limit_inside",
        &[
            "the trait bound `RateLimit<",
            ": Clone` is not satisfied",
            "required for `ResponseCache<RateLimit<",
        ],
    );
    check_refused(
        "boxed_inside",
        &["the trait bound `BoxService<", ": Clone` is not satisfied"],
    );
}

#[test]
fn errors_that_nobody_answers_are_named() {
    check_refused(
        "errors_inside",
        &[
            "<ResponseCache<LoadShed<",
            "expected `Infallible`, found `Box<dyn Error + Send + Sync>`",
        ],
    );
    check_refused(
        "errors_inside_axum",
        &[
            "`Infallible: From<Box<(dyn std::error::Error",
            "Router::<S>::layer`",
        ],
    );
}
