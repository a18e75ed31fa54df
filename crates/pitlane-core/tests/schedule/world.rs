//! The real thing and the references, driven together.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use pitlane_core::{
    Basis, Dependencies, Digest, Flights, Followed, Follower, Incarnation, Joined, Judgement,
    Leader, Log, Mark, Meta, Reason, Stamp, Tag, TagId, TagSet, Timestamp,
};

use super::{
    KEYS, SLOTS, Step,
    board::{Board, Flight, Phase, Slot},
    history::{History, Made, TAGS},
};

pub(crate) struct World {
    log: Log,
    /// The table holds a row for every tag, so it never forgets.
    roomy: bool,
    tags: [Tag; TAGS],
    flights: Flights<Rc<Entry>, Basis>,
    cache: [Option<Rc<Entry>>; KEYS],
    requests: [Option<Request>; SLOTS],
    hooks_run: Arc<AtomicUsize>,
    lives: u64,
    history: History,
    board: Board,
}

struct Entry {
    meta: Meta,
    made: Made,
}

struct Request {
    key: usize,
    flight: Flight,
    doing: Doing,
}

enum Doing {
    Wait(Follower<Rc<Entry>, Basis>, Arc<Wakes>),
    Compute(Leader<Rc<Entry>, Basis>, Work),
}

struct Work {
    dependencies: Dependencies,
    made: Made,
}

/// Counts the wakes since the last poll. A new task is awake.
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl World {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            log: Log::new(Incarnation::from_random(1), capacity),
            roomy: capacity >= TAGS,
            tags: ["first", "second", "third"].map(Tag::new),
            flights: Flights::new(2),
            cache: Default::default(),
            requests: Default::default(),
            hooks_run: Arc::default(),
            lives: 1,
            history: History::default(),
            board: Board::default(),
        }
    }

    pub(crate) fn take(&mut self, step: Step) {
        match step {
            Step::Begin(key) => self.with(0, Option::is_none, |world, slot| world.begin(slot, key)),
            Step::Poll(nth) => self.with(nth, waits, Self::poll),
            Step::Leave(nth) => self.with(nth, Option::is_some, Self::leave),
            Step::Read(nth, tag) => {
                self.with(nth, computes, |world, slot| world.read(slot, tag));
            }
            Step::Use(nth, key, expired) => {
                self.with(nth, computes, |world, slot| {
                    world.use_cached(slot, key, expired)
                });
            }
            Step::Hook(nth) => self.with(nth, computes, Self::hook),
            Step::End(nth, phase) => self.with(nth, computes, |world, slot| world.end(slot, phase)),
            Step::Hit(key) => drop(self.cache[key].clone().map(|entry| self.judge(&entry))),
            Step::Write(tag) => self.history.write(tag),
            Step::Invalidate(tag, soft) => self.invalidate(tag, soft),
            Step::Renew => self.renew(),
        }
    }

    /// Takes a step with the nth of all requests that can, counted round and round.
    fn with(
        &mut self,
        nth: usize,
        can: impl Fn(&Option<Request>) -> bool,
        step: impl FnOnce(&mut Self, Slot),
    ) {
        let able: Vec<Slot> = (0..SLOTS)
            .filter(|slot| can(&self.requests[*slot]))
            .collect();
        if !able.is_empty() {
            step(self, able[nth % able.len()]);
        }
    }

    /// What holds after every step, whatever it was.
    pub(crate) fn check(&self) {
        assert_eq!(self.flights.len(), self.board.in_the_air());
        assert_eq!(self.hooks_run.load(SeqCst), self.board.hooks_run);
        let mut led: Vec<Flight> = Vec::new();
        for (slot, request) in self.requests.iter().enumerate() {
            let Some(Request { flight, doing, .. }) = request else {
                continue;
            };
            match doing {
                Doing::Wait(_, wakes) => {
                    let awake = wakes.0.load(SeqCst) > 0;
                    assert_eq!(awake, self.board.must_be_awake(*flight, slot), "in {slot}");
                }
                Doing::Compute(leader, _) => {
                    assert_eq!(leader.followers(), self.board.followers(*flight));
                    assert_eq!(self.board.phase(*flight), Phase::Led);
                    assert!(!led.contains(flight), "two lead flight {flight}");
                    led.push(*flight);
                }
            }
        }
    }

    /// Lets everybody end who can, and polls only who is awake: nobody may be left.
    pub(crate) fn drain(&mut self) {
        // Each round at least one request ends, or none can any more.
        for _ in 0..=SLOTS {
            for slot in 0..SLOTS {
                self.end(slot, Phase::Vacant);
                self.check();
            }
            for slot in 0..SLOTS {
                if self.is_awake(slot) {
                    self.poll(slot);
                    self.check();
                }
            }
        }
        assert!(self.requests.iter().all(Option::is_none), "somebody hangs");
        assert!(self.flights.is_empty());
    }

    fn begin(&mut self, slot: Slot, key: usize) {
        let basis = self.log.basis();
        let current = self.board.current(key);
        let asked = Cell::new(None);
        let joined = self.flights.join(digest(key), basis, |began| {
            assert_eq!(Some(*began), current.map(|flight| self.board.basis(flight)));
            let (judgement, _) = self.log.judge(began, &[self.tag_id(key)]);
            asked.set(Some(judgement == Judgement::Fresh));
            judgement == Judgement::Fresh
        });
        assert_eq!(asked.get().is_some(), current.is_some());
        let request = match (joined, current) {
            (Joined::Follow(follower), Some(flight)) if asked.get() == Some(true) => {
                self.board.follow(flight, slot);
                let doing = Doing::Wait(follower, Arc::new(Wakes(AtomicUsize::new(1))));
                Request { key, flight, doing }
            }
            (Joined::Lead(leader), _) if asked.get() != Some(true) => {
                let doing = Doing::Compute(leader, self.work(key, basis));
                let flight = self.board.begin(key, basis);
                Request { key, flight, doing }
            }
            (joined, current) => panic!("{joined:?} at {current:?}, asked: {asked:?}"),
        };
        self.requests[slot] = Some(request);
    }

    fn poll(&mut self, slot: Slot) {
        let Some(Request { key, flight, doing }) = self.requests[slot].take() else {
            return;
        };
        let Doing::Wait(mut follower, wakes) = doing else {
            self.requests[slot] = Some(Request { key, flight, doing });
            return;
        };
        wakes.0.store(0, SeqCst);
        let waker = Waker::from(Arc::clone(&wakes));
        let polled = Pin::new(&mut follower).poll(&mut Context::from_waker(&waker));
        drop(waker);
        let found = self.board.look(flight, slot);
        let doing = match (polled, found) {
            (Poll::Pending, Phase::Led) => Doing::Wait(follower, wakes),
            (Poll::Ready(Followed::Lead(leader)), Phase::Vacant) => {
                drop(follower);
                assert_eq!(Arc::strong_count(&wakes), 1, "a waker is kept");
                let basis = self.log.basis();
                leader.rebase(basis);
                self.board.rebase(flight, basis);
                Doing::Compute(leader, self.work(key, basis))
            }
            (Poll::Ready(Followed::Landed(entry)), Phase::Landed) => {
                self.judge(&entry);
                return;
            }
            (Poll::Ready(Followed::Released), Phase::Released) => return,
            (polled, found) => panic!("{polled:?} instead of {found:?}"),
        };
        self.requests[slot] = Some(Request { key, flight, doing });
    }

    fn leave(&mut self, slot: Slot) {
        let Some(Request { flight, doing, .. }) = self.requests[slot].take() else {
            return;
        };
        match doing {
            Doing::Wait(follower, wakes) => {
                drop(follower);
                assert_eq!(Arc::strong_count(&wakes), 1, "a waker is kept");
                self.board.leave(flight, slot);
            }
            Doing::Compute(leader, _) => {
                drop(leader);
                self.board.end(flight, Phase::Vacant);
            }
        }
    }

    fn read(&mut self, slot: Slot, tag: usize) {
        let id = self.tag_id(tag);
        if let Some(Request {
            doing: Doing::Compute(_, work),
            ..
        }) = &mut self.requests[slot]
        {
            self.history.read(&mut work.made, tag);
            work.dependencies.tag(self.tags[tag].clone(), id);
        }
    }

    fn use_cached(&mut self, slot: Slot, key: usize, expired: bool) {
        let Some(entry) = self.cache[key].clone() else {
            return;
        };
        let judgement = self.judge(&entry);
        if let Some(Request {
            doing: Doing::Compute(_, work),
            ..
        }) = &mut self.requests[slot]
            && !matches!(judgement, Judgement::Unusable(_))
        {
            let fresh = judgement == Judgement::Fresh && !expired;
            work.dependencies.depend(&entry.meta, fresh);
            let gathered = work.dependencies.gathered();
            assert!(fresh || gathered.stale && gathered.basis.generation.is_none());
            work.made.absorb(&entry.made);
        }
    }

    fn hook(&mut self, slot: Slot) {
        if let Some(Request {
            doing: Doing::Compute(leader, _),
            flight,
            ..
        }) = &self.requests[slot]
        {
            let runs = Arc::clone(&self.hooks_run);
            let due = leader.on_follower(move || {
                runs.fetch_add(1, SeqCst);
            });
            if let Some(hook) = due {
                hook();
            }
            self.board.hook(*flight);
        }
    }

    fn end(&mut self, slot: Slot, phase: Phase) {
        let Some(Request { key, flight, doing }) = self.requests[slot].take() else {
            return;
        };
        let Doing::Compute(leader, work) = doing else {
            self.requests[slot] = Some(Request { key, flight, doing });
            return;
        };
        match phase {
            Phase::Landed => {
                let entry = Rc::new(self.entry(key, work));
                self.cache[key] = Some(Rc::clone(&entry));
                leader.land(entry);
            }
            Phase::Released => leader.release(),
            Phase::Vacant | Phase::Led => drop(leader),
        }
        self.board.end(flight, phase);
    }

    fn invalidate(&mut self, tag: usize, soft: bool) {
        let id = self.tag_id(tag);
        self.log.append([Mark { tag: id, soft }]);
        self.history.invalidate(tag, soft);
    }

    fn renew(&mut self) {
        self.lives += 1;
        self.log.renew(Incarnation::from_random(self.lives));
        self.history.renew();
    }

    /// The verdict on an entry, which both the rule and its purpose have to agree with.
    fn judge(&self, entry: &Entry) -> Judgement {
        let judgement = entry.meta.judge(&self.log);
        self.history.allows(&entry.made, judgement);
        let forgotten = Judgement::Unusable(Reason::Horizon);
        if self.roomy || judgement != forgotten {
            assert_eq!(judgement, self.history.judge(&entry.made));
        }
        judgement
    }

    fn work(&self, key: usize, basis: Basis) -> Work {
        Work {
            dependencies: Dependencies::new(basis),
            made: self.history.begin(key),
        }
    }

    fn entry(&self, key: usize, work: Work) -> Entry {
        let gathered = work.dependencies.gathered();
        let mut implied = gathered.ids;
        implied.push(self.tag_id(key));
        let tags = TagSet::new(&self.log, gathered.names, &implied);
        let mut wanted: Vec<TagId> = work.made.tags().map(|tag| self.tag_id(tag)).collect();
        wanted.sort_unstable();
        assert_eq!(tags.ids(), wanted);
        let meta = Meta {
            stored_at: Timestamp::from_millis(0),
            cost: Duration::ZERO,
            tags,
            stamp: Stamp::new(gathered.basis),
        };
        Entry {
            meta,
            made: work.made,
        }
    }

    fn tag_id(&self, tag: usize) -> TagId {
        self.tags[tag].id(self.log.tags())
    }

    fn is_awake(&self, slot: Slot) -> bool {
        match &self.requests[slot] {
            Some(Request {
                doing: Doing::Wait(_, wakes),
                ..
            }) => wakes.0.load(SeqCst) > 0,
            _ => false,
        }
    }
}

fn waits(request: &Option<Request>) -> bool {
    matches!(
        request,
        Some(Request {
            doing: Doing::Wait(..),
            ..
        })
    )
}

fn computes(request: &Option<Request>) -> bool {
    matches!(
        request,
        Some(Request {
            doing: Doing::Compute(..),
            ..
        })
    )
}

fn digest(key: usize) -> Digest {
    Digest(key as u128)
}
