use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crate::sync::{AtomicU64, Ordering};

/// Into how many slots a window is cut: it forgets a tenth at a time.
pub(super) const SLOTS: usize = 10;

/// Threads count apart, so that two of them don't wait for each other's cache line.
const STRIPES: usize = if cfg!(loom) { 1 } else { 8 };

/// A number of calls in each slot of a sliding window, counted without a lock.
///
/// A slot's word holds the slot's number and its count together, so that a slot begins again at
/// zero in the same step in which it is first used again.
pub(super) struct Window {
    slot: u64,
    stripes: Box<[Stripe]>,
}

/// Aligned to two cache lines, because processors fetch them in pairs.
#[repr(align(128))]
struct Stripe([AtomicU64; SLOTS]);

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        let slots = u64::try_from(SLOTS).unwrap_or(u64::MAX);
        let stripe = |_| Stripe(std::array::from_fn(|_| AtomicU64::new(0)));
        Self {
            slot: (millis(length) / slots).max(1),
            stripes: (0..STRIPES).map(stripe).collect(),
        }
    }

    /// Counts one call.
    pub(super) fn add(&self, now: Duration) {
        let number = self.number(now);
        let Some(word) = self.word(stripe(), number) else {
            return;
        };
        let tag = u64::from(number) << 32;
        // Counts decide nothing by themselves; whoever sums them holds the breaker's lock.
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let next = match seen >> 32 {
                same if same == tag >> 32 => seen + 1,
                later if later > tag >> 32 => return,
                _ => tag | 1,
            };
            match word.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => seen = other,
            }
        }
    }

    /// How many calls were counted in the window that ends at `now`.
    pub(super) fn sum(&self, now: Duration) -> u64 {
        let last = self.number(now);
        let words = self.stripes.iter().flat_map(|stripe| &stripe.0);
        let counts = words.map(|word| word.load(Ordering::Relaxed));
        let recent = counts.filter(|count| is_recent(count >> 32, last));
        recent.map(|count| count & u64::from(u32::MAX)).sum()
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for word in self.stripes.iter().flat_map(|stripe| &stripe.0) {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Slots are numbered from one: zero is a slot that nobody has used.
    fn number(&self, now: Duration) -> u32 {
        u32::try_from(millis(now) / self.slot + 1).unwrap_or(u32::MAX)
    }

    fn word(&self, stripe: usize, number: u32) -> Option<&AtomicU64> {
        let stripe = self.stripes.get(stripe % self.stripes.len())?;
        stripe.0.get(usize::try_from(number).ok()? % SLOTS)
    }
}

fn is_recent(number: u64, last: u32) -> bool {
    let slots = u64::try_from(SLOTS).unwrap_or(u64::MAX);
    number > 0 && number <= u64::from(last) && number + slots > u64::from(last)
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The calling thread's stripe, given out in turn.
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: usize = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    MINE.try_with(|mine| *mine).unwrap_or_default()
}
