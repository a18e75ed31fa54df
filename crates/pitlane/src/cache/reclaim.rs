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
    /// Those of earlier generations of a store.
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
    let heads = store.peek(&keys, PEEK).await?;
    let gone = keys.into_iter().zip(heads);
    let gone = gone
        .filter(|(_, head)| sweep.takes(head))
        .map(|(key, _)| key);
    let gone: Vec<String> = gone.collect();
    if gone.is_empty() {
        return Ok(0);
    }
    store.unlink(&gone).await
}

impl Sweep {
    fn takes(self, head: &[u8]) -> bool {
        match self {
            Self::Before(position) => peek_position(head).is_some_and(|there| {
                // Of another life of the log is either what nobody can use, which expires, or
                // what is newer than the walk.
                there.incarnation == position.incarnation && there.id < position.id
            }),
            Self::Generations(now) => {
                super::records::generation_of(head).is_some_and(|there| there != now)
            }
        }
    }
}
