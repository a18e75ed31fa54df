use std::hash::BuildHasher;

use foldhash::fast::RandomState;

/// How many keys are watched at a time. Whatever has more than one in so many of the weight is
/// among them.
const WATCHED: usize = 128;
/// How much of a key is kept, in bytes: keys are as long as clients make them.
const MAX_KEY: usize = 1024;

/// The heaviest keys of a stream, in fixed memory: "Space-Saving" (Metwally, Agrawal, El Abbadi:
/// *Efficient computation of frequent and top-k elements in data streams*, 2005).
///
/// A key that comes new takes the place of the lightest one and its weight, which is then the most
/// by which it is overestimated. So no weight is too small, and a key with more than 1/128 of the
/// whole weight that was added is among them. What is added are samples: of a cache's hits one in
/// 32 where there are many, without those that met a lock that was taken. Of all hits the same
/// holds about, not exactly.
#[derive(Debug, Default)]
pub(super) struct Top {
    watched: Vec<Watched>,
    hasher: RandomState,
}

/// One key that is watched.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    hash: u64,
    /// The key, or its beginning.
    pub(super) key: Box<[u8]>,
    /// By what it is compared.
    pub(super) weight: u64,
    /// By how much that is too large at most.
    pub(super) error: u64,
    /// How often it came, and for how long, since it was watched.
    pub(super) count: u64,
    pub(super) nanos: u64,
}

impl Top {
    /// Adds `weight` to a key, and to what is told beside it.
    pub(super) fn add(&mut self, key: &[u8], weight: u64, count: u64, nanos: u64) {
        // All of the key tells it from others, not only what is kept.
        let hash = self.hasher.hash_one(key);
        let known = self.watched.iter().position(|there| there.hash == hash);
        let Some(there) = known.or_else(|| self.admit(key, hash)) else {
            return;
        };
        if let Some(there) = self.watched.get_mut(there) {
            there.weight = there.weight.saturating_add(weight);
            there.count = there.count.saturating_add(count);
            there.nanos = there.nanos.saturating_add(nanos);
        }
    }

    /// Gives a key a place, with the weight of whoever had it.
    fn admit(&mut self, key: &[u8], hash: u64) -> Option<usize> {
        let mut fresh = Watched {
            hash,
            key: key.get(..MAX_KEY).unwrap_or(key).into(),
            weight: 0,
            error: 0,
            count: 0,
            nanos: 0,
        };
        if self.watched.len() < WATCHED {
            self.watched.push(fresh);
            return Some(self.watched.len() - 1);
        }
        let places = self.watched.iter_mut().enumerate();
        let (place, lightest) = places.min_by_key(|(_, there)| there.weight)?;
        fresh.weight = lightest.weight;
        fresh.error = lightest.weight;
        *lightest = fresh;
        Some(place)
    }

    /// The heaviest first.
    pub(super) fn heaviest(&self, most: usize) -> Vec<Watched> {
        let mut watched = self.watched.clone();
        watched
            .sort_unstable_by(|one, other| (other.weight, &one.key).cmp(&(one.weight, &other.key)));
        watched.truncate(most);
        watched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(top: &Top, key: &[u8]) -> Option<Watched> {
        top.heaviest(WATCHED)
            .into_iter()
            .find(|there| *there.key == *key)
    }

    #[test]
    fn few_keys_are_counted_exactly() {
        let mut top = Top::default();
        for round in 0..100_u64 {
            for key in 0..=round {
                top.add(&key.to_be_bytes(), 1, 1, 10);
            }
        }
        let first = top.heaviest(3);
        let weights: Vec<_> = first
            .iter()
            .map(|there| (there.weight, there.error))
            .collect();
        assert_eq!(weights, [(100, 0), (99, 0), (98, 0)]);
        assert_eq!((first[0].count, first[0].nanos), (100, 1_000));
    }

    #[test]
    fn a_key_with_its_share_is_found_among_a_flood_of_others() {
        let mut top = Top::default();
        let mut total = 0_u64;
        for number in 0..100_000_u64 {
            // One in a hundred, spread evenly: more than one in 128.
            let key = if number % 100 == 99 { u64::MAX } else { number };
            top.add(&key.to_be_bytes(), 1, 1, 0);
            total += 1;
        }
        let there = find(&top, &u64::MAX.to_be_bytes()).expect("it has its share");
        assert!(there.weight >= 1_000, "{there:?}");
        assert!(there.weight - there.error <= 1_000, "{there:?}");
        assert!(there.error <= total / WATCHED as u64, "{there:?}");
    }

    #[test]
    fn memory_is_bounded_however_many_and_long_keys_are() {
        let mut top = Top::default();
        for number in 0..10_000_u64 {
            let mut key = vec![0; 10_000];
            key.extend_from_slice(&number.to_be_bytes());
            top.add(&key, 1, 1, 0);
        }
        assert_eq!(top.watched.len(), WATCHED);
        assert!(top.watched.iter().all(|there| there.key.len() == MAX_KEY));
    }

    #[test]
    fn keys_that_begin_alike_are_not_taken_for_one() {
        let mut top = Top::default();
        for end in [b'a', b'b'] {
            let mut key = vec![0; 2 * MAX_KEY];
            key.push(end);
            top.add(&key, 1, 1, 0);
        }
        assert_eq!(top.heaviest(9).len(), 2);
    }
}
