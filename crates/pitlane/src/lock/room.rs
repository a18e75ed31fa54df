use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use tokio::{
    sync::{Mutex as Line, Notify, OwnedMutexGuard},
    time::Instant,
};

use crate::cache::Shared;

/// So many locks are given back in the background at a time; others end with their lease.
const MOST_RELEASES: usize = 256;

type Name = [u8; 16];

/// The locks that somebody in this process has or waits for.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    rooms: Mutex<HashMap<Name, Guests>>,
    /// The last number of a lease that this process gave to itself.
    last: AtomicU64,
    releases: AtomicUsize,
}

#[derive(Debug, Default)]
struct Guests {
    room: Arc<Room>,
    count: usize,
}

/// Where the callers of one lock stand in line.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The first in line has it while it asks. It is fair.
    line: Arc<Line<()>>,
    /// Somebody here gave the lock back.
    freed: Notify,
    /// The lease of a lock that this process has to itself.
    lease: Mutex<Option<Own>>,
}

#[derive(Debug)]
struct Own {
    token: Bytes,
    until: Instant,
}

/// The right to ask, before all others of this process.
pub(super) type Turn = OwnedMutexGuard<()>;

impl Rooms {
    /// How many locks are had or waited for.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        lock(&self.rooms).len()
    }

    /// The number of a lease that this process gives to itself: above all before it, and, so that
    /// it is above those of a process before this one, not below the time in microseconds.
    pub(super) fn number(&self, least: u64) -> u64 {
        let next = |last: u64| Some(last.saturating_add(1).max(least));
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        next(last.unwrap_or_default()).unwrap_or(least)
    }
}

impl Room {
    pub(super) async fn turn(&self) -> Turn {
        Arc::clone(&self.line).lock_owned().await
    }

    pub(super) fn free_turn(&self) -> Option<Turn> {
        Arc::clone(&self.line).try_lock_owned().ok()
    }

    /// Waits until somebody here gives the lock back. What happened since the last wait counts.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    pub(super) fn tell(&self) {
        self.freed.notify_one();
    }

    /// Takes this process's own lock; where another has it, says until when.
    pub(super) fn take(&self, token: &Bytes, now: Instant, until: Instant) -> Result<(), Instant> {
        let mut lease = lock(&self.lease);
        match &*lease {
            Some(own) if own.token != token && own.until > now => Err(own.until),
            _ => {
                *lease = Some(Own {
                    token: token.clone(),
                    until,
                });
                Ok(())
            }
        }
    }

    /// Says whether the lease was still there to be made longer.
    pub(super) fn renew(&self, token: &Bytes, now: Instant, until: Instant) -> bool {
        let mut lease = lock(&self.lease);
        let own = lease.as_mut();
        let own = own.filter(|own| own.token == token && own.until > now);
        own.map(|own| own.until = until).is_some()
    }

    /// Says whether the lease was still there to be given back.
    pub(super) fn give_back(&self, token: &Bytes, now: Instant) -> bool {
        let mut lease = lock(&self.lease);
        let was_ours = lease.take_if(|own| own.token == token);
        was_ours.is_some_and(|own| own.until > now)
    }
}

/// Keeps a room for as long as somebody is in it.
pub(super) struct Visit {
    shared: Arc<Shared>,
    name: Name,
    room: Arc<Room>,
}

impl Visit {
    pub(super) fn to(shared: &Arc<Shared>, name: Name) -> Self {
        let mut rooms = lock(&shared.locks.rooms);
        let guests = rooms.entry(name).or_default();
        guests.count += 1;
        Self {
            shared: Arc::clone(shared),
            name,
            room: Arc::clone(&guests.room),
        }
    }

    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Clone for Visit {
    fn clone(&self) -> Self {
        Self::to(&self.shared, self.name)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut rooms = lock(&self.shared.locks.rooms);
        if let Entry::Occupied(mut guests) = rooms.entry(self.name) {
            guests.get_mut().count -= 1;
            if guests.get().count == 0 {
                guests.remove();
            }
        }
    }
}

/// One of the locks that are given back in the background.
pub(super) struct Permit(Arc<Shared>);

impl Permit {
    pub(super) fn take(shared: &Arc<Shared>) -> Option<Self> {
        // It gives back on drop whether or not it was within the bound.
        let permit = Self(Arc::clone(shared));
        let before = shared.locks.releases.fetch_add(1, Ordering::Relaxed);
        (before < MOST_RELEASES).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.locks.releases.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Nothing panics while it is locked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
