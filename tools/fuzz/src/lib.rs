//! What must hold of the caching policy for any bytes at all.
//!
//! Each [`Target`] makes headers of the bytes that it is given, calls the policy, and panics where
//! a promise is broken. `cargo xtask fuzz` lets libFuzzer look for such bytes, led by coverage; the
//! tests replay the committed corpus and some thousand blind mutations of it.
#![expect(
    clippy::indexing_slicing,
    reason = "a target is a test: where it panics, the fuzzer has found something"
)]

pub mod dictionary;
pub mod mutate;

mod input;
mod reach;
mod targets;

/// One set of properties.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Target {
    /// The name on the command line, and of its files.
    pub name: &'static str,
    /// What libFuzzer reads as `-dict`: words of the formats that bytes alone would rarely hit.
    pub dictionary: &'static str,
    run: fn(&[u8]),
}

/// Every target, each with its dictionary.
pub const TARGETS: &[Target] = &[
    Target {
        name: "age",
        dictionary: include_str!("../dictionaries/age.dict"),
        run: targets::age::run,
    },
    Target {
        name: "cache-control",
        dictionary: include_str!("../dictionaries/cache-control.dict"),
        run: targets::cache_control::run,
    },
    Target {
        name: "dates",
        dictionary: include_str!("../dictionaries/dates.dict"),
        run: targets::dates::run,
    },
    Target {
        name: "policy",
        dictionary: include_str!("../dictionaries/policy.dict"),
        run: targets::policy::run,
    },
    Target {
        name: "range",
        dictionary: include_str!("../dictionaries/range.dict"),
        run: targets::range::run,
    },
    Target {
        name: "structured-fields",
        dictionary: include_str!("../dictionaries/structured-fields.dict"),
        run: targets::structured_fields::run,
    },
    Target {
        name: "vary",
        dictionary: include_str!("../dictionaries/vary.dict"),
        run: targets::vary::run,
    },
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|target| target.name == name).copied()
}

impl Target {
    /// Checks every property for these bytes.
    ///
    /// # Panics
    ///
    /// Where one doesn't hold. That is what the fuzzer looks for.
    pub fn run(&self, input: &[u8]) {
        (self.run)(input);
    }
}
