//! A Redis that comes and goes, loses its data, and carries out what was given up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pitlane::{Caches, Era, Error, Sighting};
use tokio::sync::Notify;
use tokio::time::timeout;
use tower_sessions_core::session::Id;

use crate::place::Place;
use crate::sheet::Sheet;

pub(super) const NODES: usize = 2;

/// What becomes of a node's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
    Fine,
    /// Nothing arrives.
    Away,
    /// Writes are done, but the answer is lost.
    Deaf,
    /// Writes arrive later, if ever.
    Late,
}

#[derive(Clone, Debug)]
pub(super) struct Redis(Arc<Mutex<State>>);

/// What is stored, and the era it was stored in.
type Content = HashMap<i128, (Era, Bytes)>;

#[derive(Debug)]
struct State {
    life: u32,
    clears: u32,
    content: Content,
    /// What it would begin with after a loss of the last moments.
    older: Content,
    weather: [Weather; NODES],
    late: Vec<Swap>,
    starts: u64,
    held: Option<(Call, Arc<Gate>)>,
}

#[derive(Debug)]
struct Swap {
    id: Id,
    era: Era,
    expected: Option<Bytes>,
    value: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Its answer is on its way.
    See,
    /// It is on its way itself.
    Swap,
}

/// A call on its way.
#[derive(Debug, Default)]
pub(super) struct Gate {
    entered: Notify,
    pub(super) opened: Notify,
}

impl Gate {
    /// Waits until there is such a call.
    pub(super) async fn entered(&self) {
        let entered = timeout(Duration::from_secs(10), self.entered.notified()).await;
        assert!(entered.is_ok(), "there is no such call");
    }
}

/// One node's way to Redis.
#[derive(Debug)]
pub(super) struct Way {
    redis: Redis,
    node: usize,
}

impl Redis {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            life: 1,
            clears: 0,
            content: Content::new(),
            older: Content::new(),
            weather: [Weather::Fine; NODES],
            late: Vec::new(),
            starts: 1,
            held: None,
        })))
    }

    pub(super) fn way(&self, node: usize) -> Way {
        let redis = self.clone();
        Way { redis, node }
    }

    pub(super) fn era(&self) -> Era {
        self.state().era()
    }

    pub(super) fn set_weather(&self, node: usize, weather: Weather) {
        self.state().weather[node] = weather;
    }

    /// Another process, without the data.
    pub(super) fn lose(&self) {
        let mut state = self.state();
        (state.life, state.clears) = (state.life + 1, 0);
        state.older.clear();
        state.begin();
    }

    /// Another process, with the data of when it was last remembered.
    pub(super) fn rewind(&self) {
        self.state().begin();
    }

    /// What a rewind goes back to.
    pub(super) fn remember(&self) {
        let mut state = self.state();
        state.older = state.content.clone();
    }

    pub(super) fn clear(&self) {
        let mut state = self.state();
        state.clears += 1;
        state.older.clear();
    }

    /// Carries out what was given up last; says whether there was something.
    pub(super) fn late(&self) -> bool {
        let mut state = self.state();
        let swap = state.late.pop();
        swap.map(|swap| state.carry_out(swap)).is_some()
    }

    /// Holds the next call of a kind back until its gate is opened.
    pub(super) fn hold(&self, call: Call) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        self.state().held = Some((call, Arc::clone(&gate)));
        gate
    }

    async fn pass(&self, call: Call) {
        let held = self.state().held.take_if(|(held, _)| *held == call);
        if let Some((_, gate)) = held {
            gate.entered.notify_one();
            gate.opened.notified().await;
        }
    }

    /// What is stored of a session.
    pub(super) fn stored(&self, id: Id) -> Option<Sheet> {
        Sheet::decode(&self.state().record(id)?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    const fn era(&self) -> Era {
        Era::new(self.life, self.clears)
    }

    fn begin(&mut self) {
        self.content = self.older.clone();
        self.starts += 1;
        // What was on its way went with the connections.
        self.late.clear();
    }

    /// What is of another era was cleared, or is of a life that was lost.
    fn record(&self, id: Id) -> Option<Bytes> {
        let (era, value) = self.content.get(&id.0)?;
        (*era == self.era()).then(|| value.clone())
    }

    fn see(&self, node: usize, ids: &[Id]) -> Result<(Era, Vec<Sighting>), Error> {
        if self.weather[node] == Weather::Away {
            return Err(trouble());
        }
        let era = self.era();
        let see = |id: &Id| match self.record(*id) {
            Some(value) => Sighting::of(era, &value),
            None => Sighting::empty(era),
        };
        Ok((era, ids.iter().map(see).collect()))
    }

    fn carry_out(&mut self, swap: Swap) -> bool {
        let is_same = self.record(swap.id) == swap.expected;
        if is_same {
            self.content.insert(swap.id.0, (swap.era, swap.value));
        }
        is_same
    }
}

#[async_trait]
impl Place for Way {
    fn connection(&self) -> u64 {
        self.redis.state().starts
    }

    async fn see(&self, ids: &[Id]) -> Result<(Era, Vec<Sighting>), Error> {
        let seen = self.redis.state().see(self.node, ids);
        self.redis.pass(Call::See).await;
        seen
    }

    async fn swap(
        &self,
        id: Id,
        seen: &Sighting,
        value: &[u8],
        ttl: Duration,
    ) -> Result<bool, Error> {
        assert!(!ttl.is_zero(), "what is stored has time left");
        self.redis.pass(Call::Swap).await;
        let swap = Swap {
            id,
            era: seen.era(),
            expected: seen.record(),
            value: Bytes::copy_from_slice(value),
        };
        let mut state = self.redis.state();
        match state.weather[self.node] {
            Weather::Fine => return Ok(state.carry_out(swap)),
            Weather::Away => {}
            Weather::Deaf => drop(state.carry_out(swap)),
            Weather::Late => state.late.push(swap),
        }
        Err(trouble())
    }
}

fn trouble() -> Error {
    let caches = Caches::builder().build().unwrap();
    caches.get("nowhere").unwrap_err()
}
