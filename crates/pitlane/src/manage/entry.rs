//! One entry, with all that is known of it.

use std::time::Duration;

use http::HeaderMap;
use pitlane_core::{Position, RemoteStore, TagId};

use super::keys::{heads, is_key, name_in, record_name};
use super::name::{Name, clean, is_secret};
use super::resident::resident_name;
use super::tags::TagNames;
use super::verdict::Verdict;
use super::view::{EncodingView, EntryView, HeaderView, StoredView, TagView};
use super::{failed, seconds};
use crate::cache::{Cache, Caches, Content, Entry, Looked, Payload, Slot, Usable, ended_in_memory};
use crate::error::Error;
use pitlane_core::codec;

/// How many keys are looked at to find one by its readable name.
const MAX_SEARCH: u64 = 200_000;
/// How many other keys of the same name are told of.
const MAX_OTHERS: usize = 64;
const AT_ONCE: usize = 64;
const MAX_VALUE: usize = 400;

impl Caches {
    /// One entry of a cache, found by what it is called in Redis, by its readable name, or by a
    /// URL or data key: `simlane:api:0f3c…`, `GET //site.org/clubs`, `https://site.org/clubs`,
    /// `/clubs`, `club:42:members`. Where several keys answer to it the first one found is shown,
    /// and the others are named.
    ///
    /// A name other than that in Redis is looked for among all keys of the cache, up to 200,000.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownCache`](crate::ErrorKind::UnknownCache), or
    /// [`ErrorKind::Redis`](crate::ErrorKind::Redis) when Redis doesn't answer.
    pub async fn entry(&self, cache: &str, wanted: &str) -> Result<Option<EntryView>, Error> {
        let cache = self.get(cache)?;
        let mut found = Found::default();
        if let Some((store, prefix)) = cache.remote_place() {
            search(&cache, &**store, prefix, wanted, &mut found)
                .await
                .map_err(failed)?;
        }
        let redis = match &found.redis_key {
            Some(key) if !cache.is_store() => cache.look_at(key).await.map_err(failed)?,
            _ => None,
        };
        let memory = resident(&cache, wanted, redis.as_ref(), &mut found);
        let Some(name) = found.name else {
            return Ok(None);
        };
        let record = found.redis_key.as_ref().filter(|_| cache.is_store());
        let record = match (record, cache.remote_place()) {
            (Some(key), Some((store, _))) => record_view(&**store, key).await.map_err(failed)?,
            _ => None,
        };
        let redis_key = found.redis_key.filter(|_| !cache.is_store());
        Ok(Some(EntryView {
            cache: cache.name().to_owned(),
            memory: memory.map(|slot| in_memory(&cache, &name, &slot)),
            redis: redis
                .map(|looked| in_redis(&cache, &name, looked))
                .or(record),
            name: name.text,
            kind: name.kind,
            redis_key: redis_key.map(|key| clean(key.as_bytes())),
            others: found.others,
        }))
    }
}

#[derive(Default)]
struct Found {
    name: Option<Name>,
    redis_key: Option<String>,
    others: Vec<String>,
}

impl Found {
    fn add(&mut self, name: Name, redis_key: Option<&str>) {
        match &self.name {
            None => {
                self.redis_key = redis_key.map(str::to_owned);
                self.name = Some(name);
            }
            Some(first) if first.text != name.text => {
                if self.others.len() < MAX_OTHERS && !self.others.contains(&name.text) {
                    self.others.push(name.text);
                }
            }
            Some(_) => {}
        }
    }
}

/// Looks for a key in Redis: under its own name at once, and among all others else.
async fn search(
    cache: &Cache,
    store: &dyn RemoteStore,
    prefix: &str,
    wanted: &str,
    found: &mut Found,
) -> Result<(), pitlane_core::StoreError> {
    if wanted.starts_with(prefix) && is_key(cache, prefix, wanted) {
        let key = [wanted.to_owned()];
        if let Some((name, _)) = names(cache, store, prefix, &key).await?.pop() {
            found.add(name, Some(wanted));
            return Ok(());
        }
    }
    let (mut cursor, mut looked_at) = (0, 0);
    loop {
        let (next, mut keys) = store.scan(prefix, cursor).await?;
        keys.retain(|key| is_key(cache, prefix, key));
        keys.sort_unstable();
        keys.dedup();
        looked_at += keys.len() as u64;
        for some in keys.chunks(AT_ONCE) {
            for (name, key) in names(cache, store, prefix, some).await? {
                if name.answers_to(wanted) {
                    found.add(name, Some(&key));
                }
            }
        }
        if next == 0 || looked_at >= MAX_SEARCH {
            return Ok(());
        }
        cursor = next;
    }
}

/// What some keys in Redis are called; nothing of those that have gone.
async fn names(
    cache: &Cache,
    store: &dyn RemoteStore,
    prefix: &str,
    keys: &[String],
) -> Result<Vec<(Name, String)>, pitlane_core::StoreError> {
    if cache.is_store() {
        let there = store.peek(keys, 1).await?;
        let there = keys.iter().zip(there).filter(|(_, head)| !head.is_empty());
        let named = |(key, _): (&String, _)| (record_name(prefix, key), key.clone());
        return Ok(there.map(named).collect());
    }
    let heads = heads(store, keys).await?;
    let there = keys.iter().zip(heads).filter(|(_, head)| !head.is_empty());
    let named = there.map(|(key, head)| (name_in(codec::peek(&head).as_ref()), key.clone()));
    Ok(named.collect())
}

/// The same thing in this node's memory: that of the key found in Redis, or the first that answers
/// to the name.
fn resident(
    cache: &Cache,
    wanted: &str,
    looked: Option<&Looked>,
    found: &mut Found,
) -> Option<Slot> {
    if let Some(looked) = looked {
        let key = [&cache.key_prefix()[..], &looked.key].concat();
        return cache
            .tier()
            .peek(cache.digest(&key))
            .filter(|slot| slot.key() == key);
    }
    let mut first = None;
    for slot in cache.residents() {
        let name = resident_name(&slot);
        if name.answers_to(wanted) {
            if found.name.is_none() {
                first = Some(slot);
            }
            found.add(name, None);
        }
    }
    first
}

fn in_memory(cache: &Cache, name: &Name, slot: &Slot) -> StoredView {
    let weight = slot.weight() as u64;
    let entry = match slot {
        Slot::Entry(entry) => entry,
        Slot::Marker(marker) => {
            let vary = marker.vary();
            let sentence = if vary.is_empty() {
                "It is no entry: answers for it could not be stored, so requests for it pass."
            } else {
                "It is no entry: it leads to the variants of a URL."
            };
            let mut view = StoredView::nothing(Verdict::none(sentence), weight);
            view.vary = vary.iter().map(ToString::to_string).collect();
            return view;
        }
    };
    let log = &cache.shared().log;
    let judged = entry.judge(log, cache.shared().clock.now());
    let ended_by = match judged {
        Usable::No(_) => ended_in_memory(log, entry),
        _ => Vec::new(),
    };
    let position = entry.meta.stamp.position();
    stored(cache, name, entry, position, (judged, &ended_by), weight)
}

fn in_redis(cache: &Cache, name: &Name, looked: Looked) -> StoredView {
    let length = looked.length as u64;
    let mut view = match looked.content {
        Content::Foreign(why) => {
            StoredView::nothing(Verdict::none(format!("It is not used: {why}.")), length)
        }
        Content::Variants(vary) => {
            let sentence = "It is no entry: it leads to the variants of a URL.";
            let mut view = StoredView::nothing(Verdict::none(sentence), length);
            view.vary = vary.iter().map(ToString::to_string).collect();
            view
        }
        Content::Entry {
            entry,
            unusable,
            ended_by,
        } => {
            let shared = cache.shared();
            let judged = match unusable {
                Some(reason) => Usable::No(reason),
                None => entry.judge(&shared.log, shared.clock.now()),
            };
            stored(
                cache,
                name,
                &entry,
                looked.position,
                (judged, &ended_by),
                length,
            )
        }
    };
    view.compression = Some(looked.compression.to_owned());
    view
}

fn stored(
    cache: &Cache,
    name: &Name,
    entry: &Entry,
    position: Position,
    (judged, ended_by): (Usable, &[TagId]),
    bytes: u64,
) -> StoredView {
    let names = TagNames::of(cache, name, &entry.meta.tags);
    let ended_by: Vec<TagView> = ended_by.iter().map(|tag| names.view(*tag)).collect();
    let freshness = &entry.freshness;
    let now = cache.shared().clock.now();
    let stored = cache.outside(entry.meta.stored_at);
    let left = freshness.lifetime().saturating_sub(freshness.initial_age());
    let known = |duration: Duration| Some(seconds(duration));
    let mut view = StoredView {
        stored_ms: Some(stored.as_millis()),
        expires_ms: Some(stored.plus(left).as_millis()),
        age_seconds: known(freshness.age(entry.meta.resident(now))),
        lifetime_seconds: known(freshness.lifetime()),
        stale_while_revalidate_seconds: known(freshness.stale_while_revalidate()),
        stale_if_error_seconds: known(freshness.stale_if_error()),
        cost_seconds: known(entry.meta.cost),
        tags: entry
            .meta
            .tags
            .ids()
            .iter()
            .map(|tag| names.view(*tag))
            .collect(),
        ..StoredView::nothing(Verdict::of(judged, &ended_by), bytes)
    };
    view.stands_at(cache, position);
    view.tags
        .sort_by(|a, b| (&a.kind, &a.name).cmp(&(&b.kind, &b.name)));
    match &entry.payload {
        Payload::Value(value) => view.body_bytes = Some(value.len() as u64),
        Payload::Response(response) => {
            view.body_bytes = Some(response.body().len() as u64);
            view.status = Some(response.status().as_u16());
            view.headers = headers(response.headers());
            let forms = response.forms().ready();
            let forms = forms.map(|(name, body_bytes)| EncodingView {
                name: name.to_owned(),
                body_bytes,
            });
            view.encodings = forms.collect();
        }
    }
    view
}

/// A record of a store says only when it was written: what is in it is its application's.
async fn record_view(
    store: &dyn RemoteStore,
    key: &str,
) -> Result<Option<StoredView>, pitlane_core::StoreError> {
    let length = store.get(key).await?.map(|record| record.len() as u64);
    let verdict = || Verdict::none("It is a record of a store: the log doesn't judge it.");
    Ok(length.map(|length| StoredView::nothing(verdict(), length)))
}

/// What differs from hit to hit isn't stored.
fn headers(headers: &HeaderMap) -> Vec<HeaderView> {
    let own = headers
        .iter()
        .filter(|(name, _)| **name != http::header::AGE);
    let view = own.map(|(name, value)| {
        let hidden = value.is_sensitive() || is_secret(name.as_str().as_bytes());
        HeaderView {
            name: name.as_str().to_owned(),
            value: (!hidden).then(|| short(value.as_bytes())),
        }
    });
    view.collect()
}

fn short(value: &[u8]) -> String {
    let mut text = clean(value);
    if let Some((at, _)) = text.char_indices().nth(MAX_VALUE) {
        text.truncate(at);
        text.push('…');
    }
    text
}
