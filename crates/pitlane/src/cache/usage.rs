//! Which of the caches that share a memory tier has how much in it. Nobody counts without the
//! feature `metrics`.

#[cfg(feature = "metrics")]
pub(crate) use counting::Usage;
#[cfg(feature = "metrics")]
pub(super) use counting::Watch;
#[cfg(not(feature = "metrics"))]
pub(super) use idle::Watch;

use pitlane_core::Digest;

use super::entry::Slot;

/// What left the tier, to be dropped when nobody holds its lock any more. There is seldom more.
type Gone = [Option<(Digest, Slot)>; 2];

fn keep(gone: &mut Gone, key: Digest, slot: Slot) {
    if let Some(room) = gone.iter_mut().find(|room| room.is_none()) {
        *room = Some((key, slot));
    }
}

#[cfg(not(feature = "metrics"))]
mod idle {
    use pitlane_core::Digest;
    use quick_cache::Lifecycle;

    use super::{Gone, Slot, keep};

    #[derive(Clone, Debug)]
    pub(in crate::cache) struct Watch;

    #[expect(clippy::unused_self, reason = "nobody counts")]
    impl Watch {
        pub(in crate::cache) const fn new(_: usize) -> Self {
            Self
        }

        pub(in crate::cache) fn entering(&self, _: Digest, _: &Slot) -> Gone {
            Gone::default()
        }

        pub(in crate::cache) const fn came(&self, _: &Slot) {}

        pub(in crate::cache) const fn left(&self, _: &Slot) {}
    }

    impl Lifecycle<Digest, Slot> for Watch {
        type RequestState = Gone;

        fn on_evict(&self, gone: &mut Gone, key: Digest, slot: Slot) {
            keep(gone, key, slot);
        }
    }
}

#[cfg(feature = "metrics")]
mod counting {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    };

    use pitlane_core::Digest;
    use quick_cache::Lifecycle;

    use super::{Gone, Slot, keep};
    use crate::metrics::Eviction;

    /// What one cache has in a tier. Counters order nothing: they only have to be exact in the
    /// end.
    #[derive(Debug, Default)]
    pub(crate) struct Usage {
        entries: AtomicI64,
        bytes: AtomicI64,
        evicted: [AtomicU64; Eviction::ALL.len()],
    }

    impl Usage {
        pub(crate) fn entries(&self) -> u64 {
            self.entries.load(Ordering::Relaxed).max(0).cast_unsigned()
        }

        pub(crate) fn bytes(&self) -> u64 {
            self.bytes.load(Ordering::Relaxed).max(0).cast_unsigned()
        }

        pub(crate) fn evicted(&self) -> impl Iterator<Item = (Eviction, u64)> {
            let counts = self.evicted.iter();
            let counts = counts.map(|count| count.load(Ordering::Relaxed));
            Eviction::ALL.into_iter().zip(counts)
        }

        fn change(&self, slot: &Slot, sign: i64) {
            let weight = i64::try_from(slot.weight()).unwrap_or(i64::MAX);
            self.entries.fetch_add(sign, Ordering::Relaxed);
            self.bytes.fetch_add(sign * weight, Ordering::Relaxed);
        }

        fn evict(&self, why: Eviction) {
            if let Some(count) = self.evicted.get(why as usize) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Sees what enters a tier and what leaves it.
    #[derive(Clone, Debug)]
    pub(in crate::cache) struct Watch(Arc<[Usage]>);

    /// What one insertion changes.
    #[derive(Debug, Default)]
    pub(in crate::cache) struct Change {
        /// Where it goes, and where it lives: that tells it from what it replaces and from what it
        /// pushes out.
        entering: Option<(Digest, usize)>,
        gone: Gone,
    }

    impl Watch {
        pub(in crate::cache) fn new(caches: usize) -> Self {
            Self((0..caches).map(|_| Usage::default()).collect())
        }

        pub(crate) fn of(&self, cache: u16) -> Option<&Usage> {
            self.0.get(usize::from(cache))
        }

        /// Notes what is about to enter.
        pub(in crate::cache) fn entering(&self, digest: Digest, slot: &Slot) -> Change {
            self.came(slot);
            Change {
                entering: Some((digest, address(slot))),
                gone: Gone::default(),
            }
        }

        pub(in crate::cache) fn came(&self, slot: &Slot) {
            if let Some(usage) = self.owner(slot) {
                usage.change(slot, 1);
            }
        }

        /// Notes what was taken out.
        pub(in crate::cache) fn left(&self, slot: &Slot) {
            if let Some(usage) = self.owner(slot) {
                usage.change(slot, -1);
            }
        }

        /// Keys begin with their cache's number.
        fn owner(&self, slot: &Slot) -> Option<&Usage> {
            let number = key(slot).first_chunk().copied().map(u16::from_be_bytes)?;
            self.of(number)
        }
    }

    impl Lifecycle<Digest, Slot> for Watch {
        type RequestState = Change;

        /// Called for what is pushed out, for what is replaced, and for what is too large to enter
        /// at all.
        fn on_evict(&self, change: &mut Change, digest: Digest, slot: Slot) {
            self.left(&slot);
            let why = match change.entering {
                Some((to, at)) if to == digest && at == address(&slot) => Some(Eviction::TooLarge),
                // It is replaced.
                Some((to, _)) if to == digest => None,
                _ => Some(Eviction::Capacity),
            };
            if let Some((usage, why)) = self.owner(&slot).zip(why) {
                usage.evict(why);
            }
            keep(&mut change.gone, digest, slot);
        }
    }

    fn key(slot: &Slot) -> &[u8] {
        match slot {
            Slot::Entry(entry) => &entry.key,
            Slot::Marker(marker) => &marker.key,
        }
    }

    fn address(slot: &Slot) -> usize {
        match slot {
            Slot::Entry(entry) => Arc::as_ptr(entry).addr(),
            Slot::Marker(marker) => Arc::as_ptr(marker).addr(),
        }
    }
}
