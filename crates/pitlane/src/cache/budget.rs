use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How much time one request may lose to Redis in all.
///
/// Everything that is done on behalf of the request takes from it, and after the first failure
/// nothing is left: trouble is met once.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<AtomicU64>);

impl Budget {
    pub(crate) fn new(limit: Duration) -> Self {
        let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        Self(Arc::new(AtomicU64::new(micros)))
    }

    /// What is left; `None` when nothing is.
    pub(crate) fn left(&self) -> Option<Duration> {
        let micros = self.0.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// Begins a step. One that is dropped took the time until then.
    pub(crate) fn start(&self) -> Spending<'_> {
        Spending {
            budget: self,
            began: Instant::now(),
        }
    }

    fn take(&self, micros: u64) {
        let update = |left: u64| Some(left.saturating_sub(micros));
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }
}

pub(crate) struct Spending<'a> {
    budget: &'a Budget,
    began: Instant,
}

impl Spending<'_> {
    /// The step went well.
    pub(crate) fn stop(self) {
        drop(self);
    }

    /// The step failed: there won't be another.
    pub(crate) fn exhaust(self) {
        self.budget.take(u64::MAX);
    }
}

impl Drop for Spending<'_> {
    fn drop(&mut self) {
        let micros = self.began.elapsed().as_micros();
        self.budget.take(u64::try_from(micros).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_is_taken_once_and_a_failure_takes_all() {
        let budget = Budget::new(Duration::from_millis(50));
        let step = budget.start();
        tokio::time::advance(Duration::from_millis(20)).await;
        step.stop();
        assert_eq!(budget.left(), Some(Duration::from_millis(30)));
        budget.clone().start().exhaust();
        assert_eq!(budget.left(), None);
    }
}
