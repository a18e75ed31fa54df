use std::sync::Arc;

use bytes::Bytes;
use pitlane_core::{Key, RemoteStore};

use crate::cache::{self, Cache};

/// What locks of values begin with, and what others do.
const VALUE: u8 = b'v';
const NAMED: u8 = b'n';

/// Which lock it is, and where its leases are written down.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(super) cache: Cache,
    /// Of the whole name: which lock this is within the process.
    pub(super) digest: [u8; 16],
    /// None for a lock that this process has to itself.
    pub(super) remote: Option<Remote>,
}

#[derive(Clone, Debug)]
pub(super) struct Remote {
    pub(super) store: Arc<dyn RemoteStore>,
    pub(super) key: Arc<str>,
    /// One for all locks of a cache.
    pub(super) counter: Arc<str>,
}

impl Place {
    /// The same lock on all servers, whatever version of the cache they use.
    pub(super) fn named(cache: &Cache, key: &Key) -> Self {
        Self::of(cache, &[NAMED], key.as_str().as_bytes())
    }

    /// What differs in version, type or form is another value, and has another lock.
    pub(super) fn of_value(cache: &Cache, place: &cache::Place) -> Self {
        let version = cache.settings().version.to_be_bytes();
        let [a, b, c, d] = version;
        let key = place.key.get(Cache::PREFIX..).unwrap_or_default();
        Self::of(cache, &[VALUE, a, b, c, d], key)
    }

    fn of(cache: &Cache, family: &[u8], key: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in [cache.name().as_bytes(), &[0], family, key] {
            hasher.update(part);
        }
        let hash = hasher.finalize();
        let mut digest = [0; 16];
        for (to, from) in digest.iter_mut().zip(hash.as_bytes()) {
            *to = *from;
        }
        let remote = cache.lock_store().map(|(store, prefix)| Remote {
            store,
            key: format!("{prefix}+lock:{:032x}", u128::from_be_bytes(digest)).into(),
            counter: format!("{prefix}+fence").into(),
        });
        Self {
            cache: cache.clone(),
            digest,
            remote,
        }
    }
}

/// Sixteen random bytes, as text: the standard library's hash keys are the process's own source of
/// randomness.
pub(super) fn token() -> Bytes {
    format!("{:016x}{:016x}", random(), random()).into()
}

pub(super) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
}
