use std::sync::atomic::AtomicBool;

use super::{Invalidations, ledger::Ledger};

/// What a registry of caches keeps for metrics.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(crate) invalidations: Invalidations,
    pub(crate) ledger: Ledger,
    /// Whether a task brings the recorder up to date.
    pub(super) kept: AtomicBool,
}

/// Why something was pushed out of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Eviction {
    /// Something else needed the room.
    Capacity,
    /// It has more beside its body than there is room for, and never entered.
    TooLarge,
}

impl Eviction {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 2] = [Self::Capacity, Self::TooLarge];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Capacity => "capacity",
            Self::TooLarge => "too-large",
        }
    }
    /// One sentence for people.
    #[cfg(all(test, feature = "redis"))]
    pub(crate) const fn explain(self) -> &'static str {
        match self {
            Self::Capacity => "Something else needed the room.",
            Self::TooLarge => {
                "It has more beside its body than there is room for, and never entered."
            }
        }
    }
}
