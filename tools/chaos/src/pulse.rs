//! How late this process is by itself, so that a busy machine is not taken for a slow Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

const BEAT: Duration = Duration::from_millis(2);

/// The timer counts whole milliseconds, so a beat may be so late without anything being wrong.
const SLACK: Duration = Duration::from_millis(2);

/// A task that wants to run every two milliseconds and adds up how much later it ran. Requests
/// wait in the same queues of the same runtime.
#[derive(Debug)]
pub(crate) struct Pulse {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    /// Microseconds after the start at which the next beat is late.
    due: AtomicU64,
    /// Microseconds by which beats were late.
    sum: AtomicU64,
}

impl Pulse {
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared {
            start: Instant::now(),
            due: AtomicU64::new(micros(BEAT + SLACK)),
            sum: AtomicU64::new(0),
        });
        let task = tokio::spawn(beat(Arc::clone(&shared)));
        Self { shared, task }
    }

    /// How long everything stood still so far, the beat included that has not come yet: the
    /// difference of two readings is how long that was between them.
    pub(crate) fn late(&self) -> Duration {
        let due = self.shared.due.load(Ordering::SeqCst);
        let sum = self.shared.sum.load(Ordering::SeqCst);
        Duration::from_micros(sum + self.shared.now().saturating_sub(due))
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn now(&self) -> u64 {
        micros(self.start.elapsed())
    }
}

async fn beat(shared: Arc<Shared>) {
    loop {
        sleep_until(Instant::now() + BEAT).await;
        let now = shared.now();
        let next = now + micros(BEAT + SLACK);
        let due = shared.due.swap(next, Ordering::SeqCst);
        shared
            .sum
            .fetch_add(now.saturating_sub(due), Ordering::SeqCst);
    }
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
