use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pitlane::{Cache, Error, Kind};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tower_sessions_core::session::{Id, Record};
use tower_sessions_core::{SessionStore, session_store};

use crate::node::Node;
use crate::place::Place;
use crate::sync;

/// How many bytes of sessions a node keeps in memory unless something else is said.
const MEMORY: u64 = 32 << 20;
/// How long a session lives at most where the cache doesn't say.
const LONGEST: Duration = Duration::from_secs(14 * 24 * 3600);
/// How often [`PitlaneStore::drain`] tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Sessions in a [`Cache`] of the kind `store`. Cheap to clone.
///
/// See the [crate](crate) for what it promises.
///
/// # Example
///
/// ```
/// use pitlane::Caches;
/// use pitlane_sessions::PitlaneStore;
///
/// # fn main() -> Result<(), pitlane::Error> {
/// let text = "[caches.sessions]\nkind = \"store\"\ndatabase = 1\nttl = \"14d\"";
/// let caches = Caches::builder().config(text, "pitlane.toml")?.build()?;
/// let store = PitlaneStore::new(&caches.get("sessions")?)?;
/// // tower_sessions::SessionManagerLayer::new(store)
/// # let _ = store;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PitlaneStore {
    node: Arc<Node>,
    is_running: Arc<AtomicBool>,
}

/// How a [`PitlaneStore`] is doing on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStatus {
    /// Whether Redis is away, or was and is not yet up to date.
    pub is_away: bool,
    /// Sessions in this node's memory.
    pub sessions: usize,
    /// Those of them that Redis lacks, or has in an older version.
    pub unsaved: usize,
    /// Deletions that Redis has to be told.
    pub owed_deletions: usize,
    /// What sessions and deletions take, in bytes.
    pub bytes: u64,
    /// How often what Redis had of a session was damaged.
    pub damaged: u64,
    /// Saves in this node's memory that lost: to a newer save, a deletion or a clear.
    pub outrun: u64,
}

impl PitlaneStore {
    /// Sessions in `cache`: in its Redis or, where it has none, in the memory of this node.
    ///
    /// Without a Redis nothing makes room but expiry: when the memory is full of sessions, new ones
    /// are an error. That is for tests and for single nodes whose visitors can't have sessions made at
    /// will.
    ///
    /// No session lives longer after its last save than the cache's `ttl`, or 14 days where it has
    /// none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](pitlane::ErrorKind) when the cache is not of the kind `store`.
    pub fn new(cache: &Cache) -> Result<Self, Error> {
        let place: Option<Box<dyn Place>> = if cache.kind() == Kind::Store && !cache.is_shared() {
            None
        } else {
            Some(Box::new(cache.records()?))
        };
        let longest = cache.ttl().unwrap_or(LONGEST);
        let node = Node::new(place, cache.clock(), longest, MEMORY);
        let store = Self {
            node: Arc::new(node),
            is_running: Arc::default(),
        };
        store.start();
        Ok(store)
    }

    /// How many bytes of sessions this node keeps in memory; 32 MiB by default. It bounds what can
    /// be served, saved and deleted while Redis is away.
    #[must_use]
    pub fn memory(self, bytes: u64) -> Self {
        self.node.state().shelf.set_limit(bytes);
        self
    }

    /// How the store is doing on this node.
    #[must_use]
    pub fn status(&self) -> StoreStatus {
        let state = self.node.state();
        let load = state.shelf.load();
        let counts = &self.node.counts;
        StoreStatus {
            is_away: self.node.place.is_some() && state.link.is_away,
            sessions: load.sessions,
            unsaved: load.unsaved,
            owed_deletions: load.owed,
            bytes: load.bytes,
            damaged: counts.damaged.load(Ordering::Relaxed),
            outrun: counts.outrun.load(Ordering::Relaxed),
        }
    }

    /// Writes back what Redis lacks, for at most `limit`: for the end of a process, whose memory
    /// ends with it. Says whether all is there.
    pub async fn drain(&self, limit: Duration) -> bool {
        let drained = async {
            while self.node.has_work() {
                self.node.round().await;
                sleep(PAUSE).await;
            }
        };
        timeout(limit, drained).await.is_ok()
    }

    /// Starts the node's task, unless it runs already: with the store, or where there was no
    /// runtime yet, with the first request.
    fn start(&self) {
        if !self.is_running.load(Ordering::Relaxed)
            && let Ok(runtime) = Handle::try_current()
            && !self.is_running.swap(true, Ordering::Relaxed)
        {
            runtime.spawn(sync::run(Arc::downgrade(&self.node)));
        }
    }

    fn node(&self) -> &Node {
        self.start();
        &self.node
    }
}

#[async_trait]
impl SessionStore for PitlaneStore {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        Ok(self.node().create(record).await?)
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        Ok(self.node().save(record).await?)
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        Ok(self.node().load(*id).await?)
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        Ok(self.node().delete(*id).await?)
    }
}

impl fmt::Debug for PitlaneStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // tower-sessions formats it, and sessions are secrets.
        f.debug_tuple("PitlaneStore").field(&self.status()).finish()
    }
}
