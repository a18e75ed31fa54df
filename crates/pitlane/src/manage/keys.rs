//! Pages of what a cache holds.

use pitlane_core::codec::{self, Peeked};
use pitlane_core::{RemoteStore, StoreError, Timestamp};
use serde::{Deserialize, Serialize};

use super::failed;
use super::name::{KeyKind, Name};
use super::resident::in_memory;
use crate::cache::{Cache, Caches, Kind, Tier, freshness_of};
use crate::error::{Error, ErrorKind};

/// What a page is cut from at most: it is a look, not a walk over everything.
const MAX_STEPS: usize = 40;
const MAX_LIMIT: usize = 1000;
/// As much of an entry as is asked for first. Nearly every key and its tags are shorter.
const FIRST_LOOK: u32 = 1024;
/// The key, tags and names of an entry are not looked at beyond this, in bytes.
const LONGEST_LOOK: u32 = 64 << 10;
/// How many entries are looked at in one question.
const AT_ONCE: usize = 64;

/// Which keys of a cache are wanted.
///
/// # Example
///
/// ```
/// use pitlane::manage::KeyQuery;
///
/// let query = KeyQuery::new().prefix("/clubs").limit(20);
/// # let _ = query;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct KeyQuery {
    pub(super) prefix: String,
    pub(super) limit: usize,
    pub(super) cursor: Option<String>,
    pub(super) tier: Option<Tier>,
}

impl KeyQuery {
    /// The first 100 keys.
    pub const fn new() -> Self {
        Self {
            prefix: String::new(),
            limit: 100,
            cursor: None,
            tier: None,
        }
    }

    /// Only those that begin like this: `club:42`, `/clubs`, `//site.org/clubs` or
    /// `https://site.org/clubs`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How many keys a page holds at most; 1000 is the most there is.
    pub fn limit(mut self, keys: usize) -> Self {
        self.limit = keys.clamp(1, MAX_LIMIT);
        self
    }

    /// Where the last page ended.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// Which tier is looked into: Redis where there is one, unless said.
    pub const fn tier(mut self, tier: Tier) -> Self {
        self.tier = Some(tier);
        self
    }
}

impl Default for KeyQuery {
    fn default() -> Self {
        Self::new()
    }
}

/// A page of keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyPage {
    /// The cache.
    pub cache: String,
    /// Where was looked: `memory` or `redis`.
    pub tier: String,
    /// What was found. A key that is stored while somebody pages may come twice.
    pub keys: Vec<KeyView>,
    /// Where the next page begins; nothing after the last one. A page may be short, or empty, and
    /// still not be the last.
    pub cursor: Option<String>,
    /// How many keys were looked at for the page.
    pub looked_at: u64,
}

/// A key of a cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyView {
    /// What people call it, such as `GET //site.org/clubs [accept-language: de]` or
    /// `club:42:members`; printable, at most about 520 characters.
    pub name: String,
    /// What it leads to.
    pub kind: KeyKind,
    /// Where it is: `memory` or `redis`.
    pub tier: String,
    /// What it is called in Redis; nothing in memory, and nothing in a store, where names follow
    /// from secrets.
    pub redis_key: Option<String>,
    /// What it takes there, in bytes.
    pub bytes: Option<u64>,
    /// When it was computed, in milliseconds since the Unix epoch.
    pub stored_ms: Option<u64>,
    /// When its lifetime ends, in milliseconds since the Unix epoch.
    pub expires_ms: Option<u64>,
    /// Where it stands in the invalidation log.
    pub position: Option<String>,
}

impl Caches {
    /// What a cache holds in Redis, or in this node's memory: one page of it.
    ///
    /// Redis is walked with SCAN, and only this cache's keys are looked at. A prefix is looked for
    /// among the names, so a page with one may be short.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownCache`], [`ErrorKind::Cursor`], or [`ErrorKind::Redis`] when Redis
    /// doesn't answer, or isn't there at all.
    pub async fn keys(&self, cache: &str, query: &KeyQuery) -> Result<KeyPage, Error> {
        let cache = self.get(cache)?;
        let remote = cache.remote_place();
        let tier = query.tier.unwrap_or(match remote {
            Some(_) => Tier::Remote,
            None => Tier::Memory,
        });
        match (tier, remote) {
            (Tier::Memory, _) => in_memory(&cache, query),
            (Tier::Remote, Some((store, prefix))) => {
                in_redis(&cache, &**store, prefix, query).await
            }
            (Tier::Remote, None) => Err(Error::new(ErrorKind::Redis, "the caches have no Redis")),
        }
    }

    /// How many keys a cache has in Redis, or in memory where there is none. It walks over all of
    /// them, so it takes about a millisecond for a thousand.
    ///
    /// # Errors
    ///
    /// As [`Caches::keys`].
    pub async fn key_count(&self, cache: &str) -> Result<u64, Error> {
        let cache = self.get(cache)?;
        let Some((store, prefix)) = cache.remote_place() else {
            return Ok(cache.residents().count() as u64);
        };
        let (mut cursor, mut count) = (0, 0);
        loop {
            let (next, mut names) = store.scan(prefix, cursor).await.map_err(failed)?;
            names.sort_unstable();
            names.dedup();
            names.retain(|name| is_key(&cache, prefix, name));
            count += names.len() as u64;
            if next == 0 {
                return Ok(count);
            }
            cursor = next;
        }
    }
}

impl Caches {
    /// What kind of cache Redis says this is, whatever is configured: [`Kind::Store`] where a store
    /// keeps count of its clears, and nothing where nobody can tell.
    ///
    /// # Errors
    ///
    /// As [`Caches::keys`].
    pub async fn kind_in_redis(&self, cache: &str) -> Result<Option<Kind>, Error> {
        let cache = self.get(cache)?;
        let Some((store, prefix)) = cache.remote_place() else {
            return Ok(None);
        };
        let found = store.get(&format!("{prefix}generation")).await;
        Ok(found.map_err(failed)?.map(|_| Kind::Store))
    }
}

/// A store has one key of its own, which says when it was cleared.
pub(super) fn is_key(cache: &Cache, prefix: &str, name: &str) -> bool {
    !(cache.is_store() && name.strip_prefix(prefix) == Some("generation"))
}

/// Where a page ended: within a step of the walk, whose keys are taken in their order.
struct Cursor {
    step: u64,
    after: String,
}

impl Cursor {
    fn read(text: Option<&str>, prefix: &str) -> Result<Self, Error> {
        let Some(text) = text else {
            return Ok(Self {
                step: 0,
                after: String::new(),
            });
        };
        let parse = || {
            let (step, after) = text.strip_prefix("r.")?.split_once('.')?;
            let step = step.parse().ok()?;
            (after.is_empty() || after.starts_with(prefix)).then(|| Self {
                step,
                after: after.to_owned(),
            })
        };
        parse().ok_or_else(no_cursor)
    }

    fn write(step: u64, after: &str) -> String {
        format!("r.{step}.{after}")
    }
}

pub(super) fn no_cursor() -> Error {
    Error::new(ErrorKind::Cursor, "this is no cursor of these keys")
}

async fn in_redis(
    cache: &Cache,
    store: &dyn RemoteStore,
    prefix: &str,
    query: &KeyQuery,
) -> Result<KeyPage, Error> {
    let mut at = Cursor::read(query.cursor.as_deref(), prefix)?;
    let mut page = KeyPage {
        cache: cache.name().to_owned(),
        tier: "redis".to_owned(),
        keys: Vec::new(),
        cursor: None,
        looked_at: 0,
    };
    for _ in 0..MAX_STEPS {
        let (next, mut names) = store.scan(prefix, at.step).await.map_err(failed)?;
        names.sort_unstable();
        names.dedup();
        names.retain(|name| *name > at.after && is_key(cache, prefix, name));
        for some in names.chunks(AT_ONCE) {
            for (name, view) in views(cache, store, prefix, some).await.map_err(failed)? {
                page.looked_at += 1;
                let Some(view) = view.filter(|(full, _)| full.begins_with(&query.prefix)) else {
                    continue;
                };
                page.keys.push(view.1);
                if page.keys.len() == query.limit {
                    page.cursor = Some(Cursor::write(at.step, &name));
                    return Ok(page);
                }
            }
        }
        if next == 0 {
            return Ok(page);
        }
        at = Cursor {
            step: next,
            after: String::new(),
        };
    }
    page.cursor = Some(Cursor::write(at.step, ""));
    Ok(page)
}

type Viewed = (String, Option<(Name, KeyView)>);

/// Looks at some keys; nothing is said of those that have gone.
async fn views(
    cache: &Cache,
    store: &dyn RemoteStore,
    prefix: &str,
    names: &[String],
) -> Result<Vec<Viewed>, StoreError> {
    if cache.is_store() {
        let record = |name: &String| (name.clone(), Some(record(prefix, name)));
        return Ok(names.iter().map(record).collect());
    }
    let heads = heads(store, names).await?;
    let heads = names.iter().zip(heads).map(|(name, head)| {
        let view = (!head.is_empty()).then(|| view_of(name, &head));
        (name.clone(), view)
    });
    Ok(heads.collect())
}

/// The beginnings of some entries, each with the whole key and all the tags if they aren't absurd.
pub(super) async fn heads(
    store: &dyn RemoteStore,
    names: &[String],
) -> Result<Vec<bytes::Bytes>, StoreError> {
    let mut heads = store.peek(names, FIRST_LOOK).await?;
    heads.resize(names.len(), bytes::Bytes::new());
    for (name, head) in names.iter().zip(&mut heads) {
        let wanted = codec::peek(head).map_or(0, |peeked| peeked.wanted);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        if wanted > FIRST_LOOK && head.len() as u64 >= u64::from(FIRST_LOOK) {
            let length = wanted.min(LONGEST_LOOK);
            let longer = store.peek(std::slice::from_ref(name), length).await?;
            *head = longer.into_iter().next().unwrap_or_default();
        }
    }
    Ok(heads)
}

/// A session's id can't be found from the digest that its record is named by, and still there is
/// no need to show all of that.
fn record(prefix: &str, name: &str) -> (Name, KeyView) {
    let name = record_name(prefix, name);
    let view = KeyView {
        name: name.text.clone(),
        kind: KeyKind::Record,
        tier: "redis".to_owned(),
        redis_key: None,
        bytes: None,
        stored_ms: None,
        expires_ms: None,
        position: None,
    };
    (name, view)
}

pub(super) fn record_name(prefix: &str, name: &str) -> Name {
    let digest = name.strip_prefix(prefix).unwrap_or_default();
    let digest: String = digest.chars().take(12).collect();
    Name::plain(
        KeyKind::Record,
        format!("record {}", super::printable(&digest)),
    )
}

fn view_of(redis_key: &str, head: &[u8]) -> (Name, KeyView) {
    let peeked = codec::peek(head);
    let name = name_in(peeked.as_ref());
    let expires = peeked.and_then(|peeked| {
        let freshness = freshness_of(peeked.head())?;
        let left = freshness.lifetime().saturating_sub(freshness.initial_age());
        Some(peeked.stored_at.plus(left))
    });
    let view = KeyView {
        name: name.text.clone(),
        kind: name.kind,
        tier: "redis".to_owned(),
        redis_key: Some(super::printable(redis_key)),
        bytes: peeked.map(|peeked| peeked.frame_length),
        stored_ms: peeked.map(|peeked| peeked.stored_at.as_millis()),
        expires_ms: expires.map(Timestamp::as_millis),
        position: peeked.map(|peeked| peeked.position.to_string()),
    };
    (name, view)
}

/// What an entry calls itself.
pub(super) fn name_in(peeked: Option<&Peeked<'_>>) -> Name {
    match peeked.map(|peeked| (peeked.key(), peeked.kind)) {
        Some((Some(key), kind)) => {
            let mut name = Name::of(key);
            if kind == 3 && name.kind == KeyKind::Response {
                name.kind = KeyKind::Variants;
                name.text.push_str(" [variants]");
            }
            name
        }
        Some((None, _)) => Name::plain(KeyKind::Unknown, "a key that is too long".to_owned()),
        None => Name::plain(KeyKind::Unknown, "no entry".to_owned()),
    }
}
