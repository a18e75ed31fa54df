//! The tier that all nodes share.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use pitlane_core::codec::{Compression, EncodeError, Limits, decode};
use pitlane_core::{
    Condition, Judgement, Reason, RemoteJudgement, RemoteStore, Stamp, StoreError, StoreErrorKind,
    Uplink,
};
use tokio::time::timeout;
use tracing::Instrument;

use super::budget::Budget;
use super::entry::{Entry, Marker, Payload, Slot};
use super::fill::Keep;
use super::shadow::Said;
use super::wire::{self, Arrived, Draft, Foreign};
use super::{Cache, Place, Settings};
use crate::{stats::Trouble, trace};

/// One cache's part of the remote tier.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(super) store: Arc<dyn RemoteStore>,
    /// What the keys of the cache begin with in Redis.
    pub(super) prefix: Box<str>,
    pub(super) compression: Compression,
    lookups: [AtomicU64; LOOKUPS],
}

/// A command that takes as long as all of the budget is Redis's failure, and its client has to
/// be the one to say so: what is cut off from outside teaches the circuit nothing.
pub(super) const SLACK: Duration = Duration::from_millis(2);

/// Nothing lives longer in Redis: the log remembers invalidations as long.
const MAX_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Something that can be validated is kept for twice its time, but no shorter than this, and no
/// longer beyond its time than that.
const MIN_KEPT: Duration = Duration::from_secs(60);
const MAX_KEPT: Duration = Duration::from_secs(24 * 3600);

const LOOKUPS: usize = RemoteLookup::ALL.len();

/// How a look into the remote tier ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteLookup {
    /// Something usable was there.
    Hit,
    /// Nothing was there.
    Miss,
    /// Something was there that could not be used: invalidated, or of another life of the log.
    Unusable,
    /// What was there was no entry; it was deleted.
    Corrupt,
    /// Redis did not answer within the budget, or said no.
    Failed,
    /// Nobody looked: Redis is out of reach, or the request's budget was spent.
    Skipped,
}

impl RemoteLookup {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Hit,
        Self::Miss,
        Self::Unusable,
        Self::Corrupt,
        Self::Failed,
        Self::Skipped,
    ];

    /// The metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Unusable => "unusable",
            Self::Corrupt => "corrupt",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl Remote {
    #[cfg_attr(
        not(feature = "redis"),
        expect(dead_code, reason = "nothing is remote then")
    )]
    pub(super) fn new(
        store: Arc<dyn RemoteStore>,
        namespace: &str,
        name: &str,
        settings: &Settings,
    ) -> Self {
        let prefix = settings.prefix.as_deref().unwrap_or(name);
        let version = match settings.version {
            0 => String::new(),
            version => format!("@{version}"),
        };
        Self {
            store,
            prefix: format!("{namespace}:{prefix}{version}:").into(),
            compression: settings.compression,
            lookups: [const { AtomicU64::new(0) }; LOOKUPS],
        }
    }

    /// The key in Redis of something whose full key is `key`.
    pub(super) fn name(&self, key: &[u8]) -> String {
        let hash = blake3::hash(key).to_hex();
        let mut name = String::with_capacity(self.prefix.len() + 32);
        name.push_str(&self.prefix);
        name.push_str(hash.get(..32).unwrap_or_default());
        name
    }

    /// The same place, with counters of its own.
    #[cfg(feature = "explain")]
    pub(super) fn shadow(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            prefix: self.prefix.clone(),
            compression: self.compression,
            lookups: [const { AtomicU64::new(0) }; LOOKUPS],
        }
    }

    fn count(&self, lookup: RemoteLookup) {
        if let Some(count) = self.lookups.get(lookup as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn lookups(&self) -> Vec<(RemoteLookup, u64)> {
        let counts = self
            .lookups
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        RemoteLookup::ALL.into_iter().zip(counts).collect()
    }

    /// How long something lives in Redis that can be used for `retention`: up to a tenth less, so
    /// that what was stored together does not expire together. `None` when it isn't worth it.
    fn life(&self, retention: Duration, place: &Place) -> Option<Duration> {
        let life = retention.min(MAX_LIFE);
        #[expect(clippy::cast_possible_truncation, reason = "some bits of a digest")]
        let jitter = u32::from(place.digest.0 as u16);
        let less = life / 10 * (jitter % 1024) / 1024;
        let life = life.saturating_sub(less);
        (life >= Duration::from_millis(1)).then_some(life)
    }
}

impl Cache {
    /// Looks into the remote tier for `place`, and keeps what is there in memory.
    ///
    /// What comes back was judged by the log: it is not older than any invalidation that was
    /// acknowledged before this call began. Its lifetime was not looked at.
    pub(crate) async fn pull(&self, place: &Place, budget: Option<&Budget>) -> Option<Slot> {
        let remote = self.inner.remote.as_ref()?;
        let uplink = self.shared().uplink.as_deref()?;
        let budget = budget?;
        let left = budget.left().filter(|_| uplink.is_ready());
        let Some(left) = left else {
            remote.count(RemoteLookup::Skipped);
            return None;
        };
        let spent = budget.start();
        let span = trace::redis(Some(self.name()), "get");
        let look = self.look(remote, uplink, place).instrument(span.clone());
        let looked = timeout(left + SLACK, look).await;
        let found = match looked {
            Ok(Ok(found)) => {
                spent.stop();
                found
            }
            // Whatever else the request wants from Redis, it has had its share of trouble.
            Ok(Err(_)) | Err(_) => {
                spent.exhaust();
                self.note(Trouble::ReadFailed);
                Err(RemoteLookup::Failed)
            }
        };
        let outcome = found.as_ref().err().copied().unwrap_or(RemoteLookup::Hit);
        remote.count(outcome);
        span.record("outcome", outcome.as_str());
        let slot = found.ok()?;
        self.tier().insert(place.digest, slot.clone());
        Some(slot)
    }

    async fn look(
        &self,
        remote: &Remote,
        uplink: &dyn Uplink,
        place: &Place,
    ) -> Result<Result<Slot, RemoteLookup>, StoreError> {
        let key = shared_part(&place.key);
        let name = remote.name(key);
        let found = unless_nothing(remote.store.get(&name), uplink.confirm()).await?;
        let Some((bytes, confirmed)) = found else {
            return Ok(Err(RemoteLookup::Miss));
        };
        let arrived = match self.unframe(&bytes, key) {
            Ok(arrived) => arrived,
            Err(Foreign::Unreadable) => return Ok(Err(RemoteLookup::Unusable)),
            Err(Foreign::Corrupt) if self.is_shadow() => return Ok(Err(RemoteLookup::Corrupt)),
            Err(Foreign::Corrupt) => {
                tracing::warn!(
                    cache = self.name(),
                    "what Redis holds is no entry; deleting it"
                );
                self.note(Trouble::Corrupt);
                // Waited for, so that it can't take away what replaces it.
                if remote.store.delete(&name).await.is_err() {
                    self.note(Trouble::DeleteFailed);
                }
                return Ok(Err(RemoteLookup::Corrupt));
            }
        };
        // A marker leads to what is in memory, which has to be confirmed as well.
        confirmed?;
        match arrived {
            Arrived::Variants(vary) => Ok(Ok(Slot::Marker(Arc::new(Marker::variants(
                &place.key, vary,
            ))))),
            Arrived::Entry(draft) => {
                let stamp = self.judge_remote(uplink, &draft).await?;
                Ok(stamp
                    .map(|stamp| Slot::Entry(draft.finish(&place.key, stamp)))
                    .map_err(|reason| {
                        self.tell(Said::Unusable(reason));
                        RemoteLookup::Unusable
                    }))
            }
        }
    }

    pub(super) fn unframe(&self, bytes: &Bytes, key: &[u8]) -> Result<Arrived, Foreign> {
        let limits = Limits::default().max_body(self.tier().max_body());
        let decoded = decode(bytes, &limits).map_err(|error| {
            // Another build, or another limit, may read what this one can't.
            if error.kind().is_corrupt() {
                Foreign::Corrupt
            } else {
                Foreign::Unreadable
            }
        })?;
        // A hash led here; the full key decides.
        if decoded.key != key {
            return Err(Foreign::Unreadable);
        }
        let offset = self.shared().clock_offset();
        let keep = self.tier().holds_entries();
        wire::read(decoded, offset, self.shared().clock.now(), keep)
    }

    /// Judges what came from another node, and asks the log for tags that this node can't know.
    pub(super) async fn judge_remote(
        &self,
        uplink: &dyn Uplink,
        draft: &Draft,
    ) -> Result<Result<Stamp, Reason>, StoreError> {
        let log = &self.shared().log;
        let mut judgement = log.judge_remote(draft.position, draft.tags.ids());
        if judgement == RemoteJudgement::Ask {
            uplink.ask(draft.tags.ids()).await?;
            judgement = log.judge_remote(draft.position, draft.tags.ids());
        }
        Ok(match judgement {
            RemoteJudgement::Fresh(basis) | RemoteJudgement::Stale(basis) => Ok(Stamp::new(basis)),
            RemoteJudgement::Unusable(reason) => Err(reason),
            RemoteJudgement::Ask => Err(Reason::Horizon),
        })
    }

    /// Gives an entry to the other nodes, in the background. An answer never waits for it.
    pub(crate) fn push(&self, place: &Place, entry: &Arc<Entry>) {
        self.push_keeping(place, entry, None);
    }

    /// Like [`push`](Self::push); drops `kept` when the entry is there, or won't be.
    pub(super) fn push_keeping(&self, place: &Place, entry: &Arc<Entry>, kept: Keep) {
        if self.inner.remote.is_none() || entry.meta.judge(&self.shared().log) != Judgement::Fresh {
            return;
        }
        if !self.is_readable(entry) {
            self.note(Trouble::WriteTooLarge);
            return;
        }
        let offset = self.shared().clock_offset();
        let subject = Arc::clone(entry);
        let encode =
            move |key: &[u8], compression| wire::encode_entry(&subject, key, offset, compression);
        self.push_with(place, entry, encode, kept);
    }

    /// Whether what is written could be read again: both are bounded.
    fn is_readable(&self, entry: &Entry) -> bool {
        let (body, fields) = match &entry.payload {
            Payload::Response(response) => (response.body().len(), response.headers().len()),
            Payload::Value(value) => (value.len(), 0),
        };
        body as u64 <= self.tier().max_body() && fields <= wire::MAX_FIELDS
    }

    /// Tells the other nodes on what a URI's answers vary, for as long as `entry` lives.
    pub(crate) fn push_variants(&self, place: &Place, marker: &Arc<Marker>, entry: &Entry) {
        let position = entry.meta.stamp.position();
        let now = self.shared().clock.now();
        let subject = Arc::clone(marker);
        let encode = move |key: &[u8], _| wire::encode_variants(&subject, key, position, now);
        self.push_with(place, entry, encode, None);
    }

    /// Takes an entry out of the remote tier, in the background.
    pub(crate) fn withdraw(&self, place: &Place) {
        let Some(remote) = &self.inner.remote else {
            return;
        };
        let (store, cache) = (Arc::clone(&remote.store), self.clone());
        let name = remote.name(shared_part(&place.key));
        let spawned = self.shared().spawn(async move {
            if store.delete(&name).await.is_err() {
                cache.note(Trouble::DeleteFailed);
            }
        });
        if !spawned {
            self.note(Trouble::BackgroundFull);
        }
    }

    /// Stores what `encode` makes under the name of `place` for as long as `entry` is of use.
    fn push_with(
        &self,
        place: &Place,
        entry: &Entry,
        encode: impl FnOnce(&[u8], Compression) -> Result<Bytes, EncodeError> + Send + 'static,
        kept: Keep,
    ) {
        let Some(remote) = &self.inner.remote else {
            return;
        };
        // It isn't worth the work while Redis is away.
        if !self
            .shared()
            .uplink
            .as_deref()
            .is_some_and(Uplink::is_ready)
        {
            self.note(Trouble::WriteSkipped);
            return;
        }
        // What was computed while the node was on its own is for its own memory.
        if !self.shared().log.is_shared(entry.meta.stamp.position()) {
            return;
        }
        let Some(life) = remote.life(keep(entry), place) else {
            return;
        };
        let (store, compression) = (Arc::clone(&remote.store), remote.compression);
        let key = shared_part(&place.key).to_vec();
        let name = remote.name(&key);
        let cache = self.clone();
        let span = trace::redis_behind(self.name(), "set");
        let outcome = span.clone();
        let write = async move {
            let Ok(bytes) = encode(&key, compression) else {
                cache.note(Trouble::WriteTooLarge);
                return;
            };
            let set = store.set(&name, bytes, life, Condition::Always).await;
            outcome.record("outcome", if set.is_ok() { "ok" } else { "failed" });
            if let Err(error) = set {
                cache.note(if error.kind() == StoreErrorKind::Busy {
                    Trouble::WriteOverload
                } else {
                    Trouble::WriteFailed
                });
            }
            drop(kept);
        };
        if !self.shared().spawn(write.instrument(span)) {
            self.note(Trouble::BackgroundFull);
        }
    }
}

/// For how long an entry is of use: what can be validated is so for longer than it can be served.
fn keep(entry: &Entry) -> Duration {
    let retention = entry.freshness.retention();
    match &entry.payload {
        Payload::Response(response) if response.has_validator() => retention
            .saturating_mul(2)
            .clamp(MIN_KEPT, retention.saturating_add(MAX_KEPT)),
        _ => retention,
    }
}

/// A key without what differs between nodes: the number of the cache. Cache and version are part
/// of the name in Redis.
fn shared_part(key: &[u8]) -> &[u8] {
    key.get(Cache::PREFIX..).unwrap_or_default()
}

/// Waits for both at once; no longer than for the first where that finds nothing.
pub(super) async fn unless_nothing<T, E, B: Future>(
    first: impl Future<Output = Result<Option<T>, E>>,
    second: B,
) -> Result<Option<(T, B::Output)>, E> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut found, mut done) = (None, None);
    poll_fn(move |cx| {
        if found.is_none()
            && let Poll::Ready(answer) = first.as_mut().poll(cx)
        {
            match answer {
                Ok(Some(there)) => found = Some(there),
                Ok(None) => return Poll::Ready(Ok(None)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if done.is_none()
            && let Poll::Ready(output) = second.as_mut().poll(cx)
        {
            done = Some(output);
        }
        if found.is_some() && done.is_some() {
            return Poll::Ready(Ok(found.take().zip(done.take())));
        }
        Poll::Pending
    })
    .await
}
