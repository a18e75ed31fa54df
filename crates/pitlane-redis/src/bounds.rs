use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

/// How much may be on its way to Redis at one time, so that a server that stands still can't
/// make the process grow. Counters only: nobody ever waits here.
#[derive(Debug)]
pub(crate) struct Bounds {
    calls: AtomicUsize,
    most_calls: usize,
    bytes: AtomicUsize,
    most_bytes: usize,
}

/// A place among the calls in flight.
#[must_use]
pub(crate) struct Slot<'a>(&'a Bounds);

impl Bounds {
    pub(crate) const fn new(most_calls: usize, most_bytes: usize) -> Self {
        Self {
            calls: AtomicUsize::new(0),
            most_calls,
            bytes: AtomicUsize::new(0),
            most_bytes,
        }
    }

    pub(crate) fn slot(&self) -> Option<Slot<'_>> {
        take(&self.calls, 1, self.most_calls).then(|| Slot(self))
    }

    /// The same bytes, counted until the last holder lets go of them. A call that timed out may
    /// have left them with the client library, and they are counted for as long as it keeps them.
    pub(crate) fn charge(self: &Arc<Self>, value: Bytes) -> Option<Bytes> {
        let length = value.len();
        let bounds = Arc::clone(self);
        take(&self.bytes, length, self.most_bytes)
            .then(|| Bytes::from_owner(Charged { value, bounds }))
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Counters order nothing: they only have to be exact in the end.
fn take(counter: &AtomicUsize, amount: usize, most: usize) -> bool {
    let fitting = |before: usize| before.checked_add(amount).filter(|after| *after <= most);
    counter
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fitting)
        .is_ok()
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Charged {
    value: Bytes,
    bounds: Arc<Bounds>,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.value
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        let length = self.value.len();
        self.bounds.bytes.fetch_sub(length, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_over_the_bound_is_refused_until_one_is_left() {
        let bounds = Bounds::new(2, 0);
        let first = bounds.slot();
        let second = bounds.slot();
        assert!(first.is_some() && second.is_some());
        assert!(bounds.slot().is_none());
        assert_eq!(bounds.calls(), 2);
        drop(first);
        assert!(bounds.slot().is_some());
    }

    #[test]
    fn bytes_are_counted_until_the_last_clone_is_dropped() {
        let bounds = Arc::new(Bounds::new(1, 10));
        let held = bounds.charge(Bytes::from_static(b"123456")).unwrap();
        let kept = held.slice(5..);
        assert!(bounds.charge(Bytes::from_static(b"12345")).is_none());
        assert!(bounds.charge(Bytes::from_static(b"1234")).is_some());
        drop(held);
        assert_eq!(bounds.bytes(), 6);
        drop(kept);
        assert_eq!(bounds.bytes(), 0);
        assert!(bounds.charge(Bytes::from_static(b"12345678901")).is_none());
        assert_eq!(bounds.bytes(), 0);
    }
}
