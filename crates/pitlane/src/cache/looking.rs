//! What people see who look into a cache rather than use it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use pitlane_core::codec::{self, Compression};
use pitlane_core::{
    Basis, Judgement, Log, Meta, Position, Reason, RemoteJudgement, RemoteStore, Stamp, StoreError,
    StoreErrorKind, Tag, TagId, TagSet, Timestamp,
};
use pitlane_policy::Freshness;

use super::entry::{Entry, Payload, Slot};
use super::remote::unless_nothing;
use super::wire::{self, Arrived, Foreign};
use super::{Cache, Kind};

/// What is stored in Redis under one name, and what a hit would make of it.
#[derive(Debug)]
pub(crate) struct Looked {
    /// The key, without what differs between nodes.
    pub(crate) key: Vec<u8>,
    /// Where it stands, as it was stored.
    pub(crate) position: Position,
    /// What it takes in Redis, in bytes.
    pub(crate) length: usize,
    pub(crate) compression: &'static str,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Entry {
        entry: Arc<Entry>,
        /// What the log says against it.
        unusable: Option<Reason>,
        /// Which of its tags were invalidated after it.
        ended_by: Vec<TagId>,
    },
    /// The request headers that select variants.
    Variants(Box<[HeaderName]>),
    /// It is no entry that this node can use, and the text says why.
    Foreign(&'static str),
}

impl Cache {
    pub(crate) fn is_store(&self) -> bool {
        self.settings().kind == Kind::Store
    }

    /// The remote tier and what the cache's keys begin with there.
    pub(crate) fn remote_place(&self) -> Option<(&Arc<dyn RemoteStore>, &str)> {
        let remote = self.inner.remote.as_ref()?;
        Some((&remote.store, &remote.prefix))
    }

    /// What of its memory tier is this cache's own.
    pub(crate) fn residents(&self) -> impl Iterator<Item = Slot> {
        let prefix = self.key_prefix();
        let of_this = move |slot: &Slot| slot.key().starts_with(&prefix);
        self.tier().walk().filter(of_this)
    }

    /// Looks at what is in Redis under `name`, as a hit would, and changes nothing.
    pub(crate) async fn look_at(&self, name: &str) -> Result<Option<Looked>, StoreError> {
        let nowhere = || StoreError::from(StoreErrorKind::Unreachable);
        let remote = self.inner.remote.as_ref().ok_or_else(nowhere)?;
        let uplink = self.shared().uplink.as_deref().ok_or_else(nowhere)?;
        let found = unless_nothing(remote.store.get(name), uplink.confirm()).await?;
        let Some((bytes, confirmed)) = found else {
            return Ok(None);
        };
        confirmed?;
        let Some(peeked) = codec::peek(&bytes) else {
            return Ok(Some(foreign(&bytes, "it is no entry")));
        };
        let key = peeked.key().unwrap_or_default();
        let mut looked = Looked {
            key: key.to_vec(),
            position: peeked.position,
            length: bytes.len(),
            compression: peeked.compression,
            content: Content::Foreign("it is stored under another key's name"),
        };
        if remote.name(key) != name {
            return Ok(Some(looked));
        }
        looked.content = match self.unframe(&bytes, key) {
            Err(Foreign::Corrupt) => Content::Foreign("it is damaged"),
            Err(Foreign::Unreadable) => {
                Content::Foreign("another version wrote it, or it is too large for this node")
            }
            Ok(Arrived::Variants(vary)) => Content::Variants(vary),
            Ok(Arrived::Entry(draft)) => {
                let judged = self.judge_remote(uplink, &draft).await?;
                let log = &self.shared().log;
                let ended_by = ended_by(log, draft.position, draft.tags.ids());
                let at = Basis {
                    position: draft.position,
                    ..Basis::NOWHERE
                };
                let unusable = judged.as_ref().err().copied();
                let stamp = judged.unwrap_or_else(|_| Stamp::new(at));
                // Nobody serves it: which node's number its key begins with is all the same.
                let key = [&self.key_prefix()[..], key].concat();
                Content::Entry {
                    entry: draft.finish(&key, stamp),
                    unusable,
                    ended_by,
                }
            }
        };
        Ok(Some(looked))
    }

    /// How far the clock that entries in Redis are dated by is ahead of this node's.
    pub(crate) fn outside(&self, time: Timestamp) -> Timestamp {
        let offset = self.shared().clock_offset();
        Timestamp::from_millis(time.as_millis().saturating_add_signed(offset))
    }

    /// An entry as one would be stored in Redis now, under `key` and with `tag`, for a check of
    /// the way there and back. Returns its name, too.
    pub(crate) fn sample(&self, key: &[u8], tag: Tag) -> Option<(String, Bytes)> {
        let remote = self.inner.remote.as_ref()?;
        let shared = self.shared();
        let basis = shared.log.basis();
        let entry = Entry {
            key: key.into(),
            meta: Meta {
                stored_at: shared.clock.now(),
                cost: Duration::ZERO,
                tags: TagSet::new(&shared.log, [tag], &[self.tag_id()]),
                stamp: Stamp::new(basis),
            },
            freshness: Freshness::new(Duration::from_secs(10)),
            payload: Payload::Value(Bytes::from_static(b"check")),
        };
        let bytes = wire::encode_entry(&entry, key, shared.clock_offset(), Compression::None);
        Some((remote.name(key), bytes.ok()?))
    }
}

/// Which of `tags` were invalidated after an entry from elsewhere.
fn ended_by(log: &Log, position: Position, tags: &[TagId]) -> Vec<TagId> {
    let ends = |tag: &&TagId| {
        log.judge_remote(position, &[**tag]) == RemoteJudgement::Unusable(Reason::Invalidated)
    };
    tags.iter().filter(ends).copied().collect()
}

/// Which of an entry's tags were invalidated after it, where it lies in memory.
pub(crate) fn ended_in_memory(log: &Log, entry: &Entry) -> Vec<TagId> {
    let at = entry.meta.stamp.basis();
    let ends =
        |tag: &&TagId| log.judge(&at, &[**tag]).0 == Judgement::Unusable(Reason::Invalidated);
    entry.meta.tags.ids().iter().filter(ends).copied().collect()
}

/// For how long the entry whose head begins like this is fresh.
pub(crate) fn freshness_of(head: &[u8]) -> Option<Freshness> {
    wire::peek_freshness(head)
}

fn foreign(bytes: &Bytes, why: &'static str) -> Looked {
    Looked {
        key: Vec::new(),
        position: Position::NOWHERE,
        length: bytes.len(),
        compression: "unknown",
        content: Content::Foreign(why),
    }
}

impl Slot {
    pub(crate) fn key(&self) -> &[u8] {
        match self {
            Self::Entry(entry) => &entry.key,
            Self::Marker(marker) => &marker.key,
        }
    }
}
