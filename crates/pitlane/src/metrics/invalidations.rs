use std::sync::atomic::{AtomicU64, Ordering};

use pitlane_core::TagKind;

/// What an invalidation can name, in the order in which it is counted.
pub(crate) const KINDS: [TagKind; 5] = [
    TagKind::Tag,
    TagKind::Subtree,
    TagKind::Cache,
    TagKind::Uri,
    TagKind::Group,
];

/// What became of an invalidation, as a label.
pub(crate) const APPLIED: &str = "applied";
pub(crate) const QUEUED: &str = "queued";

/// What this node has invalidated.
#[derive(Debug, Default)]
pub(crate) struct Invalidations {
    applied: Kinds<AtomicU64>,
    queued: Kinds<AtomicU64>,
}

type Kinds<T> = [T; KINDS.len()];

/// What is being invalidated.
#[derive(Debug)]
pub(crate) struct Counting<'a> {
    counts: &'a Invalidations,
    kinds: Kinds<u64>,
    applied: bool,
}

impl Invalidations {
    pub(crate) fn begin(&self, kinds: impl IntoIterator<Item = TagKind>) -> Counting<'_> {
        let mut counted = Kinds::default();
        for kind in kinds {
            let place = KINDS.iter().position(|known| *known == kind);
            if let Some(count) = place.and_then(|place| counted.get_mut(place)) {
                *count += 1;
            }
        }
        Counting {
            counts: self,
            kinds: counted,
            applied: false,
        }
    }

    /// How many names of each kind, and what became of them.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (TagKind, &'static str, u64)> {
        let sides = [(&self.applied, APPLIED), (&self.queued, QUEUED)];
        sides.into_iter().flat_map(|(counts, outcome)| {
            let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
            KINDS
                .into_iter()
                .zip(counts)
                .map(move |(kind, count)| (kind, outcome, count))
        })
    }
}

impl Counting<'_> {
    pub(crate) const fn applied(&mut self) {
        self.applied = true;
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        let counts = if self.applied {
            &self.counts.applied
        } else {
            &self.counts.queued
        };
        for (count, more) in counts.iter().zip(self.kinds).filter(|(_, more)| *more > 0) {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }
}
