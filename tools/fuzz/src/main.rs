//! Runs files through a target: `cargo run --package pitlane-fuzz -- TARGET FILE...`.
//!
//! Built by `cargo xtask fuzz` this is libFuzzer instead, with the target that `PITLANE_FUZZ`
//! names.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
mod fuzzer {
    use pitlane_fuzz::Target;
    use std::sync::OnceLock;

    static CHOSEN: OnceLock<Target> = OnceLock::new();

    /// One program holds all the targets, so that there is one to compile and to link.
    fn chosen() -> &'static Target {
        CHOSEN.get_or_init(|| {
            let name = std::env::var("PITLANE_FUZZ").expect("PITLANE_FUZZ names a target");
            pitlane_fuzz::target(&name).expect("a target has the name that PITLANE_FUZZ says")
        })
    }

    libfuzzer_sys::fuzz_target!(init: chosen(), |bytes: &[u8]| {
        chosen().run(bytes);
    });
}

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    replay::main()
}

#[cfg(not(fuzzing))]
mod replay {
    use pitlane_fuzz::{TARGETS, Target, target};
    use std::process::ExitCode;

    pub(crate) fn main() -> ExitCode {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let (name, files) = match words.split_first() {
            Some((name, files)) if !files.is_empty() => (name, files),
            _ => return usage("which target, and which files?"),
        };
        let Some(target) = target(name) else {
            return usage(&format!("there is no target `{name}`"));
        };
        let unread = files.iter().filter(|file| !run(&target, file)).count();
        ExitCode::from(u8::from(unread > 0))
    }

    /// Whether the file was there to be run; a broken promise panics, in the target's own words.
    fn run(target: &Target, file: &str) -> bool {
        match std::fs::read(file) {
            Ok(bytes) => {
                target.run(&bytes);
                eprintln!("{file}: {} bytes hold", bytes.len());
                true
            }
            Err(error) => {
                eprintln!("{file} can't be read: {error}");
                false
            }
        }
    }

    fn usage(problem: &str) -> ExitCode {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!(
            "{problem}\n\nusage: pitlane-fuzz TARGET FILE...\ntargets: {}",
            names.join(", ")
        );
        ExitCode::from(2)
    }
}
