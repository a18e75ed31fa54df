//! What one node keeps in memory: a bounded number of bytes of sessions, and of deletions.
//!
//! What Redis has as well may be dropped to make room, least recently used first. What Redis lacks
//! may not: when there is no room for it, the caller is told.

use std::collections::{BTreeMap, HashMap};

use pitlane::{Era, Timestamp};
use tower_sessions_core::session::Id;

use crate::sheet::Live;
use crate::trouble::Trouble;

/// What a session takes beside its bytes, and a deletion in all, as an estimate.
const OVERHEAD: u64 = 200;

/// A session in memory.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) live: Live,
    /// The era of the store that it is known from; none if Redis was never seen.
    pub(crate) era: Option<Era>,
    /// Whether Redis has it too.
    pub(crate) is_saved: bool,
}

pub(crate) struct Shelf {
    held: HashMap<Id, (Held, u64)>,
    /// The sessions that may be dropped, by their last use.
    saved: BTreeMap<u64, Id>,
    /// The deleted ones, and whether Redis has been told, by when that was.
    gone: HashMap<Id, Option<u64>>,
    told: BTreeMap<u64, (Id, Timestamp)>,
    turn: u64,
    bytes: u64,
    /// The part of `bytes` that can't be dropped.
    pinned: u64,
    limit: u64,
}

/// What a shelf holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) sessions: usize,
    pub(crate) unsaved: usize,
    pub(crate) owed: usize,
    pub(crate) bytes: u64,
}

impl Shelf {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            held: HashMap::new(),
            saved: BTreeMap::new(),
            gone: HashMap::new(),
            told: BTreeMap::new(),
            turn: 0,
            bytes: 0,
            pinned: 0,
            limit,
        }
    }

    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// The session, unless it has expired. It counts as used.
    pub(crate) fn get(&mut self, id: Id, now: Timestamp) -> Option<&Held> {
        if self.held.get(&id)?.0.live.is_expired(now) {
            self.forget(id);
            return None;
        }
        self.turn += 1;
        let (held, turn) = self.held.get_mut(&id)?;
        if held.is_saved {
            self.saved.remove(turn);
            self.saved.insert(self.turn, id);
        }
        *turn = self.turn;
        Some(held)
    }

    /// Keeps a session in the place of what was kept of it. One that Redis has too may be dropped
    /// at once.
    ///
    /// # Errors
    ///
    /// [`Trouble::Full`]: it is not kept, and what was kept still is.
    pub(crate) fn put(&mut self, id: Id, held: Held) -> Result<(), Trouble> {
        let weight = weight(&held);
        if !held.is_saved && self.pinned_without(id) + weight > self.limit {
            return Err(Trouble::Full);
        }
        self.forget(id);
        self.turn += 1;
        self.bytes += weight;
        if held.is_saved {
            self.saved.insert(self.turn, id);
        } else {
            self.pinned += weight;
        }
        self.held.insert(id, (held, self.turn));
        self.make_room();
        Ok(())
    }

    pub(crate) fn forget(&mut self, id: Id) {
        if let Some((held, turn)) = self.held.remove(&id) {
            self.bytes -= weight(&held);
            if self.saved.remove(&turn).is_none() {
                self.pinned -= weight(&held);
            }
        }
    }

    /// Drops what is from before a clear.
    pub(crate) fn forget_cleared(&mut self, now: Era) {
        let held = self.held.iter();
        let is_cleared = |held: &Held| held.era.is_some_and(|era| now.has_cleared(era));
        let cleared: Vec<Id> = held
            .filter(|(_, (held, _))| is_cleared(held))
            .map(|(id, _)| *id)
            .collect();
        cleared.into_iter().for_each(|id| self.forget(id));
    }

    /// Whether this node knows the session as deleted.
    pub(crate) fn is_gone(&self, id: Id) -> bool {
        self.gone.contains_key(&id)
    }

    /// Deletes a session for good. Redis is owed that.
    ///
    /// # Errors
    ///
    /// [`Trouble::Full`]: it is not deleted.
    pub(crate) fn bury(&mut self, id: Id) -> Result<(), Trouble> {
        if !self.is_gone(id) {
            if self.pinned_without(id) + OVERHEAD > self.limit {
                return Err(Trouble::Full);
            }
            self.gone.insert(id, None);
            self.bytes += OVERHEAD;
            self.pinned += OVERHEAD;
        }
        self.forget(id);
        self.make_room();
        Ok(())
    }

    /// The session is deleted, as Redis knows until `until`. That is kept as long as there is room.
    pub(crate) fn learn(&mut self, id: Id, until: Timestamp) {
        if self.bury(id).is_ok() {
            self.told(id, until);
        } else {
            self.forget(id);
        }
    }

    /// Redis knows of the deletion, and will until `until`.
    pub(crate) fn told(&mut self, id: Id, until: Timestamp) {
        if let Some(told) = self.gone.get_mut(&id) {
            self.turn += 1;
            match told.replace(self.turn) {
                Some(before) => drop(self.told.remove(&before)),
                None => self.pinned -= OVERHEAD,
            }
            self.told.insert(self.turn, (id, until));
        }
        // Anybody can have ids deleted that never were: they must not push sessions out, nor fill the
        // shelf when Redis has forgotten them.
        while self.told.len() as u64 * OVERHEAD > self.share() {
            self.forget_told();
        }
    }

    /// What deletions that Redis knows of may take of the room.
    fn share(&self) -> u64 {
        (self.limit / 8).max(LEAST_TOLD * OVERHEAD)
    }

    /// Redis may have forgotten deletions that it was told.
    pub(crate) fn owe_all(&mut self) {
        self.pinned += OVERHEAD * self.told.len() as u64;
        self.told.clear();
        self.gone.values_mut().for_each(|told| *told = None);
    }

    pub(crate) fn owed(&self) -> Vec<Id> {
        if self.gone.len() == self.told.len() {
            return Vec::new();
        }
        let owed = self.gone.iter().filter(|(_, told)| told.is_none());
        owed.map(|(id, _)| *id).collect()
    }

    /// The sessions in memory: those that Redis lacks, or all.
    pub(crate) fn ids(&self, only_unsaved: bool) -> Vec<Id> {
        if only_unsaved && self.held.len() == self.saved.len() {
            return Vec::new();
        }
        let held = self.held.iter();
        held.filter(|(_, (held, _))| !(only_unsaved && held.is_saved))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Drops what is over.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        let expired = self.held.iter();
        let expired: Vec<Id> = expired
            .filter(|(_, (held, _))| held.live.is_expired(now))
            .map(|(id, _)| *id)
            .collect();
        expired.into_iter().for_each(|id| self.forget(id));
        while let Some((_, (_, until))) = self.told.first_key_value()
            && *until <= now
        {
            self.forget_told();
        }
    }

    pub(crate) fn load(&self) -> Load {
        Load {
            sessions: self.held.len(),
            unsaved: self.held.len() - self.saved.len(),
            owed: self.gone.len() - self.told.len(),
            bytes: self.bytes,
        }
    }

    /// What has to stay, whatever is kept under `id`.
    fn pinned_without(&self, id: Id) -> u64 {
        let own = self.held.get(&id).filter(|(held, _)| !held.is_saved);
        self.pinned - own.map_or(0, |(held, _)| weight(held))
    }

    fn make_room(&mut self) {
        while self.bytes > self.limit {
            if let Some(id) = self.saved.first_key_value().map(|(_, id)| *id) {
                self.forget(id);
            } else if !self.forget_told() {
                return;
            }
        }
    }

    fn forget_told(&mut self) -> bool {
        let Some((_, (id, _))) = self.told.pop_first() else {
            return false;
        };
        self.gone.remove(&id);
        self.bytes -= OVERHEAD;
        true
    }
}

fn weight(held: &Held) -> u64 {
    held.live.bytes.len() as u64 + OVERHEAD
}

/// So many deletions that Redis knows of are always remembered.
const LEAST_TOLD: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Version;

    const NOW: Timestamp = Timestamp::from_millis(1_000);
    /// Room for four small sessions or deletions.
    const LIMIT: u64 = 4 * (OVERHEAD + 30);

    fn held(is_saved: bool) -> Held {
        Held {
            live: Live::new(Version(1), Timestamp::from_millis(2_000), b"{}"),
            era: Some(Era::new(1, 0)),
            is_saved,
        }
    }

    fn shelf(saved: &[i128], unsaved: &[i128]) -> Shelf {
        let mut shelf = Shelf::new(LIMIT);
        for (ids, is_saved) in [(saved, true), (unsaved, false)] {
            for id in ids {
                shelf.put(Id(*id), held(is_saved)).unwrap();
            }
        }
        shelf
    }

    #[track_caller]
    fn check(shelf: &Shelf, expected: &[i128]) {
        let mut ids: Vec<i128> = shelf.ids(false).iter().map(|id| id.0).collect();
        ids.sort_unstable();
        assert_eq!(ids, expected);
        let load = shelf.load();
        let sum: u64 = shelf.held.values().map(|(held, _)| weight(held)).sum();
        assert_eq!(load.bytes, sum + OVERHEAD * shelf.gone.len() as u64);
        let unsaved = shelf.held.values().filter(|(held, _)| !held.is_saved);
        let pinned: u64 = unsaved.map(|(held, _)| weight(held)).sum();
        assert_eq!(shelf.pinned, pinned + OVERHEAD * load.owed as u64);
        assert!(load.bytes <= LIMIT);
    }

    #[test]
    fn what_was_used_least_recently_makes_room() {
        let mut shelf = shelf(&[1, 2, 3, 4], &[]);
        assert!(shelf.get(Id(1), NOW).is_some());
        shelf.put(Id(5), held(true)).unwrap();
        check(&shelf, &[1, 3, 4, 5]);
        shelf.put(Id(6), held(false)).unwrap();
        check(&shelf, &[1, 4, 5, 6]);
    }

    #[test]
    fn what_redis_lacks_stays_and_the_next_one_is_told_that_there_is_no_room() {
        let mut shelf = shelf(&[1], &[2, 3, 4]);
        shelf.put(Id(5), held(false)).unwrap();
        check(&shelf, &[2, 3, 4, 5]);
        assert_eq!(shelf.put(Id(6), held(false)), Err(Trouble::Full));
        // Saving again what is there needs no more room.
        shelf.put(Id(5), held(false)).unwrap();
        shelf.put(Id(6), held(true)).unwrap();
        check(&shelf, &[2, 3, 4, 5]);
        assert_eq!(shelf.bury(Id(7)), Err(Trouble::Full));
        assert!(!shelf.is_gone(Id(7)));
        // A deletion takes the room of its session.
        shelf.bury(Id(2)).unwrap();
        check(&shelf, &[3, 4, 5]);
    }

    #[test]
    fn deletions_of_what_never_was_push_out_no_session_and_fill_nothing() {
        let mut shelf = Shelf::new(1 << 20);
        let until = Timestamp::from_millis(5_000);
        for id in 0..100 {
            shelf.put(Id(id), held(true)).unwrap();
        }
        for id in 1_000..50_000 {
            shelf.learn(Id(id), until);
        }
        assert_eq!(shelf.load().sessions, 100);
        shelf.owe_all();
        for id in 100..200 {
            shelf.put(Id(id), held(false)).unwrap();
        }
    }

    #[test]
    fn deletions_stay_until_redis_knows_and_then_as_long_as_there_is_room() {
        let mut shelf = shelf(&[], &[]);
        let until = Timestamp::from_millis(5_000);
        for id in 1..=4 {
            shelf.bury(Id(id)).unwrap();
            shelf.bury(Id(id)).unwrap();
        }
        assert_eq!(shelf.owed().len(), 4);
        shelf.told(Id(1), until);
        shelf.told(Id(2), until);
        shelf.told(Id(1), until);
        shelf.put(Id(9), held(false)).unwrap();
        assert!(!shelf.is_gone(Id(2)) && shelf.is_gone(Id(1)));
        check(&shelf, &[9]);
        shelf.owe_all();
        assert_eq!(shelf.owed().len(), 3);
        check(&shelf, &[9]);
        shelf.told(Id(1), until);
        shelf.sweep(Timestamp::from_millis(4_999));
        assert!(shelf.is_gone(Id(1)));
        shelf.sweep(until);
        assert!(!shelf.is_gone(Id(1)) && shelf.is_gone(Id(3)));
        check(&shelf, &[]);
    }

    #[test]
    fn what_has_expired_or_was_cleared_is_gone_from_memory() {
        let mut shelf = shelf(&[1], &[2]);
        assert!(shelf.get(Id(1), Timestamp::from_millis(2_000)).is_none());
        check(&shelf, &[2]);
        shelf.forget_cleared(Era::new(1, 0));
        check(&shelf, &[2]);
        shelf.forget_cleared(Era::new(1, 1));
        check(&shelf, &[]);
    }
}
