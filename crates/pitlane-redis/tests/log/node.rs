//! One node: a log, its link, and the entries that it gives to others.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pitlane_core::{
    Basis, Incarnation, Judgement, Log, Position, Record, RemoteJudgement, Tag, TagId, Timestamp,
    Uplink, Watermark,
};
use pitlane_redis::{CircuitBrokenRedis, RedisLog, RedisLogBuilder};
use pitlane_testkit::RedisServer;

pub(crate) const NAMESPACE: &str = "site";

/// Longer than anything here may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// Long enough for a busy machine.
const BUDGET: Duration = Duration::from_secs(2);

pub(crate) struct Node {
    pub(crate) log: Arc<Log>,
    pub(crate) link: RedisLog,
}

/// What became of something that another node had stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remote {
    Fresh,
    Stale,
    Unusable,
    /// The log could not be asked.
    Failed,
}

impl Node {
    /// A node that has joined.
    pub(crate) async fn joined(server: &RedisServer) -> Self {
        Self::joined_at(&server.url()).await
    }

    pub(crate) async fn joined_at(url: &str) -> Self {
        let node = Self::start(url, |builder| builder);
        node.until(|node| node.link.is_ready()).await;
        node
    }

    pub(crate) fn start(
        url: &str,
        configure: impl FnOnce(RedisLogBuilder) -> RedisLogBuilder,
    ) -> Self {
        Self::start_with(url, BUDGET, || SystemTime::now().into(), configure)
    }

    pub(crate) fn start_with(
        url: &str,
        budget: Duration,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
        configure: impl FnOnce(RedisLogBuilder) -> RedisLogBuilder,
    ) -> Self {
        Self::start_of(url, budget, 1000, clock, configure)
    }

    /// A node that remembers so many tags by itself.
    pub(crate) fn start_of(
        url: &str,
        budget: Duration,
        tags: usize,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
        configure: impl FnOnce(RedisLogBuilder) -> RedisLogBuilder,
    ) -> Self {
        let redis = CircuitBrokenRedis::builder(url)
            .unwrap()
            .budget(budget)
            .databases([0])
            .build()
            .unwrap();
        let alone = Incarnation::from_random(rand());
        let log = Arc::new(Log::following(NAMESPACE, alone, tags));
        let builder = RedisLog::builder(&redis, 0, NAMESPACE, clock).unwrap();
        let link = configure(builder).start(Arc::clone(&log));
        Self { log, link }
    }

    #[track_caller]
    pub(crate) fn until(&self, met: impl Fn(&Self) -> bool) -> impl Future<Output = ()> {
        let at = std::panic::Location::caller();
        async move {
            let wait = async {
                while !met(self) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            let waited = tokio::time::timeout(DEADLINE, wait).await;
            assert!(waited.is_ok(), "nothing happened in 10 s; waited at {at}");
        }
    }

    /// Waits until the node follows a life of the log other than `known`, and is in touch.
    #[track_caller]
    pub(crate) fn until_other_life(&self, known: Incarnation) -> impl Future<Output = ()> {
        self.until(move |node| node.link.is_ready() && node.life() != known)
    }

    /// Waits until it owes nothing and is in touch.
    #[track_caller]
    pub(crate) fn until_paid(&self) -> impl Future<Output = ()> {
        self.until(|node| {
            node.link.is_ready() && node.log.debts() == 0 && !node.log.has_overflowed()
        })
    }

    pub(crate) fn watermark(&self) -> Watermark {
        self.log.watermark().expect("a node that has joined")
    }

    pub(crate) fn life(&self) -> Incarnation {
        self.watermark().incarnation()
    }

    pub(crate) fn id(&self, name: &str) -> TagId {
        Tag::new(name).id(self.log.tags())
    }

    pub(crate) fn record(&self, name: &str) -> Record {
        Record::of(self.log.tags(), &[Tag::new(name)], false)
    }

    /// Invalidates; the position, or nothing when it is owed.
    pub(crate) async fn invalidate(&self, name: &str) -> Option<Position> {
        self.link.append(self.record(name)).await
    }

    /// Invalidates while Redis is there.
    #[track_caller]
    pub(crate) fn applied(&self, name: &str) -> impl Future<Output = Position> {
        let at = std::panic::Location::caller();
        async move {
            let position = self.invalidate(name).await;
            position.unwrap_or_else(|| panic!("Redis is there, at {at}"))
        }
    }

    pub(crate) async fn softly(&self, name: &str) -> Position {
        let record = Record::of(self.log.tags(), &[Tag::new(name)], true);
        self.link.append(record).await.expect("Redis is there")
    }

    /// Where a computation stands that begins now.
    pub(crate) fn basis(&self) -> Basis {
        self.log.basis()
    }

    /// Whether this node's memory would serve something computed from `basis`.
    pub(crate) fn serves(&self, basis: &Basis, name: &str) -> bool {
        self.log.judge(basis, &[self.id(name)]).0 == Judgement::Fresh
    }

    /// What this node makes of something that another one stored at `position`.
    pub(crate) async fn remote(&self, position: Position, name: &str) -> Remote {
        let ids = [self.id(name)];
        if self.link.confirm().await.is_err() {
            return Remote::Failed;
        }
        let mut judgement = self.log.judge_remote(position, &ids);
        if judgement == RemoteJudgement::Ask {
            if self.link.ask(&ids).await.is_err() {
                return Remote::Failed;
            }
            judgement = self.log.judge_remote(position, &ids);
        }
        match judgement {
            RemoteJudgement::Fresh(_) => Remote::Fresh,
            RemoteJudgement::Stale(_) => Remote::Stale,
            RemoteJudgement::Unusable(_) | RemoteJudgement::Ask => Remote::Unusable,
        }
    }

    /// The same, as soon as the log can be asked.
    #[track_caller]
    pub(crate) fn answer(&self, position: Position, name: &str) -> impl Future<Output = Remote> {
        let at = std::panic::Location::caller();
        async move {
            let answered = async {
                loop {
                    let remote = self.remote(position, name).await;
                    if remote != Remote::Failed {
                        return remote;
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            let answered = tokio::time::timeout(DEADLINE, answered).await;
            answered.unwrap_or_else(|_| panic!("no answer in 10 s; asked at {at}"))
        }
    }
}

fn rand() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}
