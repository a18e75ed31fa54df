//! One node: a log, its link, and the entries that it gives to others.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pitlane_core::{
    Basis, Incarnation, Judgement, Log, Position, Record, RemoteJudgement, Tag, TagId, Uplink,
};
use pitlane_redis::{CircuitBrokenRedis, RedisLog};
use pitlane_testkit::RedisServer;

pub(crate) const NAMESPACE: &str = "site";

/// Longer than anything here may take.
const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) struct Node {
    pub(crate) log: Arc<Log>,
    pub(crate) link: RedisLog,
    pub(crate) redis: CircuitBrokenRedis,
}

impl Node {
    /// A node that has joined.
    pub(crate) async fn joined(server: &RedisServer) -> Self {
        let node = Self::start(&server.url(), |builder| builder);
        node.until(|node| node.link.is_ready()).await;
        node
    }

    pub(crate) fn start(
        url: &str,
        configure: impl FnOnce(pitlane_redis::RedisLogBuilder) -> pitlane_redis::RedisLogBuilder,
    ) -> Self {
        let redis = CircuitBrokenRedis::builder(url)
            .unwrap()
            .budget(Duration::from_millis(200))
            .databases([0])
            .build()
            .unwrap();
        let alone = Incarnation::from_random(rand());
        let log = Arc::new(Log::following(NAMESPACE, alone, 1000));
        let builder = RedisLog::builder(&redis, 0, NAMESPACE, || SystemTime::now().into()).unwrap();
        let link = configure(builder).start(Arc::clone(&log));
        Self { log, link, redis }
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

    /// Where a computation stands that begins now.
    pub(crate) fn basis(&self) -> Basis {
        self.log.basis()
    }

    /// Whether this node's memory would serve something computed from `basis`.
    pub(crate) fn serves(&self, basis: &Basis, name: &str) -> bool {
        self.log.judge(basis, &[self.id(name)]).0 == Judgement::Fresh
    }

    /// Whether this node would serve something that another one stored from `position`.
    pub(crate) async fn serves_remote(&self, position: Position, name: &str) -> bool {
        let ids = [self.id(name)];
        if self.link.confirm().await.is_err() {
            return false;
        }
        let mut judgement = self.log.judge_remote(position, &ids);
        if judgement == RemoteJudgement::Ask {
            if self.link.ask(&ids).await.is_err() {
                return false;
            }
            judgement = self.log.judge_remote(position, &ids);
        }
        matches!(judgement, RemoteJudgement::Fresh(_))
    }
}

fn rand() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}
