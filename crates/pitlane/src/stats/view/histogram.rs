use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Each doubling of the time has so many buckets, which makes a bucket 1/8 of its lower bound
/// wide at most.
const STEPS: u64 = 8;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// What is faster than 2^6 ns is counted as if it took as long.
const FIRST: u32 = 6;
/// What is slower than 2^41 ns, 36 minutes, likewise.
const LAST: u32 = 41;
/// How many buckets there are.
pub(in crate::stats) const BUCKETS: usize = ((LAST - FIRST) as usize) << STEP_BITS;

/// How long things took, in buckets that grow with the time: a quantile is off by at most 6.25 %
/// of itself between 64 ns and 36 minutes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Histogram {
    /// The buckets that are not empty, by number and count, in order.
    pub buckets: Vec<(u16, u64)>,
}

impl Histogram {
    pub(in crate::stats) fn of(counts: &[u64]) -> Self {
        let buckets = (0_u16..).zip(counts.iter().copied());
        Self {
            buckets: buckets.filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        let counts = self.buckets.iter().map(|(_, count)| *count);
        counts.fold(0, u64::saturating_add)
    }

    /// The time that this share of them, from 0 to 1, took at most, in seconds; within 6.25 %.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among counts far below 2^53"
    )]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let total = self.count();
        let rank = ((total as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0_u64;
        for (bucket, count) in &self.buckets {
            seen = seen.saturating_add(*count);
            if seen >= rank {
                return Some(middle_of(*bucket));
            }
        }
        None
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut counts = [0_u64; BUCKETS];
        for (bucket, count) in self.buckets.iter().chain(&other.buckets) {
            // A number from elsewhere may be none of ours.
            if let Some(sum) = counts.get_mut(usize::from(*bucket)) {
                *sum = sum.saturating_add(*count);
            }
        }
        Self::of(&counts)
    }
}

/// The bucket that a time belongs to.
pub(in crate::stats) fn bucket_of(took: Duration) -> usize {
    let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    let nanos = nanos.clamp(1 << FIRST, (1 << LAST) - 1);
    let doublings = nanos.ilog2();
    let step = (nanos >> (doublings - STEP_BITS)) & (STEPS - 1);
    let bucket = u64::from(doublings - FIRST) * STEPS + step;
    usize::try_from(bucket).unwrap_or(BUCKETS - 1)
}

/// What stands for the times of a bucket, in seconds: their middle.
#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
fn middle_of(bucket: u16) -> f64 {
    let bucket = u64::from(bucket).min(BUCKETS as u64 - 1);
    let doublings = u32::try_from(bucket >> STEP_BITS).unwrap_or_default() + FIRST;
    let width = 1_u64 << (doublings - STEP_BITS);
    let low = (STEPS + (bucket & (STEPS - 1))) * width;
    (low as f64 + width as f64 / 2.0) / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: &[u64]) -> Histogram {
        let mut counts = [0; BUCKETS];
        for nanos in times {
            counts[bucket_of(Duration::from_nanos(*nanos))] += 1;
        }
        Histogram::of(&counts)
    }

    #[test]
    fn a_quantile_is_off_by_a_sixteenth_at_most() {
        let mut nanos = 64_u64;
        while nanos < 1 << LAST {
            let found = of(&[nanos]).quantile(0.5).unwrap() * 1e9;
            let error = (found - nanos as f64).abs() / nanos as f64;
            assert!(error <= 0.0625, "{nanos} ns is {found}: {error}");
            nanos += 1 + nanos / 97;
        }
    }

    #[test]
    fn buckets_are_in_order_and_none_is_left_out() {
        let mut last = 0;
        for doublings in FIRST..LAST {
            for step in 0..STEPS {
                let nanos = (STEPS + step) << (doublings - STEP_BITS);
                let bucket = bucket_of(Duration::from_nanos(nanos));
                assert!(bucket == last || bucket == last + 1, "{nanos}");
                last = bucket;
            }
        }
        assert_eq!(last, BUCKETS - 1);
    }

    #[test]
    fn what_is_too_fast_or_too_slow_is_at_the_edge() {
        assert_eq!(bucket_of(Duration::ZERO), 0);
        assert_eq!(bucket_of(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_ranks() {
        let times: Vec<u64> = (1..=100).map(|n| n * 1_000_000).collect();
        let found = of(&times);
        for (share, expected) in [(0.5, 0.050), (0.9, 0.090), (0.99, 0.099), (0.0, 0.001)] {
            let seconds = found.quantile(share).unwrap();
            assert!(
                (seconds - expected).abs() <= expected / 16.0,
                "{share}: {seconds}"
            );
        }
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn a_bucket_that_is_none_of_ours_is_left_out_of_a_sum() {
        let hostile = Histogram {
            buckets: vec![(u16::MAX, 7), (3, u64::MAX), (3, 1)],
        };
        let sum = hostile.plus(&of(&[1_000]));
        assert_eq!(sum.buckets.len(), 2);
        assert_eq!(sum.buckets[0], (3, u64::MAX));
        assert!(hostile.quantile(1.0).is_some());
    }
}
