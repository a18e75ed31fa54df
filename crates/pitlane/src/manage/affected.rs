//! What an invalidation would end, without making it.

use std::collections::HashSet;

use pitlane_core::codec;
use pitlane_core::{RemoteStore, StoreError, TagId};
use serde::{Deserialize, Serialize};

use super::failed;
use super::keys::heads;
use crate::cache::{Cache, Caches, Invalidation, Slot};
use crate::error::Error;

const AT_ONCE: usize = 64;

/// What an invalidation would end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Affected {
    /// In each cache that the log judges.
    pub caches: Vec<AffectedCache>,
    /// In all of them.
    pub keys: u64,
}

/// What an invalidation would end in one cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AffectedCache {
    /// The cache.
    pub cache: String,
    /// How many of its entries carry one of the names. Some may be of no use any more already.
    pub keys: u64,
    /// How many there are.
    pub looked_at: u64,
}

impl Caches {
    /// Counts what [`Caches::publish`] would end: in Redis, or in memory where there is none. It
    /// looks at everything, which an invalidation itself never does, and takes some milliseconds
    /// for a thousand entries.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Redis`](crate::ErrorKind::Redis) when Redis doesn't answer.
    pub async fn affected(&self, invalidation: &Invalidation) -> Result<Affected, Error> {
        let hasher = self.shared.log.tags();
        let wanted: HashSet<TagId> = invalidation.tags.iter().map(|tag| tag.id(hasher)).collect();
        let mut affected = Affected {
            caches: Vec::new(),
            keys: 0,
        };
        for cache in self.iter().filter(|cache| !cache.is_store()) {
            let (keys, looked_at) = match cache.remote_place() {
                Some((store, prefix)) => {
                    in_redis(&**store, prefix, &wanted).await.map_err(failed)?
                }
                None => in_memory(cache, &wanted),
            };
            affected.keys += keys;
            affected.caches.push(AffectedCache {
                cache: cache.name().to_owned(),
                keys,
                looked_at,
            });
        }
        Ok(affected)
    }
}

async fn in_redis(
    store: &dyn RemoteStore,
    prefix: &str,
    wanted: &HashSet<TagId>,
) -> Result<(u64, u64), StoreError> {
    let (mut cursor, mut found, mut all) = (0, 0, 0);
    loop {
        let (next, mut names) = store.scan(prefix, cursor).await?;
        names.sort_unstable();
        names.dedup();
        for some in names.chunks(AT_ONCE) {
            for head in heads(store, some).await? {
                let ids = codec::peek(&head).and_then(|peeked| peeked.ids());
                let Some(mut ids) = ids else { continue };
                all += 1;
                found += u64::from(ids.any(|id| wanted.contains(&id)));
            }
        }
        if next == 0 {
            return Ok((found, all));
        }
        cursor = next;
    }
}

fn in_memory(cache: &Cache, wanted: &HashSet<TagId>) -> (u64, u64) {
    let (mut found, mut all) = (0, 0);
    for slot in cache.residents() {
        let Slot::Entry(entry) = slot else { continue };
        all += 1;
        let mut ids = entry.meta.tags.ids().iter();
        found += u64::from(ids.any(|id| wanted.contains(id)));
    }
    (found, all)
}
