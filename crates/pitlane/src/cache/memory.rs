use std::{
    hash::{BuildHasher, Hasher},
    sync::Arc,
};

use pitlane_core::Digest;
use quick_cache::{OptionsBuilder, Weighter, sync, sync::EntryAction};

use super::{
    entry::{Entry, Slot},
    usage::Watch,
};

/// How much of a shard one entry may fill (quick_cache keeps the rest for its cold part).
const USABLE: f64 = 0.9;
/// What an entry may weigh beyond its body: key, headers, tags.
const BESIDE_BODY: u64 = 64 << 10;
/// A size to begin with; the tables grow with what is stored.
const EXPECTED_WEIGHT: u64 = 4 << 10;
const MAX_SHARDS: u64 = 256;

/// The memory tier: bounded by the real weight of what it holds, in bytes.
pub(crate) struct Memory {
    tier: sync::Cache<Digest, Slot, ByWeight, Spread, Watch>,
    watch: Watch,
    limit: u64,
    max_body: u64,
    /// Whether it keeps entries, or only what leads to them.
    entries: bool,
    /// What is seen through this one, and never touched.
    #[cfg(feature = "explain")]
    behind: Option<Arc<Self>>,
}

/// What a tier that keeps no entries may hold beside them.
const MARKERS: u64 = 1 << 20;
const MARKER_COUNT: usize = 4096;

impl Memory {
    /// A tier without entries: every hit comes from the remote one. So many caches may share it.
    pub(crate) fn without_entries(max_body: u64, caches: usize) -> Self {
        let watch = Watch::new(caches);
        let markers = sync::Cache::with(MARKER_COUNT, MARKERS, ByWeight, Spread, watch.clone());
        Self {
            tier: markers,
            watch,
            limit: MARKERS,
            max_body,
            entries: false,
            #[cfg(feature = "explain")]
            behind: None,
        }
    }

    /// A tier of `limit` bytes that can hold a body of `max_body`; `None` when it can't. So many
    /// caches may share it.
    pub(crate) fn new(limit: u64, max_body: u64, caches: usize) -> Option<Self> {
        let shards = shards(limit, max_body)?;
        let items = usize::try_from(limit / EXPECTED_WEIGHT).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .weight_capacity(limit)
            .estimated_items_capacity(items.clamp(32 * shards, 1 << 20))
            .shards(shards)
            .hot_allocation(USABLE)
            .build()
            .ok()?;
        let watch = Watch::new(caches);
        let tier = sync::Cache::with_options(options, ByWeight, Spread, watch.clone());
        Some(Self {
            tier,
            watch,
            limit,
            max_body,
            entries: true,
            #[cfg(feature = "explain")]
            behind: None,
        })
    }

    /// A small tier that shows copies of what `behind` holds, and keeps all else to itself. Nobody
    /// notices that `behind` was looked at.
    #[cfg(feature = "explain")]
    pub(crate) fn over(behind: &Arc<Self>, caches: usize) -> Self {
        let max_body = behind.max_body;
        let room = max_body.saturating_add(BESIDE_BODY).saturating_mul(4);
        let own = behind.entries.then(|| Self::new(room, max_body, caches));
        Self {
            behind: Some(Arc::clone(behind)),
            ..own
                .flatten()
                .unwrap_or_else(|| Self::without_entries(max_body, caches))
        }
    }

    pub(crate) fn get(&self, digest: Digest) -> Option<Slot> {
        let there = self.tier.get(&digest);
        #[cfg(feature = "explain")]
        if there.is_none() && self.behind.is_some() {
            return self.copy(digest);
        }
        there
    }

    /// Takes over a copy of what is behind.
    #[cfg(feature = "explain")]
    #[cold]
    fn copy(&self, digest: Digest) -> Option<Slot> {
        let slot = self.behind.as_ref()?.tier.peek(&digest)?.copy();
        self.insert(digest, slot.clone());
        Some(slot)
    }

    /// Whether something is there, without counting as a use.
    pub(crate) fn contains(&self, digest: Digest) -> bool {
        #[cfg(feature = "explain")]
        if let Some(behind) = &self.behind {
            return self.tier.contains_key(&digest) || behind.contains(digest);
        }
        self.tier.contains_key(&digest)
    }

    pub(crate) fn insert(&self, digest: Digest, slot: Slot) {
        if self.entries || matches!(slot, Slot::Marker(_)) {
            let mut change = self.watch.entering(digest, &slot);
            self.tier.insert_with_lifecycle(digest, slot, &mut change);
        } else if let Some((_, gone)) = self.tier.remove(&digest) {
            // What stood in the entry's place is over.
            self.watch.left(&gone);
        }
    }

    /// Takes an entry out; says whether nothing else has taken its place.
    pub(crate) fn withdraw(&self, digest: Digest, entry: &Arc<Entry>) -> bool {
        let is_it = |slot: &Slot| matches!(slot, Slot::Entry(there) if Arc::ptr_eq(there, entry));
        if let Some((_, gone)) = self.tier.remove_if(&digest, is_it) {
            self.watch.left(&gone);
            return true;
        }
        !self.contains(digest)
    }

    /// What one of the caches has in it.
    #[cfg(feature = "metrics")]
    pub(crate) fn usage(&self, cache: u16) -> Option<&super::usage::Usage> {
        self.watch.of(cache)
    }

    /// Lets `work` change what an entry weighs, if it is still here.
    pub(crate) fn grow(&self, digest: Digest, entry: &Arc<Entry>, work: impl FnOnce()) {
        let is_it = |slot: &Slot| matches!(slot, Slot::Entry(there) if Arc::ptr_eq(there, entry));
        if !self.contains(digest) {
            return;
        }
        let at_once = Some(std::time::Duration::ZERO);
        let _ = self.tier.entry(&digest, at_once, |_, slot| {
            if is_it(slot) {
                // It is another weight that leaves one day than the one that came.
                self.watch.left(slot);
                work();
                self.watch.came(slot);
            }
            EntryAction::Retain(())
        });
        // The tier makes room when something comes, not when something grows.
        if self.weight() > self.limit {
            self.tier.set_capacity(self.limit);
        }
    }

    /// All that is in it, in no order, while others go on. It doesn't count as a use.
    #[cfg(feature = "manage")]
    pub(crate) fn walk(&self) -> impl Iterator<Item = Slot> {
        self.tier.iter().map(|(_, slot)| slot)
    }

    /// What is there, without counting as a use.
    #[cfg(feature = "manage")]
    pub(crate) fn peek(&self, digest: Digest) -> Option<Slot> {
        self.tier.peek(&digest)
    }

    pub(crate) fn len(&self) -> usize {
        self.tier.len()
    }

    pub(crate) fn weight(&self) -> u64 {
        self.tier.weight()
    }

    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) const fn holds_entries(&self) -> bool {
        self.entries
    }

    pub(crate) const fn max_body(&self) -> u64 {
        self.max_body
    }
}

/// The largest power of two such that the largest body still fits one shard.
fn shards(limit: u64, max_body: u64) -> Option<usize> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a limit in bytes is far below 2^52"
    )]
    let usable = (limit as f64 * USABLE) as u64;
    let fit = usable / max_body.saturating_add(BESIDE_BODY);
    let shards = 1 << fit.min(MAX_SHARDS).checked_ilog2()?;
    Some(shards)
}

#[derive(Clone, Debug)]
struct ByWeight;

impl Weighter<Digest, Slot> for ByWeight {
    fn weight(&self, _: &Digest, slot: &Slot) -> u64 {
        u64::try_from(slot.weight()).unwrap_or(u64::MAX)
    }
}

/// Digests are keyed and well spread already: one multiplication-free fold is a hash.
#[derive(Clone)]
struct Spread;

impl BuildHasher for Spread {
    type Hasher = Fold;

    fn build_hasher(&self) -> Fold {
        Fold(0)
    }
}

#[derive(Debug)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, digest: u128) {
        let [a, b, c, d, e, f, g, h, ..] = digest.to_le_bytes();
        self.0 = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory")
            .field("limit", &self.limit)
            .field("weight", &self.weight())
            .field("entries", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(limit: u64, max_body: u64, expected: Option<usize>) {
        assert_eq!(
            shards(limit, max_body),
            expected,
            "limit {limit}, max body {max_body}"
        );
    }

    #[test]
    fn the_largest_body_fits_one_shard() {
        check(256 << 20, 8 << 20, Some(16));
        check(64 << 20, 8 << 20, Some(4));
        check(8 << 20, 8 << 20, None);
        check(1 << 40, 1 << 20, Some(256));
        check(0, 0, None);
    }
}
