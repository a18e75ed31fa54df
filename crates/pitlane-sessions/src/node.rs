//! One node's sessions: in Redis while that is there, and in its own memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pitlane::{Clock, Era, Error, Sighting, Timestamp};
use tokio::sync::{Mutex as Turn, MutexGuard as Taken, Notify};
use tokio::time::Instant;
use tower_sessions_core::session::{Id, Record};

use crate::judge::{Found, Judged, judge};
use crate::link::{Link, News};
use crate::place::Place;
use crate::sheet::{self, Live, Sheet};
use crate::shelf::{Held, Shelf};
use crate::trouble::Trouble;
use crate::version::Version;

/// How often a write is tried anew when another node was faster.
pub(crate) const MAX_TRIES: usize = 64;
/// Writes of one session take turns: they would only get into each other's way.
const TURNS: usize = 64;

pub(crate) struct Node {
    /// Where all nodes' sessions are; none if they are all in this node's memory.
    pub(crate) place: Option<Box<dyn Place>>,
    state: Mutex<State>,
    turns: [Turn<()>; TURNS],
    clock: Clock,
    /// The longest that a session lives after it was last saved.
    pub(crate) longest: Duration,
    /// Wakes the task that brings Redis up to date.
    pub(crate) work: Arc<Notify>,
    pub(crate) counts: Counts,
}

pub(crate) struct State {
    pub(crate) shelf: Shelf,
    pub(crate) link: Link,
}

/// What became of an attempt to create a session without Redis.
enum Created<'a> {
    Yes,
    /// The id belongs to another session.
    Taken,
    /// Redis is to say.
    Ask(&'a dyn Place),
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) damaged: AtomicU64,
    pub(crate) outrun: AtomicU64,
}

impl Node {
    pub(crate) fn new(
        place: Option<Box<dyn Place>>,
        clock: Clock,
        longest: Duration,
        memory: u64,
    ) -> Self {
        Self {
            place,
            state: Mutex::new(State {
                shelf: Shelf::new(memory),
                link: Link::new(),
            }),
            turns: [const { Turn::const_new(()) }; TURNS],
            clock,
            longest,
            work: Arc::new(Notify::new()),
            counts: Counts::default(),
        }
    }

    pub(crate) async fn load(&self, id: Id) -> Result<Option<Record>, Trouble> {
        let now = self.now();
        let ours = |held: &Held| Ok(held.live.record(id));
        let place = {
            let mut state = self.state();
            if state.shelf.is_gone(id) {
                return Ok(None);
            }
            let is_away = state.link.is_away;
            match (&self.place, state.shelf.get(id, now)) {
                (None, held) => return held.map_or(Ok(None), ours),
                (Some(_), Some(held)) if is_away => return ours(held),
                (Some(place), _) => place,
            }
        };
        match place.see(&[id]).await {
            Ok((_, seen)) => self.found(id, seen.first()),
            Err(error) => {
                let mut state = self.leave(&error);
                state.shelf.get(id, now).map_or(Err(Trouble::Away), ours)
            }
        }
    }

    /// Judges what a load has found in Redis.
    fn found(&self, id: Id, seen: Option<&Sighting>) -> Result<Option<Record>, Trouble> {
        let seen = seen.ok_or(Trouble::Away)?;
        let (now, mut state) = (self.now(), self.state());
        self.note(&mut state, seen.era());
        // It may have been deleted while Redis was asked.
        if state.shelf.is_gone(id) {
            return Ok(None);
        }
        let held = state.shelf.get(id, now).cloned();
        let judged = judge(held.as_ref(), seen, now, state.link.must_compare);
        match (judged, held) {
            (Judged::Theirs(live), held) => {
                let record = live.record(id);
                if record.is_none() {
                    self.damaged();
                }
                self.outrun(held.as_ref(), Some(&live));
                let _ = state.shelf.put(id, saved(live, seen));
                Ok(record)
            }
            (Judged::Ours, Some(mut held)) => {
                let record = held.live.record(id);
                held.is_saved = false;
                // Without room it stays what it was, and the next comparison finds it.
                let _ = state.shelf.put(id, held);
                self.work.notify_one();
                Ok(record)
            }
            (Judged::Confirmed, Some(held)) => Ok(held.live.record(id)),
            (Judged::Nothing, _) if state.link.is_settling(Instant::now()) => {
                Err(Trouble::Restoring)
            }
            (Judged::Gone, _) => {
                self.learn(&mut state, id);
                Ok(None)
            }
            _ => {
                state.shelf.forget(id);
                if let Found::Damaged = Found::of(seen.record().as_ref()) {
                    self.damaged();
                }
                Ok(None)
            }
        }
    }

    pub(crate) async fn save(&self, record: &Record) -> Result<(), Trouble> {
        let id = record.id;
        let data = sheet::data(record)?;
        let _turn = self.turn(id).await;
        for _ in 0..MAX_TRIES {
            let place = match self.save_here(record, &data) {
                Some(done) => return done,
                None => self.place.as_deref().ok_or(Trouble::Vanished)?,
            };
            let seen = match place.see(&[id]).await {
                Ok((_, seen)) => seen.into_iter().next().ok_or(Trouble::Away)?,
                Err(error) => {
                    drop(self.leave(&error));
                    // A session that is in memory is saved there, as in every outage.
                    return self.save_here(record, &data).unwrap_or(Err(Trouble::Away));
                }
            };
            let next = self.next_save(record, &data, &seen)?;
            let ttl = self.left(&next);
            match place.swap(id, &seen, &next.bytes, ttl).await {
                Ok(true) => return self.saved(id, next, &seen),
                Ok(false) => {}
                Err(error) => {
                    let mut state = self.leave(&error);
                    return state.shelf.put(id, unsaved(next, Some(seen.era())));
                }
            }
        }
        Err(Trouble::Busy)
    }

    /// Saves in memory while Redis is away, or where there is none. Nothing when Redis has to be
    /// asked.
    fn save_here(&self, record: &Record, data: &[u8]) -> Option<Result<(), Trouble>> {
        let (now, mut state) = (self.now(), self.state());
        if state.shelf.is_gone(record.id) {
            return Some(Err(Trouble::Vanished));
        }
        if self.place.is_some() && !state.link.is_away {
            return None;
        }
        let held = state.shelf.get(record.id, now)?.clone();
        let next = self.next(record, data, Some(held.live.version), now);
        Some(state.shelf.put(record.id, unsaved(next, held.era)))
    }

    /// What is to be saved in the place of what was seen.
    fn next_save(&self, record: &Record, data: &[u8], seen: &Sighting) -> Result<Live, Trouble> {
        let (now, mut state) = (self.now(), self.state());
        self.note(&mut state, seen.era());
        let held = state.shelf.get(record.id, now).cloned();
        let before = match judge(held.as_ref(), seen, now, state.link.must_compare) {
            Judged::Theirs(live) => Some(live.version),
            Judged::Ours | Judged::Confirmed => held.map(|held| held.live.version),
            Judged::Gone => {
                self.learn(&mut state, record.id);
                return Err(Trouble::Vanished);
            }
            Judged::Nothing if state.link.is_settling(Instant::now()) => {
                return Err(Trouble::Restoring);
            }
            Judged::Nothing => None,
        };
        let Some(before) = before else {
            // It never comes back by being saved.
            state.shelf.forget(record.id);
            return Err(Trouble::Vanished);
        };
        Ok(self.next(record, data, Some(before), now))
    }

    pub(crate) async fn create(&self, record: &mut Record) -> Result<(), Trouble> {
        let data = sheet::data(record)?;
        for _ in 0..MAX_TRIES {
            let place = match self.create_here(record, &data)? {
                Created::Yes => return Ok(()),
                Created::Taken => {
                    record.id = Id::default();
                    continue;
                }
                Created::Ask(place) => place,
            };
            let id = record.id;
            let seen = match place.see(&[id]).await {
                Ok((_, seen)) => seen.into_iter().next().ok_or(Trouble::Away)?,
                Err(error) => {
                    drop(self.leave(&error));
                    continue;
                }
            };
            self.note(&mut self.state(), seen.era());
            if seen.record().is_some() {
                record.id = Id::default();
                continue;
            }
            let next = self.next(record, &data, None, self.now());
            match place.swap(id, &seen, &next.bytes, self.left(&next)).await {
                Ok(true) => return self.saved(id, next, &seen),
                // Somebody else has the id now.
                Ok(false) => record.id = Id::default(),
                Err(error) => {
                    let mut state = self.leave(&error);
                    return state.shelf.put(id, unsaved(next, Some(seen.era())));
                }
            }
        }
        Err(Trouble::Busy)
    }

    /// Creates in memory while Redis is away, or where there is none.
    fn create_here(&self, record: &Record, data: &[u8]) -> Result<Created<'_>, Trouble> {
        let (now, mut state) = (self.now(), self.state());
        let State { shelf, link } = &mut *state;
        if shelf.is_gone(record.id) || shelf.get(record.id, now).is_some() {
            return Ok(Created::Taken);
        }
        match &self.place {
            Some(place) if !link.is_away => Ok(Created::Ask(&**place)),
            _ => {
                let next = self.next(record, data, None, now);
                shelf.put(record.id, unsaved(next, link.era))?;
                Ok(Created::Yes)
            }
        }
    }

    pub(crate) async fn delete(&self, id: Id) -> Result<(), Trouble> {
        let _turn = self.turn(id).await;
        let Some(place) = &self.place else {
            self.state().shelf.forget(id);
            return Ok(());
        };
        {
            let mut state = self.state();
            state.shelf.bury(id)?;
            if state.link.is_away {
                return Ok(());
            }
        }
        // From here on it is gone, and what fails is tried again until Redis knows.
        match self.tell(&**place, id).await {
            Ok(true) => {}
            Ok(false) => self.work.notify_one(),
            Err(error) => drop(self.leave(&error)),
        }
        Ok(())
    }

    /// Tells Redis that a session was deleted; says whether it knows now.
    pub(crate) async fn tell(&self, place: &dyn Place, id: Id) -> Result<bool, Error> {
        for _ in 0..MAX_TRIES {
            let (_, seen) = place.see(&[id]).await?;
            let Some(seen) = seen.first() else {
                break;
            };
            self.note(&mut self.state(), seen.era());
            let is_known = matches!(Found::of(seen.record().as_ref()), Found::Sheet(Sheet::Gone));
            if is_known || place.swap(id, seen, &Sheet::gone(), self.longest).await? {
                self.told(id);
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) fn told(&self, id: Id) {
        let until = self.now().plus(self.longest);
        self.state().shelf.told(id, until);
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Redis failed: until it is seen again, the node's memory serves.
    pub(crate) fn leave(&self, error: &Error) -> MutexGuard<'_, State> {
        let mut state = self.state();
        if state.link.leave() && state.link.era.is_some() {
            tracing::warn!(%error, "sessions are kept in memory until Redis is back");
        }
        self.work.notify_one();
        state
    }

    /// Takes note of the era that something was seen in.
    pub(crate) fn note(&self, state: &mut State, era: Era) {
        if state.link.era.is_some_and(|known| era.has_cleared(known)) {
            // A loss of data may hide the clear from what is judged later.
            state.shelf.forget_cleared(era);
        }
        let connection = self.place.as_ref().map_or(0, |place| place.connection());
        match state.link.note(era, connection, Instant::now()) {
            News::None => return,
            News::Reconnected => {}
            News::Lost => {
                tracing::warn!("Redis has lost its sessions; what this node knows is written back");
            }
        }
        state.shelf.owe_all();
        self.work.notify_one();
    }

    /// How long something has left to live.
    pub(crate) fn left(&self, live: &Live) -> Duration {
        let left = live.expires.as_millis();
        Duration::from_millis(left.saturating_sub(self.now().as_millis()))
    }

    pub(crate) async fn turn(&self, id: Id) -> Taken<'_, ()> {
        #[expect(clippy::cast_sign_loss, reason = "some bits of it")]
        let turn = self.turns.get(id.0 as usize % TURNS);
        match turn {
            Some(turn) => turn.lock().await,
            None => unreachable!("a remainder is smaller than its divisor"),
        }
    }

    /// Another node has deleted it. All who know can tell a Redis that has forgotten.
    pub(crate) fn learn(&self, state: &mut State, id: Id) {
        state.shelf.learn(id, self.now().plus(self.longest));
    }

    fn saved(&self, id: Id, live: Live, seen: &Sighting) -> Result<(), Trouble> {
        self.state().shelf.put(id, saved(live, seen))
    }

    fn next(&self, record: &Record, data: &[u8], before: Option<Version>, now: Timestamp) -> Live {
        let last = now.plus(self.longest);
        Live::new(
            Version::after(before, now),
            sheet::expiry(record).min(last),
            data,
        )
    }

    /// Counts what was saved here and is dropped for something else.
    pub(crate) fn outrun(&self, held: Option<&Held>, live: Option<&Live>) {
        if held.is_some_and(|held| !held.is_saved && Some(&held.live) != live) {
            self.counts.outrun.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn damaged(&self) {
        self.counts.damaged.fetch_add(1, Ordering::Relaxed);
        tracing::warn!("a damaged session counts as none");
    }
}

pub(crate) fn saved(live: Live, seen: &Sighting) -> Held {
    Held {
        live,
        era: Some(seen.era()),
        is_saved: true,
    }
}

pub(crate) const fn unsaved(live: Live, era: Option<Era>) -> Held {
    Held {
        live,
        era,
        is_saved: false,
    }
}
