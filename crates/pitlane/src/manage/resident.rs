//! What is in this node's memory.

use std::collections::BTreeMap;

use pitlane_core::Digest;

use super::keys::{KeyPage, KeyQuery, KeyView, no_cursor};
use super::name::{KeyKind, Name};
use crate::cache::{Cache, MarkerKind, Slot};
use crate::error::Error;

/// The entries whose digests come first after the cursor's: an order that holds while the process
/// lives.
pub(super) fn in_memory(cache: &Cache, query: &KeyQuery) -> Result<KeyPage, Error> {
    let after = match &query.cursor {
        None => None,
        Some(text) => {
            let digest = text.strip_prefix("m.");
            let digest = digest.and_then(|digest| u128::from_str_radix(digest, 16).ok());
            Some(Digest(digest.ok_or_else(no_cursor)?))
        }
    };
    let mut first: BTreeMap<Digest, KeyView> = BTreeMap::new();
    let (mut looked_at, mut more) = (0, false);
    for slot in cache.residents() {
        let digest = cache.digest(slot.key());
        if after.is_some_and(|after| digest <= after) {
            continue;
        }
        looked_at += 1;
        let name = resident_name(&slot);
        if !name.begins_with(&query.prefix) {
            continue;
        }
        first.insert(digest, resident(cache, &slot, name));
        if first.len() > query.limit {
            first.pop_last();
            more = true;
        }
    }
    let last = first.last_key_value().filter(|_| more);
    Ok(KeyPage {
        cache: cache.name().to_owned(),
        tier: "memory".to_owned(),
        cursor: last.map(|(digest, _)| format!("m.{:x}", digest.0)),
        keys: first.into_values().collect(),
        looked_at,
    })
}

/// What something in memory is called. Keys there begin with the number of their cache.
pub(super) fn resident_name(slot: &Slot) -> Name {
    let key = slot.key();
    let mut name = Name::of(key.get(Cache::PREFIX..).unwrap_or_default());
    if let Slot::Marker(marker) = slot {
        let (kind, what) = match marker.kind {
            MarkerKind::Pass { .. } => (KeyKind::Pass, " [pass]"),
            MarkerKind::Variants { .. } => (KeyKind::Variants, " [variants]"),
        };
        name.kind = kind;
        name.text.push_str(what);
    }
    name
}

fn resident(cache: &Cache, slot: &Slot, name: Name) -> KeyView {
    let mut view = KeyView {
        name: name.text,
        kind: name.kind,
        tier: "memory".to_owned(),
        redis_key: None,
        bytes: Some(slot.weight() as u64),
        stored_ms: None,
        expires_ms: None,
        position: None,
    };
    if let Slot::Entry(entry) = slot {
        let stored = cache.outside(entry.meta.stored_at);
        let freshness = &entry.freshness;
        let left = freshness.lifetime().saturating_sub(freshness.initial_age());
        view.stored_ms = Some(stored.as_millis());
        view.expires_ms = Some(stored.plus(left).as_millis());
        view.position = Some(entry.meta.stamp.position().to_string());
    }
    view
}
