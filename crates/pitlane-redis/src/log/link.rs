use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use pitlane_core::{
    BreakerState, Incarnation, Log, Logged, Position, Record, Remembered, RemoteFuture, StoreError,
    StoreErrorKind, TagId, Timestamp, Uplink, UplinkStatus, Watermark,
};
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::calls::{Calls, Names, Refused};
use super::tails::Tails;
use super::{follower, janitor, keeper};
use crate::{CircuitBrokenRedis, ConfigError, Database, Dedicated, Failure, Side};

/// How many records one reading brings.
pub(super) const BATCH: u32 = 1000;
/// How long anybody waits for the node to catch up.
const CATCHING_UP: Duration = Duration::from_secs(1);
/// An answer that took longer says too little about the server's clock.
const PROMPT: Duration = Duration::from_secs(1);
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
    /// Changes whenever the node may have read further, and with every round of the keeper.
    moved: watch::Sender<()>,
    /// Held while what is owed is appended, or the log is renewed because of it.
    pub(super) paying: Mutex<()>,
    /// Appends that somebody waits for.
    appending: AtomicUsize,
    /// The background work was ended.
    ended: AtomicBool,
    pub(super) gaps: AtomicU64,
    pub(super) incarnations: AtomicU64,
}

pub(super) struct Settings {
    pub(super) heartbeat: Duration,
    pub(super) gap: Duration,
    pub(super) max_degraded: Option<Duration>,
    pub(super) retention: Duration,
    pub(super) max_tags: u64,
    pub(super) only_join: bool,
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

    /// Joins a log that is there, and begins none: a tool would otherwise begin one where no
    /// server looks. Without a log it never joins.
    pub const fn only_join(mut self, only: bool) -> Self {
        self.settings.only_join = only;
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
            tails: Tails::new(),
            started: Instant::now(),
            confirmed: AtomicU64::new(0),
            healthy: AtomicBool::new(false),
            clock_offset: AtomicI64::new(0),
            wake: Notify::new(),
            joined: Notify::new(),
            moved: watch::Sender::new(()),
            paying: Mutex::new(()),
            appending: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
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
            only_join: false,
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

    /// Lets the hash forget now what no entry can be old enough for, which otherwise happens
    /// every ten minutes or so.
    ///
    /// # Errors
    ///
    /// Redis did not answer, or said no.
    #[doc(hidden)]
    pub async fn clean_now(&self) -> Result<(), Failure> {
        janitor::sweep(&self.handle.link).await
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
        let lag = self.lag();
        if self.log.is_degraded() && lag <= self.settings.gap {
            self.log.set_degraded(false);
        }
        // A limit below the gap still has to let the node come back.
        let limit = self.settings.max_degraded;
        if limit.is_some_and(|max| lag <= max.max(self.settings.gap)) {
            self.log.suspend(false);
        }
    }

    /// Tells those who wait for it that the node may have read further.
    pub(super) fn moved(&self) {
        self.moved.send_replace(());
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
        self.look_at_lag();
    }

    /// Notes it when there has been no word from the log for too long.
    pub(super) fn look_at_lag(&self) {
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
        let took = self.now().since(asked);
        if took > PROMPT {
            return;
        }
        let half = took.as_millis() as u64 / 2;
        let middle = now.as_millis().saturating_sub(half);
        let offset = i64::try_from(i128::from(server) - i128::from(middle)).unwrap_or(0);
        self.clock_offset.store(offset, Ordering::Relaxed);
    }

    /// The server's clock, in milliseconds since the epoch.
    pub(super) fn server_time(&self) -> u64 {
        let offset = self.clock_offset.load(Ordering::Relaxed);
        (self.settings.clock)()
            .as_millis()
            .saturating_add_signed(offset)
    }

    /// The tail at some moment after this call began; `None` when it can't be relied on.
    async fn tail(self: &Arc<Self>) -> Option<Watermark> {
        let link = Arc::clone(self);
        let read = || async move {
            let incarnation = link.log.watermark()?.incarnation();
            match link.calls.tail(incarnation).await {
                Ok(Some(tail)) => Some(tail),
                Ok(None) | Err(Refused::Over | Refused::Other(_)) => {
                    link.healthy.store(false, Ordering::Release);
                    link.wake.notify_one();
                    None
                }
                Err(Refused::Failed(_)) => None,
            }
        };
        self.tails.read(read).await
    }

    /// Waits until the node has read up to `tail`, from the life of the log that it follows now.
    async fn reach(&self, tail: Watermark, life: Incarnation) -> bool {
        let mut moved = self.moved.subscribe();
        self.wake.notify_one();
        let reached = async {
            while self.is_healthy() && !self.has_ended() {
                let known = self.log.watermark();
                if known.is_some_and(|known| known.covers(&tail)) {
                    return true;
                }
                // On the way from one life of the log to another that the tail is not of?
                let lives = [life, tail.incarnation()];
                if known.is_none_or(|known| !lives.contains(&known.incarnation()))
                    || moved.changed().await.is_err()
                {
                    return false;
                }
            }
            false
        };
        tokio::time::timeout(CATCHING_UP, reached)
            .await
            .unwrap_or(false)
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    async fn confirm(self: &Arc<Self>) -> Result<(), StoreError> {
        let began = self.now();
        let before = self.log.watermark();
        let unreachable = || StoreError::from(StoreErrorKind::Unreachable);
        let (Some(before), true) = (before, self.is_healthy()) else {
            return Err(unreachable());
        };
        let tail = self.tail().await.ok_or_else(unreachable)?;
        // A tail that lies before what was read already belongs to a log that lost its end.
        if tail.incarnation() == before.incarnation() && !tail.covers(&before) {
            self.wake.notify_one();
            return Err(unreachable());
        }
        let known = self.log.watermark();
        if !known.is_some_and(|known| known.covers(&tail))
            && !self.reach(tail, before.incarnation()).await
        {
            return Err(unreachable());
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
        let known = self.log.watermark().filter(|_| self.is_healthy())?;
        let appended = self.calls.append(known.incarnation(), random(), record);
        let appended = appended.await.ok()?;
        if !self.log.appended(&appended, None, self.now()) {
            return None;
        }
        let known = self.log.watermark();
        if known.is_none_or(|known| !known.covers(&appended.at)) {
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

    async fn owes_anything(&self) -> bool {
        // What is under way may turn out to be owed, so it is looked at first.
        let appending = self.appending.load(Ordering::Acquire) > 0;
        let _turn = self.paying.lock().await;
        appending || self.log.debts() > 0 || self.log.has_overflowed()
    }
}

/// An append that somebody waits for. Until the log has acknowledged it, all of it is owed,
/// whoever drops this, and whenever.
struct Owing<'a> {
    link: &'a Link,
    parts: VecDeque<Record>,
}

impl<'a> Owing<'a> {
    fn new(link: &'a Link, record: Record) -> Self {
        link.appending.fetch_add(1, Ordering::AcqRel);
        let parts = record.split().into();
        Self { link, parts }
    }

    /// The position of the last part; `None` when one is owed.
    async fn append(mut self) -> Option<Position> {
        let mut position = None;
        while let Some(part) = self.parts.front().cloned() {
            position = Some(self.link.append(part).await?);
            self.parts.pop_front();
        }
        position
    }
}

impl Drop for Owing<'_> {
    fn drop(&mut self) {
        for part in self.parts.drain(..) {
            self.link.owe(part);
        }
        self.link.appending.fetch_sub(1, Ordering::AcqRel);
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
        Box::pin(Owing::new(&self.handle.link, record).append())
    }

    fn owe(&self, record: Record) {
        self.handle.link.owe(record);
    }

    fn is_ready(&self) -> bool {
        let link = &self.handle.link;
        link.is_healthy()
            && !link.has_ended()
            && link.redis.state(Side::Read) == BreakerState::Closed
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

    fn recent(&self, limit: u32) -> RemoteFuture<'_, Vec<Logged>> {
        Box::pin(async move { Ok(self.handle.link.calls.recent(limit).await?) })
    }

    fn shutdown(&self, limit: Duration) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async move {
            let link = &self.handle.link;
            let drained = tokio::time::timeout(limit, async {
                while link.owes_anything().await {
                    link.wake.notify_one();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            let drained = drained.await.is_ok();
            self.handle.tasks.iter().for_each(JoinHandle::abort);
            link.ended.store(true, Ordering::Release);
            // From here on nobody hears of what others invalidate.
            link.log.set_degraded(true);
            link.moved();
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
