//! Brings Redis and this node's memory together, after an outage and all the time.

use std::sync::{Arc, Weak};
use std::time::Duration;

use pitlane::{Error, Sighting};
use tokio::time::{Instant, sleep, timeout};
use tower_sessions_core::session::Id;

use crate::judge::{Found, Judged, judge};
use crate::node::{Node, State, saved, unsaved};
use crate::place::Place;
use crate::sheet::Sheet;

/// How often Redis is looked at, so that what it has lost is missed even without requests.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How often it is tried while there is something to be done. An open circuit costs nothing.
const PAUSE: Duration = Duration::from_millis(50);
/// How many sessions are compared at once.
const BATCH: usize = 128;

/// Works until the node is dropped.
pub(crate) async fn run(node: Weak<Node>) {
    let mut swept = Instant::now();
    loop {
        let Some(node) = node.upgrade() else {
            return;
        };
        node.round().await;
        if swept.elapsed() >= HEARTBEAT {
            node.sweep();
            swept = Instant::now();
        }
        let (has_work, work) = (node.has_work(), Arc::clone(&node.work));
        drop(node);
        if has_work {
            sleep(PAUSE).await;
        } else {
            let _ = timeout(HEARTBEAT, work.notified()).await;
        }
    }
}

impl Node {
    /// Whether Redis lacks something that this node knows, or is away.
    pub(crate) fn has_work(&self) -> bool {
        let State { shelf, link } = &*self.state();
        let load = shelf.load();
        self.place.is_some() && (link.is_away || load.unsaved > 0 || load.owed > 0)
    }

    /// One attempt to bring Redis up to date.
    pub(crate) async fn round(&self) {
        if let Some(place) = &self.place
            && let Err(error) = self.sync(&**place).await
        {
            drop(self.leave(&error));
        }
    }

    /// Gives back the memory of what is over.
    pub(crate) fn sweep(&self) {
        let now = self.now();
        self.state().shelf.sweep(now);
    }

    /// Deletions come first; then sessions, when the other nodes had time for their deletions.
    async fn sync(&self, place: &dyn Place) -> Result<(), Error> {
        let (era, _) = place.see(&[]).await?;
        let (owed, troubles) = {
            let mut state = self.state();
            self.note(&mut state, era);
            (state.shelf.owed(), state.link.troubles())
        };
        for ids in owed.chunks(BATCH) {
            self.tell_many(place, ids).await?;
        }
        let ids = {
            let State { shelf, link } = &*self.state();
            if link.must_wait(Instant::now()) {
                return Ok(());
            }
            shelf.ids(!link.must_compare)
        };
        for ids in ids.chunks(BATCH) {
            let (_, seen) = place.see(ids).await?;
            for (id, seen) in ids.iter().zip(&seen) {
                self.reconcile(place, *id, seen).await?;
            }
        }
        if self.state().link.arrive(troubles, Instant::now()) {
            tracing::info!("sessions are in Redis again");
        }
        Ok(())
    }

    async fn tell_many(&self, place: &dyn Place, ids: &[Id]) -> Result<(), Error> {
        let (_, seen) = place.see(ids).await?;
        for (id, seen) in ids.iter().zip(&seen) {
            let found = Found::of(seen.record().as_ref());
            let is_known = matches!(found, Found::Sheet(Sheet::Gone));
            if is_known || place.swap(*id, seen, &Sheet::gone(), self.longest).await? {
                self.told(*id);
            }
        }
        Ok(())
    }

    /// Settles one session that is in memory with what was seen of it in Redis. What changes
    /// meanwhile on either side is left to the next round.
    async fn reconcile(&self, place: &dyn Place, id: Id, seen: &Sighting) -> Result<(), Error> {
        let ours = {
            let (now, mut state) = (self.now(), self.state());
            self.note(&mut state, seen.era());
            let Some(held) = state.shelf.get(id, now).cloned() else {
                return Ok(());
            };
            match judge(Some(&held), seen, now, state.link.must_compare) {
                Judged::Ours => {
                    // Until Redis has it, it has to stay.
                    let pinned = unsaved(held.live.clone(), held.era);
                    let _ = state.shelf.put(id, pinned);
                    held.live
                }
                Judged::Theirs(live) => {
                    self.outrun(Some(&held), Some(&live));
                    let _ = state.shelf.put(id, saved(live, seen));
                    return Ok(());
                }
                Judged::Confirmed => return Ok(()),
                Judged::Gone => {
                    self.outrun(Some(&held), None);
                    self.learn(&mut state, id);
                    return Ok(());
                }
                Judged::Nothing => {
                    self.outrun(Some(&held), None);
                    state.shelf.forget(id);
                    return Ok(());
                }
            }
        };
        let ttl = self.left(&ours);
        if place.swap(id, seen, &ours.bytes, ttl).await? {
            let (now, mut state) = (self.now(), self.state());
            let is_same = |version| version == ours.version;
            if state
                .shelf
                .get(id, now)
                .is_some_and(|held| is_same(held.live.version))
            {
                let _ = state.shelf.put(id, saved(ours, seen));
            }
        }
        Ok(())
    }
}
