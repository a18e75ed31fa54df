//! What must hold, said without any log: versions that were written, invalidations that were
//! acknowledged, and the oldest version that may be served.

use std::collections::HashMap;

use pitlane_core::Incarnation;

/// The first two are of entries; the third only moves the log.
pub(super) const TAGS: usize = 3;
pub(super) const KEYS: usize = 2;

/// The first key is made of the first tag, the second of the first two.
pub(super) fn tags_of(key: usize) -> std::ops::RangeInclusive<usize> {
    0..=key
}

/// Versions by tag.
pub(super) type Versions = [u32; TAGS];

/// What a computation read: the oldest version of each tag that it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value([Option<u32>; TAGS]);

impl Value {
    pub(super) const NOTHING: Self = Self([None; TAGS]);

    pub(super) fn read(&mut self, tag: usize, version: u32) {
        let known = self.0[tag].get_or_insert(version);
        *known = version.min(*known);
    }

    pub(super) fn absorb(&mut self, inner: &Self) {
        for (tag, version) in inner.0.iter().enumerate() {
            if let Some(version) = version {
                self.read(tag, *version);
            }
        }
    }

    fn is_older(&self, than: &Versions) -> bool {
        let pairs = self.0.iter().zip(than);
        pairs
            .into_iter()
            .any(|(had, need)| had.is_some_and(|had| had < *need))
    }
}

/// The oldest versions that may be served: at all, and as fresh, which is never less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) usable: Versions,
    pub(super) fresh: Versions,
}

impl Needs {
    /// An invalidation of what was made of an older version of `tag`.
    pub(super) fn raise(&mut self, tag: usize, soft: bool, version: u32) {
        self.fresh[tag] = self.fresh[tag].max(version);
        if !soft {
            self.usable[tag] = self.usable[tag].max(version);
        }
    }

    pub(super) fn and(mut self, other: &Self) -> Self {
        for tag in 0..TAGS {
            self.fresh[tag] = self.fresh[tag].max(other.fresh[tag]);
            self.usable[tag] = self.usable[tag].max(other.usable[tag]);
        }
        self
    }

    /// Whether `value` may be served.
    pub(super) fn allow(&self, value: &Value, fresh: bool) -> bool {
        let needs = if fresh { &self.fresh } else { &self.usable };
        !value.is_older(needs)
    }
}

/// What everybody knows of the world.
#[derive(Debug, Default)]
pub(super) struct Spec {
    /// What the database behind the handlers has.
    pub(super) versions: Versions,
    /// Invalidations that were acknowledged to their callers as applied.
    pub(super) acknowledged: Needs,
    /// Invalidations that ended one way or another.
    pub(super) made: Needs,
    /// Lives of the log that were begun, and those that were begun without looking at what was
    /// there, as an overflow demands.
    pub(super) lives: u32,
    pub(super) forced: u32,
    /// What happened to the server that a new life answers.
    pub(super) faults: u32,
    /// The first thing that must not happen and did.
    pub(super) violation: Option<String>,
}

impl Spec {
    pub(super) fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }
}

/// What one node promised its own callers.
#[derive(Debug, Default)]
pub(super) struct Promises {
    /// Its own invalidations, applied or queued: they hold at once.
    pub(super) own: Needs,
    /// What it applied of each life of the log.
    pub(super) applied: HashMap<Incarnation, Needs>,
}

impl Promises {
    /// What holds for a node that follows `incarnation`.
    pub(super) fn now(&self, incarnation: Incarnation) -> Needs {
        let applied = self.applied.get(&incarnation).copied().unwrap_or_default();
        self.own.and(&applied)
    }
}
