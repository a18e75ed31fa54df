//! Gives back the memory in Redis of what a `clear` made unusable.

use std::sync::Arc;
use std::time::Duration;

use pitlane_core::codec::{PEEK, peek_position};
use pitlane_core::{Position, RemoteStore, StoreError};

/// A pause after each step: with 500 keys a step, at most about 5,000 commands a second.
const PAUSE: Duration = Duration::from_millis(100);

/// What of a cache's entries goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sweep {
    /// Those that stand before this position: what was stored after it stays.
    Before(Position),
    /// Those of earlier generations of a store, in its present life: a generation is a life, and then
    /// how often it was cleared, in 32 bits each.
    Generations(u64),
}

/// Walks over all keys that begin with `prefix` and removes what is unusable. It ends at the
/// first failure: expiry does the rest.
pub(super) async fn reclaim(
    store: Arc<dyn RemoteStore>,
    prefix: String,
    sweep: Sweep,
) -> Result<u64, StoreError> {
    let (mut cursor, mut removed) = (0, 0);
    loop {
        let (next, keys) = store.scan(&prefix, cursor).await?;
        removed += step(&*store, keys, sweep).await?;
        if next == 0 {
            return Ok(removed);
        }
        cursor = next;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn step(store: &dyn RemoteStore, keys: Vec<String>, sweep: Sweep) -> Result<u64, StoreError> {
    if keys.is_empty() {
        return Ok(0);
    }
    match sweep {
        Sweep::Before(position) => unlink_before(store, keys, position).await,
        Sweep::Generations(now) => remove_older(store, &keys, now).await,
    }
}

/// An entry that is stored between the look and the removal may go as well, which costs a miss.
async fn unlink_before(
    store: &dyn RemoteStore,
    keys: Vec<String>,
    position: Position,
) -> Result<u64, StoreError> {
    let heads = store.peek(&keys, PEEK).await?;
    // What is of another life of the log is either of no use to anybody, and expires, or newer
    // than the walk.
    let is_before = |head: &[u8]| {
        peek_position(head).is_some_and(|there| {
            there.incarnation == position.incarnation && there.id < position.id
        })
    };
    let gone = keys.into_iter().zip(heads);
    let gone: Vec<String> = gone
        .filter(|(_, head)| is_before(head))
        .map(|(key, _)| key)
        .collect();
    if gone.is_empty() {
        return Ok(0);
    }
    store.unlink(&gone).await
}

/// A record can't be computed again: only what was looked at is removed, and not what may have
/// taken its place meanwhile.
async fn remove_older(
    store: &dyn RemoteStore,
    keys: &[String],
    now: u64,
) -> Result<u64, StoreError> {
    let mut removed = 0;
    for key in keys {
        let stored = store.get(key).await?;
        // What came after another clear is none of this walk's; what is of a life that Redis has
        // forgotten expires.
        let stored = stored.filter(|stored| {
            super::records::generation_of(stored)
                .is_some_and(|there| there >> 32 == now >> 32 && there < now)
        });
        if let Some(stored) = stored
            && store.exchange(key, stored, None, Duration::ZERO).await?
        {
            removed += 1;
        }
    }
    Ok(removed)
}
