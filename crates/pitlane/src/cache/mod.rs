//! Named caches, the registry that holds them, and what can be done with one directly.

mod budget;
mod builder;
mod caches;
mod config;
mod connected;
mod entry;
mod fill;
mod invalidate;
mod led;
#[cfg(feature = "manage")]
mod looking;
mod memory;
mod names;
mod reclaim;
mod records;
#[cfg(feature = "redis")]
mod redis;
mod remote;
mod scope;
mod shadow;
mod shared;
mod usage;
mod wire;

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use pitlane_core::{Digest, TagId, TagKind, codec::Compression};

pub use builder::CachesBuilder;
pub use caches::Caches;
#[cfg(feature = "metrics")]
pub(crate) use caches::WeakCaches;
pub use fill::{Claim, Fill, Tier, Value};
pub use invalidate::{Invalidated, Invalidation, Owed};
#[cfg(feature = "manage")]
pub(crate) use looking::{Content, Looked, ended_in_memory, freshness_of};
pub use records::{Era, Records, Sighting, Wrote};
pub use remote::RemoteLookup;
pub use scope::{Scope, depend_on};

pub(crate) use budget::Budget;
pub(crate) use entry::{Entry, Marker, MarkerKind, Payload, Slot, Usable};
pub(crate) use fill::{Claimed, Found, Wanted, under_user};
#[cfg(feature = "data")]
pub(crate) use fill::{Keep, MAX_ROUNDS, PATIENCE};
pub(crate) use led::Led;
pub(crate) use scope::{Budgeted, Work, poll_in, run_in, within};
pub(crate) use shadow::Said;
pub(crate) use shared::{Flown, Lead, Shared};

use crate::stats::{Count, Stats, Trouble};
use memory::Memory;
use remote::Remote;

/// A named cache: a handle that is cheap to clone.
///
/// State lives here and not in the layers, because frameworks clone layers per route.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

struct Inner {
    name: Box<str>,
    number: u16,
    settings: Settings,
    memory: Arc<Memory>,
    remote: Option<Remote>,
    shared: Arc<Shared>,
    stats: Stats,
    #[cfg(feature = "audit")]
    auditor: Arc<crate::audit::Auditor>,
}

/// Where something is stored: its full key, and the digest that leads there in memory.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) key: Vec<u8>,
    pub(crate) digest: Digest,
}

impl Place {
    pub(crate) fn new(cache: &Cache, key: Vec<u8>) -> Self {
        let digest = cache.digest(&key);
        Self { key, digest }
    }
}

/// What is configured for one cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) ttl: Option<Duration>,
    pub(crate) stale_while_revalidate: Option<Duration>,
    pub(crate) stale_if_error: Option<Duration>,
    /// A limit of its own, in bytes, taken out of the shared one.
    pub(crate) memory: Option<u64>,
    pub(crate) version: u32,
    /// Which Redis database; the URL's unless said.
    pub(crate) database: Option<u8>,
    /// What its keys begin with in Redis, behind the namespace; its name unless said.
    pub(crate) prefix: Option<Box<str>>,
    pub(crate) compression: Compression,
    pub(crate) kind: Kind,
    pub(crate) coherence: Coherence,
}

/// What a cache holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// What can be computed again. It is judged by the invalidation log.
    #[default]
    Cache,
    /// What can't, such as sessions. It is not judged by the log; see [`Records`].
    Store,
}

/// What a hit in memory promises while other nodes invalidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coherence {
    /// It follows other nodes' invalidations within 250 ms while the log is reachable, normally
    /// within about a millisecond.
    #[default]
    Bounded,
    /// It is never older than an invalidation that was acknowledged before the request began: the
    /// log is asked at every hit, which costs a round trip to Redis. Without an answer it is a
    /// miss.
    Strict,
}

impl Cache {
    /// The cache's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// How often requests were answered how, and why, since the start.
    #[must_use]
    pub fn counts(&self) -> Vec<Count> {
        self.inner.stats.counts()
    }

    /// How computations of answers ended since the start: [`Reason::Stored`](crate::Reason), or
    /// why an answer that might have been stored was not.
    #[must_use]
    pub fn fills(&self) -> Vec<(pitlane_core::Reason, u64)> {
        self.inner.stats.fills()
    }

    /// What the memory tier that this cache lives in holds now: entries and their weight in
    /// bytes. Caches without a limit of their own share one tier.
    #[must_use]
    pub fn memory(&self) -> MemoryUse {
        let memory = &self.inner.memory;
        MemoryUse {
            entries: memory.len(),
            bytes: memory.weight(),
            limit: memory.limit(),
        }
    }

    /// How many answers and values are being computed now on behalf of all who ask for them, in
    /// all caches of the registry.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.inner.shared.flights.len()
    }

    /// What the keys of this cache begin with in Redis.
    fn remote_prefix(&self) -> String {
        self.inner
            .remote
            .as_ref()
            .map_or_else(String::new, |remote| remote.prefix.to_string())
    }

    /// Who computes some of its hits once more.
    #[cfg(feature = "audit")]
    pub(crate) fn auditor(&self) -> &Arc<crate::audit::Auditor> {
        &self.inner.auditor
    }

    /// Where its locks are written down that all nodes share, and what their names begin with.
    #[cfg(feature = "locks")]
    pub(crate) fn lock_store(&self) -> Option<(Arc<dyn pitlane_core::RemoteStore>, &str)> {
        let remote = self.inner.remote.as_ref()?;
        // Without the version, which no prefix can hold, and the colon.
        let prefix = remote.prefix.split('@').next()?.trim_end_matches(':');
        Some((Arc::clone(&remote.store), prefix))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(crate) fn tier(&self) -> &Memory {
        &self.inner.memory
    }

    /// Whether both live in one memory tier.
    #[cfg(feature = "stats")]
    pub(crate) fn shares_memory_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner.memory, &other.inner.memory)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.inner.stats
    }

    /// What of its memory tier is this cache's own.
    #[cfg(feature = "metrics")]
    pub(crate) fn usage(&self) -> Option<&usage::Usage> {
        self.tier().usage(self.inner.number)
    }

    /// Notes what went wrong, and cost no request its answer.
    pub(crate) fn note(&self, trouble: Trouble) {
        tracing::debug!(cache = self.name(), reason = trouble.as_str(), "trouble");
        self.stats().count_trouble(trouble);
    }

    /// How looks into the remote tier ended since the start; empty without one.
    #[must_use]
    pub fn remote_lookups(&self) -> Vec<(RemoteLookup, u64)> {
        self.inner
            .remote
            .as_ref()
            .map_or_else(Vec::new, Remote::lookups)
    }

    pub(crate) fn digest(&self, key: &[u8]) -> Digest {
        self.shared().log.hasher().digest_bytes(0, key)
    }

    /// How long what every key begins with is.
    pub(crate) const PREFIX: usize = 6;

    /// What every key of this cache begins with: its number and its version.
    pub(crate) fn key_prefix(&self) -> [u8; Self::PREFIX] {
        let [a, b] = self.inner.number.to_be_bytes();
        let [c, d, e, f] = self.inner.settings.version.to_be_bytes();
        [a, b, c, d, e, f]
    }

    /// The tag that all entries of this cache carry.
    pub(crate) fn tag_id(&self) -> TagId {
        self.inner
            .shared
            .log
            .tag_id(TagKind::Cache, &self.inner.name)
    }
}

/// A walk that takes long doesn't keep a registry alive that nobody uses any more.
fn note_if_left(cache: &Weak<Inner>, trouble: Trouble) {
    if let Some(inner) = cache.upgrade() {
        Cache { inner }.note(trouble);
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("name", &self.inner.name)
            .field("settings", &self.inner.settings)
            .field("memory", &self.inner.memory)
            .finish_non_exhaustive()
    }
}

/// What a memory tier holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUse {
    /// How many entries and markers.
    pub entries: usize,
    /// What they weigh, in bytes.
    pub bytes: u64,
    /// What they may weigh, in bytes.
    pub limit: u64,
}
