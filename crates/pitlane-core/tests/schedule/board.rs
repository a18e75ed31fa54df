//! The reference for the flights: who leads, who waits, and which flight each key has.

use std::collections::{BTreeSet, HashMap};

use pitlane_core::Basis;

/// A request's place in the schedule.
pub(crate) type Slot = usize;
/// Flights are numbered as they begin, and never forgotten.
pub(crate) type Flight = usize;

#[derive(Debug, Default)]
pub(crate) struct Board {
    flights: Vec<State>,
    /// The flight that new requests find.
    current: HashMap<usize, Flight>,
    /// How many hooks have run.
    pub(crate) hooks_run: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Led,
    Vacant,
    Landed,
    Released,
}

#[derive(Debug)]
struct State {
    key: usize,
    basis: Basis,
    phase: Phase,
    followers: BTreeSet<Slot>,
    /// Followers that saw their leader at work, and have to be woken when that ends.
    waiting: BTreeSet<Slot>,
    /// Followers that are new, or were woken since they last looked.
    woken: BTreeSet<Slot>,
    has_hook: bool,
}

impl Board {
    pub(crate) fn current(&self, key: usize) -> Option<Flight> {
        self.current.get(&key).copied()
    }

    pub(crate) fn in_the_air(&self) -> usize {
        self.current.len()
    }

    pub(crate) fn basis(&self, flight: Flight) -> Basis {
        self.flights[flight].basis
    }

    pub(crate) fn phase(&self, flight: Flight) -> Phase {
        self.flights[flight].phase
    }

    pub(crate) fn followers(&self, flight: Flight) -> usize {
        self.flights[flight].followers.len()
    }

    pub(crate) fn must_be_awake(&self, flight: Flight, slot: Slot) -> bool {
        self.flights[flight].woken.contains(&slot)
    }

    pub(crate) fn begin(&mut self, key: usize, basis: Basis) -> Flight {
        self.flights.push(State {
            key,
            basis,
            phase: Phase::Led,
            followers: BTreeSet::new(),
            waiting: BTreeSet::new(),
            woken: BTreeSet::new(),
            has_hook: false,
        });
        let flight = self.flights.len() - 1;
        self.current.insert(key, flight);
        flight
    }

    pub(crate) fn follow(&mut self, flight: Flight, slot: Slot) {
        let state = &mut self.flights[flight];
        state.followers.insert(slot);
        state.woken.insert(slot);
        self.hooks_run += usize::from(std::mem::take(&mut state.has_hook));
    }

    pub(crate) fn rebase(&mut self, flight: Flight, basis: Basis) {
        self.flights[flight].basis = basis;
    }

    pub(crate) fn hook(&mut self, flight: Flight) {
        let state = &mut self.flights[flight];
        state.has_hook = state.followers.is_empty();
        self.hooks_run += usize::from(!state.has_hook);
    }

    /// A follower looks: it waits, or it goes with what it finds.
    pub(crate) fn look(&mut self, flight: Flight, slot: Slot) -> Phase {
        let state = &mut self.flights[flight];
        let found = state.phase;
        if found == Phase::Led {
            state.woken.remove(&slot);
            state.waiting.insert(slot);
            return found;
        }
        if found == Phase::Vacant {
            state.phase = Phase::Led;
        }
        self.leave(flight, slot);
        found
    }

    pub(crate) fn leave(&mut self, flight: Flight, slot: Slot) {
        let state = &mut self.flights[flight];
        state.followers.remove(&slot);
        state.waiting.remove(&slot);
        state.woken.remove(&slot);
        self.clear(flight);
    }

    pub(crate) fn end(&mut self, flight: Flight, phase: Phase) {
        let state = &mut self.flights[flight];
        state.phase = phase;
        state.has_hook = false;
        state.woken.append(&mut state.waiting);
        self.clear(flight);
    }

    /// A key has a flight only as long as somebody leads it, or somebody is left who might.
    fn clear(&mut self, flight: Flight) {
        let state = &self.flights[flight];
        let alive = match state.phase {
            Phase::Led => true,
            Phase::Vacant => !state.followers.is_empty(),
            Phase::Landed | Phase::Released => false,
        };
        if !alive && self.current.get(&state.key) == Some(&flight) {
            self.current.remove(&state.key);
        }
    }
}
