use std::collections::hash_map::RandomState;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use pitlane_core::{
    BreakerState, Incarnation, Log, Position, Record, Remembered, RemoteFuture, StoreError,
    StoreErrorKind, TagId, Timestamp, Uplink, UplinkStatus, Watermark,
};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::calls::{Calls, Names, Refused};
use super::tails::Tails;
use super::{follower, janitor, keeper};
use crate::{CircuitBrokenRedis, ConfigError, Database, Dedicated, Side};

/// How many records one reading brings.
pub(super) const BATCH: u32 = 1000;
/// How many tags one question may name.
const MAX_QUESTION: usize = 1000;

/// Follows the invalidation log of one namespace in Redis, and appends to it.
///
/// Clones share one link. The background work ends with the last of them.
#[derive(Clone)]
pub struct RedisLog {
    handle: Arc<Handle>,
}

/// Ends the background work when the last user of the link is gone.
struct Handle {
    link: Arc<Link>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// What the link is doing, shared with the background work.
pub(super) struct Link {
    pub(super) log: Arc<Log>,
    redis: CircuitBrokenRedis,
    pub(super) calls: Calls,
    pub(super) settings: Settings,
    tails: Tails,
    started: Instant,
    /// Milliseconds after `started` at which the node last knew that it had read everything.
    confirmed: AtomicU64,
    /// Whether the last touch of the log went well.
    healthy: AtomicBool,
    clock_offset: AtomicI64,
    /// Tells the keeper that something is to be done.
    pub(super) wake: Notify,
    /// Tells the follower that there is something to follow.
    pub(super) joined: Notify,
    /// Held by the one who catches up.
    pub(super) catching: Mutex<()>,
    pub(super) gaps: AtomicU64,
    pub(super) incarnations: AtomicU64,
}

pub(super) struct Settings {
    pub(super) heartbeat: Duration,
    pub(super) gap: Duration,
    pub(super) max_degraded: Option<Duration>,
    pub(super) retention: Duration,
    pub(super) max_tags: u64,
    pub(super) clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

/// Configures a [`RedisLog`].
#[must_use]
pub struct RedisLogBuilder {
    redis: CircuitBrokenRedis,
    database: Database,
    dedicated: Dedicated,
    namespace: String,
    max_length: u64,
    settings: Settings,
}

impl RedisLogBuilder {
    /// How often the tail is read when nothing happens; 100 ms by default. Together with the gap
    /// it bounds how far memory hits on this node may lag.
    pub const fn heartbeat(mut self, interval: Duration) -> Self {
        self.settings.heartbeat = interval;
        self
    }

    /// After how long without word from the log what is in memory counts as degraded; 250 ms by
    /// default.
    pub const fn gap(mut self, gap: Duration) -> Self {
        self.settings.gap = gap;
        self
    }

    /// For how long after its last word from the log a node may serve what is in memory; without
    /// a limit by default, so that lifetimes are the only one.
    pub const fn max_degraded(mut self, limit: Option<Duration>) -> Self {
        self.settings.max_degraded = limit;
        self
    }

    /// About how many records the stream keeps; 10,000 by default. A node that was away for
    /// longer joins anew, which costs misses.
    pub const fn max_length(mut self, records: u64) -> Self {
        self.max_length = records;
        self
    }

    /// How long the hash remembers an invalidated tag: at least as long as the longest life of
    /// an entry in Redis; 7 days by default.
    pub const fn retention(mut self, retention: Duration) -> Self {
        self.settings.retention = retention;
        self
    }

    /// About how many tags the hash may remember, whatever their age; 1,000,000 by default. What
    /// it forgets costs misses.
    pub const fn max_tags(mut self, tags: u64) -> Self {
        self.settings.max_tags = tags;
        self
    }

    /// Begins to follow the log for `log`, in the background and for ever.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(self, log: Arc<Log>) -> RedisLog {
        let calls = Calls::new(self.database, Names::of(&self.namespace), self.max_length);
        let link = Arc::new(Link {
            log,
            redis: self.redis,
            calls,
            settings: self.settings,
            tails: Tails::default(),
            started: Instant::now(),
            confirmed: AtomicU64::new(0),
            healthy: AtomicBool::new(false),
            clock_offset: AtomicI64::new(0),
            wake: Notify::new(),
            joined: Notify::new(),
            catching: Mutex::new(()),
            gaps: AtomicU64::new(0),
            incarnations: AtomicU64::new(0),
        });
        let tasks = vec![
            tokio::spawn(keeper::keep(Arc::clone(&link))),
            tokio::spawn(follower::follow(Arc::clone(&link), self.dedicated)),
            tokio::spawn(janitor::clean(Arc::clone(&link))),
        ];
        let handle = Arc::new(Handle { link, tasks });
        RedisLog { handle }
    }
}

impl RedisLog {
    /// Configures a link to the log of `namespace` in one of the client's databases; `clock`
    /// tells this node's time.
    ///
    /// # Errors
    ///
    /// The client was not built for that database.
    pub fn builder(
        redis: &CircuitBrokenRedis,
        database: u8,
        namespace: &str,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Result<RedisLogBuilder, ConfigError> {
        let settings = Settings {
            heartbeat: Duration::from_millis(100),
            gap: Duration::from_millis(250),
            max_degraded: None,
            retention: Duration::from_secs(7 * 24 * 3600),
            max_tags: 1_000_000,
            clock: Arc::new(clock),
        };
        Ok(RedisLogBuilder {
            redis: redis.clone(),
            dedicated: redis.dedicated(database),
            database: redis.database(database)?,
            namespace: namespace.to_owned(),
            max_length: 10_000,
            settings,
        })
    }
}

impl Link {
    /// Milliseconds since the link began: the node's own order of events needs no other clock.
    pub(super) fn now(&self) -> Timestamp {
        let elapsed = self.started.elapsed().as_millis();
        Timestamp::from_millis(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Acquire)
    }

    /// Notes that the node had read everything at a moment that lies after `began`.
    pub(super) fn confirmed(&self, began: Timestamp) {
        self.confirmed
            .fetch_max(began.as_millis(), Ordering::AcqRel);
        if self.log.is_degraded() {
            self.log.set_degraded(false);
            self.log.suspend(false);
        }
    }

    pub(super) fn recovered(&self) {
        if !self.healthy.swap(true, Ordering::AcqRel) {
            tracing::info!(position = ?self.log.watermark(), "following the invalidation log");
        }
    }

    /// Notes that the log was not reached, and how long ago it last was.
    pub(super) fn failed(&self) {
        if self.healthy.swap(false, Ordering::AcqRel) {
            tracing::warn!("the invalidation log is out of reach");
        }
        let lag = self.lag();
        if lag > self.settings.gap {
            self.log.set_degraded(true);
        }
        if self.settings.max_degraded.is_some_and(|max| lag > max) {
            self.log.suspend(true);
        }
    }

    pub(super) fn lag(&self) -> Duration {
        let confirmed = Timestamp::from_millis(self.confirmed.load(Ordering::Acquire));
        self.now().since(confirmed)
    }

    /// Learns the server's clock from an answer to a question that was asked at `asked`.
    pub(super) fn learn_time(&self, server: u64, asked: Timestamp) {
        let now = (self.settings.clock)();
        // The server read its clock somewhere between the question and the answer.
        let middle = now.as_millis() - self.now().since(asked).as_millis() as u64 / 2;
        let offset = i64::try_from(i128::from(server) - i128::from(middle)).unwrap_or(0);
        self.clock_offset.store(offset, Ordering::Relaxed);
    }

    /// The tail at some moment after this call began; `None` when it can't be relied on.
    async fn tail(&self) -> Option<Watermark> {
        let read = || async {
            let incarnation = self.log.watermark()?.incarnation();
            match self.calls.tail(incarnation).await {
                Ok(Some(tail)) => Some(tail),
                Ok(None) | Err(Refused::Over | Refused::Other(_)) => {
                    self.healthy.store(false, Ordering::Release);
                    self.wake.notify_one();
                    None
                }
                Err(Refused::Failed(_)) => None,
            }
        };
        self.tails.read(read).await
    }

    async fn confirm(&self) -> Result<(), StoreError> {
        let began = self.now();
        let before = self.log.watermark();
        let unreachable = || StoreError::from(StoreErrorKind::Unreachable);
        let (Some(before), true) = (before, self.is_healthy()) else {
            return Err(unreachable());
        };
        let tail = self.tail().await.ok_or_else(unreachable)?;
        // A tail that lies before what was read already belongs to a log that lost its end.
        let lost = tail.incarnation() == before.incarnation() && !tail.covers(&before);
        let known = self.log.watermark();
        if lost || !known.is_some_and(|known| known.covers(&tail)) {
            keeper::catch_up(self, tail, lost)
                .await
                .map_err(|_| unreachable())?;
        }
        self.confirmed(began);
        Ok(())
    }

    async fn ask(&self, tags: &[TagId]) -> Result<(), StoreError> {
        let unreachable = || StoreError::from(StoreErrorKind::Unreachable);
        let epoch = self.log.epoch();
        let incarnation = self.log.watermark().ok_or_else(unreachable)?.incarnation();
        for tags in tags.chunks(MAX_QUESTION) {
            let rows = match self.calls.rows(incarnation, tags).await {
                Ok(rows) => rows,
                Err(refused) => {
                    if !matches!(refused, Refused::Failed(_)) {
                        self.wake.notify_one();
                    }
                    return Err(unreachable());
                }
            };
            let remembered = Remembered {
                epoch,
                incarnation: rows.incarnation,
                floor: rows.floor,
                tags: rows.tags,
            };
            if !self.log.learn(&remembered) {
                return Err(unreachable());
            }
        }
        Ok(())
    }

    async fn append(&self, record: Record) -> Option<Position> {
        let mut position = None;
        for part in record.split() {
            position = self.append_one(part).await;
        }
        position
    }

    async fn append_one(&self, record: Record) -> Option<Position> {
        let watermark = self.log.watermark().filter(|_| self.is_healthy());
        let Some(watermark) = watermark else {
            self.owe(record);
            return None;
        };
        // Until the log has acknowledged it the record is owed, whoever drops this.
        let mut owing = Owing {
            link: self,
            record: Some(record.clone()),
        };
        let appended = self
            .calls
            .append(watermark.incarnation(), random(), record)
            .await
            .ok()?;
        if !self.log.appended(&appended, None, self.now()) {
            return None;
        }
        owing.record = None;
        if self
            .log
            .watermark()
            .is_none_or(|known| !known.covers(&appended.at))
        {
            self.wake.notify_one();
        }
        Some(appended.at.position)
    }

    fn owe(&self, record: Record) {
        for part in record.split() {
            self.log.owe(part);
        }
        self.wake.notify_one();
    }
}

struct Owing<'a> {
    link: &'a Link,
    record: Option<Record>,
}

impl Drop for Owing<'_> {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            self.link.owe(record);
        }
    }
}

impl Uplink for RedisLog {
    fn confirm(&self) -> RemoteFuture<'_, ()> {
        Box::pin(self.handle.link.confirm())
    }

    fn ask<'a>(&'a self, tags: &'a [TagId]) -> RemoteFuture<'a, ()> {
        Box::pin(self.handle.link.ask(tags))
    }

    fn append(
        &self,
        record: Record,
    ) -> Pin<Box<dyn Future<Output = Option<Position>> + Send + '_>> {
        Box::pin(self.handle.link.append(record))
    }

    fn owe(&self, record: Record) {
        self.handle.link.owe(record);
    }

    fn is_ready(&self) -> bool {
        let link = &self.handle.link;
        link.is_healthy() && link.redis.state(Side::Read) == BreakerState::Closed
    }

    fn clock_offset(&self) -> i64 {
        self.handle.link.clock_offset.load(Ordering::Relaxed)
    }

    fn status(&self) -> UplinkStatus {
        let link = &self.handle.link;
        UplinkStatus::new(
            link.log.watermark().map(|watermark| watermark.position),
            link.lag(),
            link.log.debts(),
            link.gaps.load(Ordering::Relaxed),
            link.incarnations.load(Ordering::Relaxed),
        )
    }

    fn shutdown(&self, limit: Duration) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async move {
            let link = &self.handle.link;
            let drained = tokio::time::timeout(limit, async {
                while link.log.debts() > 0 || link.log.has_overflowed() {
                    link.wake.notify_one();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            let drained = drained.await.is_ok();
            self.handle.tasks.iter().for_each(JoinHandle::abort);
            drained
        })
    }
}

impl fmt::Debug for RedisLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLog")
            .field("names", &self.handle.link.calls.names)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisLogBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLogBuilder")
            .field("namespace", &self.namespace)
            .field("max_length", &self.max_length)
            .finish_non_exhaustive()
    }
}

/// A fresh random number: the standard library's hash keys are the process's own source of
/// randomness.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

pub(super) fn fresh_incarnation() -> Incarnation {
    Incarnation::from_random(random())
}
