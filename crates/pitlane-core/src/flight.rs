use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use crate::hash::Digest;
use crate::sync::{Arc, Mutex, MutexGuard, lock};

/// What a leader leaves to run when somebody starts to wait for it.
type Hook = Box<dyn FnOnce() + Send>;

/// Single-flight: at most one computation a key at a time, and a way for the others to wait.
///
/// `T` is what a flight lands with; `B` is the basis its computation began from. It knows no
/// runtime: followers are futures with wakers. Lock order: a shard, then a flight.
pub struct Flights<T, B> {
    shards: Arc<Vec<Mutex<Shard<T, B>>>>,
}

type Shard<T, B> = HashMap<Digest, Arc<Flight<T, B>>>;

struct Flight<T, B> {
    state: Mutex<State<T, B>>,
}

struct State<T, B> {
    basis: B,
    phase: Phase<T>,
    /// How many followers there are, woken or not.
    followers: usize,
    /// In the order in which they came to wait, which is the order in which they are woken.
    wakers: BTreeMap<u64, Waker>,
    next_follower: u64,
    hook: Option<Hook>,
}

enum Phase<T> {
    /// Somebody computes.
    Led,
    /// The leader is gone without a result: the first follower to look takes over.
    Vacant,
    /// Here is the result.
    Landed(T),
    /// There will be no shared result: everybody computes alone.
    Released,
}

impl<T: Clone, B> Flights<T, B> {
    /// No flights, in `shards` independent groups (at least one).
    #[must_use]
    pub fn new(shards: usize) -> Self {
        let shards = (0..shards.max(1)).map(|_| Mutex::new(Shard::new()));
        Self {
            shards: Arc::new(shards.collect()),
        }
    }

    /// Joins the flight for `key`, or begins one at `basis`.
    ///
    /// `current` says whether a flight that began at some basis may still be waited for: one that
    /// began before an invalidation of the key must not, and is replaced. Its own followers, who
    /// came before, still get its result.
    ///
    /// A new leader must look into the cache once more before it computes: the flight before
    /// may have landed just now.
    pub fn join(&self, key: Digest, basis: B, current: impl FnOnce(&B) -> bool) -> Joined<T, B> {
        let mut shard = self.shard(key);
        let mut hook = None;
        let joined = match shard.entry(key) {
            Entry::Occupied(mut slot) => {
                let flight = Arc::clone(slot.get());
                let mut state = lock(&flight.state);
                if current(&state.basis) {
                    hook = state.hook.take();
                    state.followers += 1;
                    drop(state);
                    Joined::Follow(Follower {
                        flights: self.clone(),
                        key,
                        flight,
                        seat: None,
                    })
                } else {
                    drop(state);
                    let flight = Arc::new(Flight::led(basis));
                    slot.insert(Arc::clone(&flight));
                    Joined::Lead(self.leader(key, flight))
                }
            }
            Entry::Vacant(slot) => {
                let flight = Arc::clone(slot.insert(Arc::new(Flight::led(basis))));
                Joined::Lead(self.leader(key, flight))
            }
        };
        drop(shard);
        if let Some(hook) = hook {
            hook();
        }
        joined
    }

    /// Whether somebody who came now would wait for a flight for `key`. Nothing is joined, and
    /// nobody notices.
    #[must_use]
    pub fn is_led(&self, key: Digest, current: impl FnOnce(&B) -> bool) -> bool {
        let shard = self.shard(key);
        shard.get(&key).is_some_and(|flight| {
            let state = lock(&flight.state);
            matches!(state.phase, Phase::Led) && current(&state.basis)
        })
    }

    /// How many flights are under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Whether no flight is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn leader(&self, key: Digest, flight: Arc<Flight<T, B>>) -> Leader<T, B> {
        Leader {
            flights: self.clone(),
            key,
            flight,
            done: false,
        }
    }
}

impl<T, B> Flights<T, B> {
    fn shard(&self, key: Digest) -> MutexGuard<'_, Shard<T, B>> {
        let at = key.0 as usize % self.shards.len();
        #[expect(clippy::indexing_slicing, reason = "the remainder is within bounds")]
        lock(&self.shards[at])
    }

    /// Takes a flight out of the table, unless another one has taken its place.
    fn remove(shard: &mut Shard<T, B>, key: Digest, flight: &Arc<Flight<T, B>>) {
        if shard
            .get(&key)
            .is_some_and(|there| Arc::ptr_eq(there, flight))
        {
            shard.remove(&key);
        }
    }
}

impl<T, B> Clone for Flights<T, B> {
    fn clone(&self) -> Self {
        Self {
            shards: Arc::clone(&self.shards),
        }
    }
}

impl<T, B> fmt::Debug for Flights<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

impl<T, B> Flight<T, B> {
    fn led(basis: B) -> Self {
        let state = State {
            basis,
            phase: Phase::Led,
            followers: 0,
            wakers: BTreeMap::new(),
            next_follower: 0,
            hook: None,
        };
        Self {
            state: Mutex::new(state),
        }
    }
}

/// What [`Flights::join`] made of the caller.
#[must_use]
pub enum Joined<T, B> {
    /// The caller computes.
    Lead(Leader<T, B>),
    /// Somebody else does; await the result.
    Follow(Follower<T, B>),
}

impl<T, B> fmt::Debug for Joined<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lead(_) => "Lead",
            Self::Follow(_) => "Follow",
        })
    }
}

/// Held by the one who computes. Dropping it without a result hands the work on to a follower.
#[must_use = "dropping a leader hands its work on"]
pub struct Leader<T, B> {
    flights: Flights<T, B>,
    key: Digest,
    flight: Arc<Flight<T, B>>,
    done: bool,
}

impl<T, B> Leader<T, B> {
    /// Hands the result to all followers. It must be in the cache already: from here on new
    /// requests begin a new flight.
    pub fn land(mut self, result: T) {
        self.finish(Phase::Landed(result));
    }

    /// Tells all followers to compute for themselves, all at once.
    pub fn release(mut self) {
        self.finish(Phase::Released);
    }

    /// How many wait.
    #[must_use]
    pub fn followers(&self) -> usize {
        lock(&self.flight.state).followers
    }

    /// Runs `hook` as soon as somebody waits: at most once, in the follower's own call. It is
    /// forgotten when the leader is done. When somebody waits already it is given back, for the
    /// caller to run where it holds no lock.
    #[must_use = "a hook that is given back has to be run"]
    pub fn on_follower<H: FnOnce() + Send + 'static>(&self, hook: H) -> Option<H> {
        let mut state = lock(&self.flight.state);
        if state.followers > 0 {
            return Some(hook);
        }
        state.hook = Some(Box::new(hook));
        None
    }

    /// States anew from where the computation began: whoever takes over begins later.
    pub fn rebase(&self, basis: B) {
        lock(&self.flight.state).basis = basis;
    }

    fn finish(&mut self, phase: Phase<T>) {
        self.done = true;
        let mut shard = self.flights.shard(self.key);
        let mut state = lock(&self.flight.state);
        if !(matches!(phase, Phase::Vacant) && state.followers > 0) {
            Flights::remove(&mut shard, self.key, &self.flight);
        }
        state.phase = phase;
        let hook = state.hook.take();
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        drop(shard);
        // A hook owns what it would run on; neither its drop nor a waker's work belongs under a
        // lock.
        drop(hook);
        wakers.into_values().for_each(Waker::wake);
    }
}

impl<T, B> Drop for Leader<T, B> {
    fn drop(&mut self) {
        if !self.done {
            self.finish(Phase::Vacant);
        }
    }
}

impl<T, B> fmt::Debug for Leader<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leader")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// What a follower gets in the end.
#[must_use]
pub enum Followed<T, B> {
    /// The leader's result. Judge it as a hit before it is used: it may have been invalidated.
    Landed(T),
    /// No result to share: compute alone, and do not wait for anybody.
    Released,
    /// The leader is gone; the follower leads now, and has to state its own basis.
    Lead(Leader<T, B>),
}

impl<T, B> fmt::Debug for Followed<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Landed(_) => "Landed",
            Self::Released => "Released",
            Self::Lead(_) => "Lead",
        })
    }
}

/// Waits for a leader's result. Dropping it leaves.
#[must_use = "a follower does nothing until it is awaited"]
pub struct Follower<T, B> {
    flights: Flights<T, B>,
    key: Digest,
    flight: Arc<Flight<T, B>>,
    /// Where its waker sits, once it was polled.
    seat: Option<u64>,
}

impl<T: Clone, B> Future for Follower<T, B> {
    type Output = Followed<T, B>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let flight = Arc::clone(&self.flight);
        let mut state = lock(&flight.state);
        match &state.phase {
            Phase::Landed(result) => Poll::Ready(Followed::Landed(result.clone())),
            Phase::Released => Poll::Ready(Followed::Released),
            Phase::Vacant => {
                state.phase = Phase::Led;
                drop(state);
                Poll::Ready(Followed::Lead(self.flights.leader(self.key, flight)))
            }
            Phase::Led => {
                let seat = self.seat.unwrap_or(state.next_follower);
                if self.seat.is_none() {
                    state.next_follower += 1;
                }
                let replaced = state.wakers.insert(seat, cx.waker().clone());
                drop(state);
                // A waker may be the last hold on a task, and that task another follower.
                drop(replaced);
                self.seat = Some(seat);
                Poll::Pending
            }
        }
    }
}

impl<T, B> Drop for Follower<T, B> {
    fn drop(&mut self) {
        let mut shard = self.flights.shard(self.key);
        let mut state = lock(&self.flight.state);
        state.followers -= 1;
        let waker = self.seat.and_then(|seat| state.wakers.remove(&seat));
        // All followers were woken when the leader left; the last one to go clears the table.
        if state.followers == 0 && matches!(state.phase, Phase::Vacant) {
            Flights::remove(&mut shard, self.key, &self.flight);
        }
        drop(state);
        drop(shard);
        drop(waker);
    }
}

impl<T, B> fmt::Debug for Follower<T, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_look_at_a_flight_neither_begins_nor_joins_one() {
        let flights: Flights<(), u8> = Flights::new(2);
        assert!(!flights.is_led(Digest(7), |_| true));
        assert!(flights.is_empty());
        let Joined::Lead(lead) = flights.join(Digest(7), 1, |_| true) else {
            panic!("nobody else is there");
        };
        // A hook that a follower would have set off.
        assert!(lead.on_follower(|| panic!("somebody joined")).is_none());
        assert!(flights.is_led(Digest(7), |basis| *basis == 1));
        assert!(!flights.is_led(Digest(7), |basis| *basis == 2));
        assert!(!flights.is_led(Digest(8), |_| true));
        drop(lead);
        assert!(!flights.is_led(Digest(7), |_| true));
    }
}
