//! Whole requests, which share flights and judge by the log: who begins after an acknowledged
//! invalidation gets nothing from before it, and does not wait for it either.

use loom::{
    future::block_on,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use pitlane_core::{
    Basis, Digest, Flights, Followed, Incarnation, Joined, Judgement, Leader, Log, Mark, Stamp,
    TagId, TagKind,
};

use crate::{Shared, model};

#[test]
fn a_request_after_an_invalidation_never_takes_the_result_of_an_older_flight() {
    check_result(Told::ByTheKey, Guards::ALL);
    check_result(Told::ByTheHandler, Guards::ALL);
}

#[test]
fn a_tag_of_the_key_is_seen_at_the_join_already() {
    check_result(
        Told::ByTheKey,
        Guards {
            judge_result: false,
            ..Guards::ALL
        },
    );
}

#[test]
#[should_panic(expected = "a request was handed a value from before it")]
fn a_result_that_a_follower_does_not_judge_is_caught() {
    check_result(
        Told::ByTheHandler,
        Guards {
            judge_result: false,
            ..Guards::ALL
        },
    );
}

#[test]
fn a_request_after_an_invalidation_does_not_wait_for_an_older_flight() {
    check_wait(Guards::ALL);
}

#[test]
#[should_panic(expected = "a request waited for an older flight")]
fn a_join_that_does_not_judge_the_flight_is_caught() {
    check_wait(Guards {
        judge_flight: false,
        ..Guards::ALL
    });
}

#[test]
fn a_request_that_takes_over_begins_anew_and_misses_no_invalidation() {
    model(|| {
        let world = World::shared();
        let (leader, _) = world.lead();
        let first = world.run(|world| world.request(Guards::ALL));
        let writer = world.run(|world| world.write_and_request(Told::ByTheHandler, Guards::ALL));
        drop(leader);
        first.join().unwrap();
        writer.join().unwrap();
        world.is_settled();
    });
}

/// A flight is under way; a writer invalidates what it computes, and asks right after.
#[track_caller]
fn check_result(told: Told, guards: Guards) {
    model(move || {
        let world = World::shared();
        let (leader, basis) = world.lead();
        let other = world.run(move |world| world.request(guards));
        let writer = world.run(move |world| world.write_and_request(told, guards));
        world.compute(leader, basis);
        other.join().unwrap();
        writer.join().unwrap();
        if guards.judge_result {
            world.is_settled();
        }
    });
}

/// A flight has read its value when the invalidation is acknowledged; then two requests begin.
#[track_caller]
fn check_wait(guards: Guards) {
    model(move || {
        let world = World::shared();
        let (leader, basis) = world.lead();
        let old = world.read(basis);
        world.write(Told::ByTheKey);
        let older = world.run(move |world| world.land(leader, old));
        let other = world.run(move |world| world.waits_for_no_older_flight(guards));
        world.waits_for_no_older_flight(guards);
        older.join().unwrap();
        other.join().unwrap();
        world.is_settled();
    });
}

const KEY: Digest = Digest(1);
/// What the origin holds after the one write.
const NEW: u64 = 1;

/// How the tag that the writer invalidates gets into the entry.
#[derive(Clone, Copy)]
enum Told {
    ByTheKey,
    ByTheHandler,
}

/// The two looks at the log that a request owes: taken out one by one as a control.
#[derive(Clone, Copy)]
struct Guards {
    judge_flight: bool,
    judge_result: bool,
}

impl Guards {
    const ALL: Self = Self {
        judge_flight: true,
        judge_result: true,
    };
}

struct World {
    log: Log,
    flights: Flights<Arc<Entry>, Basis>,
    key_tag: TagId,
    tags: [TagId; 2],
    origin: AtomicU64,
    entry: Mutex<Option<Arc<Entry>>>,
}

struct Entry {
    value: u64,
    stamp: Stamp,
}

impl World {
    fn shared() -> Shared<Self> {
        let log = Log::new(Incarnation::from_random(1), 10);
        let key_tag = log.tag_id(TagKind::Subtree, "club:42");
        Shared::new(Self {
            tags: [key_tag, log.tag_id(TagKind::Tag, "members")],
            key_tag,
            log,
            flights: Flights::new(1),
            origin: AtomicU64::new(0),
            entry: Mutex::new(None),
        })
    }

    fn lead(&self) -> (Leader<Arc<Entry>, Basis>, Basis) {
        let basis = self.log.basis();
        match self.flights.join(KEY, basis, |_| true) {
            Joined::Lead(leader) => (leader, basis),
            Joined::Follow(_) => panic!("somebody leads already"),
        }
    }

    fn write_and_request(&self, told: Told, guards: Guards) {
        self.write(told);
        let value = self.request(guards);
        assert_eq!(value, NEW, "a request was handed a value from before it");
    }

    fn write(&self, told: Told) {
        self.origin.store(NEW, Relaxed);
        let [by_key, by_handler] = self.tags;
        let tag = match told {
            Told::ByTheKey => by_key,
            Told::ByTheHandler => by_handler,
        };
        self.log.append([Mark { tag, soft: false }]);
    }

    fn request(&self, guards: Guards) -> u64 {
        if let Some(value) = self.hit() {
            return value;
        }
        let basis = self.log.basis();
        let followed = match self.join(basis, guards) {
            Joined::Lead(leader) => return self.compute(leader, basis),
            Joined::Follow(follower) => block_on(follower),
        };
        match followed {
            Followed::Landed(entry) if !guards.judge_result || self.is_fresh(&entry) => entry.value,
            Followed::Landed(_) | Followed::Released => self.read(self.log.basis()).value,
            Followed::Lead(leader) => {
                let basis = self.log.basis();
                leader.rebase(basis);
                self.compute(leader, basis)
            }
        }
    }

    fn join(&self, basis: Basis, guards: Guards) -> Joined<Arc<Entry>, Basis> {
        self.flights.join(KEY, basis, |began| {
            let (judgement, _) = self.log.judge(began, &[self.key_tag]);
            !guards.judge_flight || judgement == Judgement::Fresh
        })
    }

    fn waits_for_no_older_flight(&self, guards: Guards) {
        let basis = self.log.basis();
        match self.join(basis, guards) {
            Joined::Lead(leader) => {
                self.compute(leader, basis);
            }
            Joined::Follow(follower) => {
                let Followed::Landed(entry) = block_on(follower) else {
                    panic!("every leader lands here");
                };
                assert_eq!(entry.value, NEW, "a request waited for an older flight");
            }
        }
    }

    fn compute(&self, leader: Leader<Arc<Entry>, Basis>, basis: Basis) -> u64 {
        self.land(leader, self.read(basis))
    }

    fn land(&self, leader: Leader<Arc<Entry>, Basis>, entry: Entry) -> u64 {
        let value = entry.value;
        let entry = Arc::new(entry);
        *self.entry.lock().unwrap() = Some(Arc::clone(&entry));
        leader.land(entry);
        value
    }

    /// The handler: it reads the origin after its position was noted.
    fn read(&self, basis: Basis) -> Entry {
        Entry {
            value: self.origin.load(Relaxed),
            stamp: Stamp::new(basis),
        }
    }

    fn hit(&self) -> Option<u64> {
        let entry = self.entry.lock().unwrap().clone()?;
        self.is_fresh(&entry).then_some(entry.value)
    }

    fn is_fresh(&self, entry: &Entry) -> bool {
        entry.stamp.judge(&self.log, &self.tags) == Judgement::Fresh
    }

    /// When all is quiet, nothing is left in the air and no old value in the cache.
    #[track_caller]
    fn is_settled(&self) {
        assert!(self.flights.is_empty(), "a flight is left behind");
        assert!(matches!(self.hit(), None | Some(NEW)));
    }
}
