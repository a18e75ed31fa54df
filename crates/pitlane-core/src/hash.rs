use std::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;

/// A 128-bit keyed digest of some parts.
///
/// It names a thing within this process only: the key is random, and differs between processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub u128);

/// Makes 128-bit digests under a random per-process key, so that nobody outside can aim for a
/// collision. Users of a digest compare the full key as well, or are safe when two things share
/// one (an invalidation that reaches too far costs a miss).
#[derive(Clone, Debug, Default)]
pub struct Hasher128 {
    low: RandomState,
    high: RandomState,
}

impl Hasher128 {
    /// A hasher with a fresh random key.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The digest of whatever `feed` writes. What is fed must be injective by itself: give
    /// lengths before parts.
    #[must_use]
    pub fn digest(&self, mut feed: impl FnMut(&mut dyn FnMut(&[u8]))) -> Digest {
        let mut low = self.low.build_hasher();
        let mut high = self.high.build_hasher();
        feed(&mut |bytes| {
            low.write(bytes);
            high.write(bytes);
        });
        join(high.finish(), low.finish())
    }

    /// The digest of one contiguous value under a small domain number.
    #[must_use]
    pub fn digest_bytes(&self, domain: u8, bytes: &[u8]) -> Digest {
        let one = |state: &RandomState| {
            let mut hasher = state.build_hasher();
            hasher.write_u8(domain);
            hasher.write(bytes);
            hasher.finish()
        };
        join(one(&self.high), one(&self.low))
    }
}

fn join(high: u64, low: u64) -> Digest {
    Digest(u128::from(high) << 64 | u128::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_depends_on_domain_bytes_and_process_key() {
        let hasher = Hasher128::new();
        let digest = hasher.digest_bytes(1, b"club:42");
        assert_eq!(digest, hasher.digest_bytes(1, b"club:42"));
        assert_ne!(digest, hasher.digest_bytes(2, b"club:42"));
        assert_ne!(digest, hasher.digest_bytes(1, b"club:43"));
        assert_ne!(digest, Hasher128::new().digest_bytes(1, b"club:42"));
    }

    #[test]
    fn both_halves_vary_on_their_own() {
        let hasher = Hasher128::new();
        let halves = |n: u32| {
            let Digest(value) = hasher.digest(|part| part(&n.to_be_bytes()));
            (value >> 64, value & u128::from(u64::MAX))
        };
        let seen: std::collections::HashSet<_> = (0..10_000).map(halves).collect();
        let highs: std::collections::HashSet<_> = seen.iter().map(|half| half.0).collect();
        let lows: std::collections::HashSet<_> = seen.iter().map(|half| half.1).collect();
        assert_eq!((highs.len(), lows.len()), (10_000, 10_000));
    }
}
