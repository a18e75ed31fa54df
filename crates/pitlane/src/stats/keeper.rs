use std::{fmt, sync::atomic::Ordering, time::Duration};

use tokio::{
    runtime::Handle,
    task::AbortHandle,
    time::{Instant, MissedTickBehavior, interval},
};

use super::telling::{Leaving, Telling};
use crate::cache::{Caches, WeakCaches};

/// How often the counters are looked at.
const SAMPLED: Duration = Duration::from_secs(1);
/// How often a node tells its numbers, unless something else is said.
const PUBLISHED: Duration = Duration::from_secs(5);
const MOST_OFTEN: Duration = Duration::from_millis(100);
const LEAST_OFTEN: Duration = Duration::from_secs(3600);

/// How a node keeps its statistics.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use pitlane::{Caches, stats::StatsOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), pitlane::Error> {
/// let caches = Caches::builder().build()?;
/// let options = StatsOptions::new().name("web-1").publish_every(Duration::from_secs(10));
/// let keeper = caches.keep_stats(options);
/// assert!(caches.node_stats().sampled);
/// keeper.end().await;
/// assert!(!caches.node_stats().sampled);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct StatsOptions {
    name: Option<String>,
    publish: Option<Duration>,
}

impl StatsOptions {
    /// A node without a name that tells its numbers every 5 seconds.
    pub const fn new() -> Self {
        Self {
            name: None,
            publish: Some(PUBLISHED),
        }
    }

    /// What the node is called in lists of nodes: at most 64 characters of it are kept.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        let name: String = name.into();
        let kept = name.chars().filter(|letter| !letter.is_control()).take(64);
        self.name = Some(kept.collect());
        self
    }

    /// How often the node tells its numbers through Redis, from 100 ms to an hour. The others
    /// forget a node that has told nothing for three times as long.
    pub fn publish_every(mut self, interval: Duration) -> Self {
        self.publish = Some(interval.clamp(MOST_OFTEN, LEAST_OFTEN));
        self
    }

    /// Keeps the numbers to itself.
    pub const fn without_publishing(mut self) -> Self {
        self.publish = None;
        self
    }
}

impl Default for StatsOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Keeps the statistics of a registry while it lives; see [`Caches::keep_stats`].
#[must_use = "dropped at once it keeps nothing"]
pub struct StatsKeeper {
    /// `None` where another one keeps them already, or nobody can.
    task: Option<AbortHandle>,
    caches: WeakCaches,
}

impl Caches {
    /// Samples the counters every second until the keeper, or the last handle to the caches, is
    /// dropped; and tells the other nodes through Redis, if there is one.
    ///
    /// What it costs: one task; about 100 KiB for each cache; on the hit path a few nanoseconds.
    /// Of many hits, about one in 32 is looked at more closely. What goes to Redis is one value
    /// of at most 256 KiB that expires, through the circuit breaker: nothing waits for it.
    ///
    /// One keeper is enough for a registry: while it lives, another one does nothing. Without a
    /// tokio runtime to run on it does nothing either, and logs a warning.
    pub fn keep_stats(&self, options: StatsOptions) -> StatsKeeper {
        let keeper = |task| StatsKeeper {
            task,
            caches: self.downgrade(),
        };
        let Ok(runtime) = Handle::try_current() else {
            tracing::warn!("no tokio runtime to keep statistics on");
            return keeper(None);
        };
        let node = &self.shared.node;
        if node.sampled.swap(true, Ordering::AcqRel) {
            return keeper(None);
        }
        node.told().name = options.name;
        node.sample(self);
        let telling = options.publish.map(|every| Telling::new(self, every));
        let task = runtime.spawn(keep(self.downgrade(), telling));
        keeper(Some(task.abort_handle()))
    }
}

async fn keep(caches: WeakCaches, mut telling: Option<Telling>) {
    let mut ticks = interval(SAMPLED.min(telling.as_ref().map_or(SAMPLED, |one| one.every)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sampled = Instant::now();
    loop {
        let now = ticks.tick().await;
        let Some(caches) = caches.upgrade() else {
            return;
        };
        if now.duration_since(sampled) + SAMPLED / 10 >= SAMPLED {
            sampled = now;
            caches.shared.node.sample(&caches);
        }
        let Some(telling) = &mut telling else {
            continue;
        };
        let due = telling.due(now, &caches);
        // Redis may take its time: that must not keep a registry alive that nobody uses.
        drop(caches);
        if let Some(due) = due {
            due.tell().await;
        }
    }
}

impl StatsKeeper {
    /// Ends the sampling and, for at most the Redis budget, takes the node off the others' lists.
    /// A keeper that is dropped does so in the background.
    pub async fn end(mut self) {
        if let Some(leaving) = self.stop() {
            leaving.leave().await;
        }
    }

    fn stop(&mut self) -> Option<Leaving> {
        self.task.take()?.abort();
        let caches = self.caches.upgrade()?;
        caches.shared.node.stop(&caches);
        Leaving::of(&caches)
    }
}

impl fmt::Debug for StatsKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatsKeeper")
            .field("keeps", &self.task.is_some())
            .finish_non_exhaustive()
    }
}

impl Drop for StatsKeeper {
    fn drop(&mut self) {
        if let (Some(leaving), Ok(runtime)) = (self.stop(), Handle::try_current()) {
            runtime.spawn(leaving.leave());
        }
    }
}
