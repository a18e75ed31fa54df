use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    time::Duration,
};

/// How many requests of a shard are looked at one by one in a second; beyond them one in
/// [`SPARSE`] is.
const EACH: u32 = 64;
/// How many requests one sample stands for, on average, where there are many.
const SPARSE: u32 = 32;

/// Chooses, within a shard and under its lock, which requests are looked at more closely.
///
/// The gaps are random: a client that walks through a list in order would otherwise always be
/// seen at the same places of it.
#[derive(Debug)]
pub(super) struct Sampling {
    on: bool,
    /// Requests until the next sample, itself among them.
    left: u32,
    /// How many requests it stands for: those since the last one.
    weight: u32,
    /// Samples since the last second.
    taken: u32,
    random: u64,
    saved_nanos: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            on: false,
            left: 1,
            weight: 1,
            taken: 0,
            // Zero would stay zero.
            random: RandomState::new().build_hasher().finish() | 1,
            saved_nanos: 0,
        }
    }
}

impl Sampling {
    /// Passes one request that saved so much; says for how many it stands if it is a sample.
    #[inline]
    pub(super) fn draw(&mut self, saved: Duration) -> Option<u32> {
        if !self.on {
            return None;
        }
        let nanos = saved.as_secs().wrapping_mul(1_000_000_000) + u64::from(saved.subsec_nanos());
        self.saved_nanos = self.saved_nanos.wrapping_add(nanos);
        self.left -= 1;
        if self.left > 0 {
            return None;
        }
        Some(self.take())
    }

    #[cold]
    fn take(&mut self) -> u32 {
        let weight = self.weight;
        self.taken = self.taken.saturating_add(1);
        self.left = if self.taken < EACH { 1 } else { self.gap() };
        self.weight = self.left;
        weight
    }

    /// From 1 to `2 * SPARSE - 1`, and [`SPARSE`] on average.
    fn gap(&mut self) -> u32 {
        // Marsaglia's xorshift64: three shifts are random enough to be in nobody's step.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let range = u64::from(2 * SPARSE - 1);
        u32::try_from(self.random % range).unwrap_or_default() + 1
    }

    /// A second has passed: the next requests are looked at one by one again. Those that the last
    /// gap has passed over go to the first of them, so that samples stand for all requests.
    pub(super) const fn refill(&mut self) {
        self.weight = self.weight - self.left + 1;
        self.left = 1;
        self.taken = 0;
        self.on = true;
    }

    pub(super) const fn stop(&mut self) {
        self.on = false;
    }

    pub(super) const fn saved(&self) -> Duration {
        Duration::from_nanos(self.saved_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Sampling {
        let mut sampling = Sampling::default();
        sampling.refill();
        sampling
    }

    #[test]
    fn nothing_is_taken_before_somebody_asks_for_it() {
        let mut sampling = Sampling::default();
        assert_eq!(sampling.draw(Duration::from_secs(1)), None);
        assert_eq!(sampling.saved(), Duration::ZERO);
    }

    #[test]
    fn few_requests_are_looked_at_one_by_one() {
        let mut sampling = running();
        for _ in 0..EACH {
            assert_eq!(sampling.draw(Duration::ZERO), Some(1));
        }
        assert!((0..EACH).any(|_| sampling.draw(Duration::ZERO).is_none()));
    }

    #[test]
    fn samples_stand_for_all_requests_however_often_a_second_passes() {
        let mut sampling = running();
        let (mut stood_for, mut samples) = (0_u32, 0_u32);
        for request in 1..=100_000_u32 {
            if let Some(weight) = sampling.draw(Duration::ZERO) {
                stood_for += weight;
                samples += 1;
            }
            if request % 10_007 == 0 {
                sampling.refill();
            }
        }
        // What the last gap has passed over is still to come.
        assert!(
            (100_000 - 2 * SPARSE..=100_000).contains(&stood_for),
            "{stood_for}"
        );
        let expected = 100_000 / SPARSE + 10 * EACH;
        assert!(samples.abs_diff(expected) < expected / 5, "{samples}");
    }

    #[test]
    fn nobody_who_goes_in_circles_is_always_seen_at_the_same_place() {
        let mut sampling = running();
        let mut seen = [0_u32; 32];
        for request in 0..1_000_000_usize {
            if let Some(weight) = sampling.draw(Duration::ZERO) {
                seen[request % 32] += weight;
            }
        }
        for share in seen {
            assert!(share.abs_diff(1_000_000 / 32) < 6_000, "{seen:?}");
        }
    }

    #[test]
    fn what_every_request_saved_is_added_up_sample_or_not() {
        let mut sampling = running();
        for _ in 0..1_000 {
            let _ = sampling.draw(Duration::from_micros(1_500));
        }
        assert_eq!(sampling.saved(), Duration::from_millis(1_500));
        sampling.stop();
        assert_eq!(sampling.draw(Duration::from_secs(1)), None);
        assert_eq!(sampling.saved(), Duration::from_millis(1_500));
    }
}
