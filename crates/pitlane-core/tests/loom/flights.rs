//! Leaders and followers that come and go at once: somebody always computes, never two, and
//! nobody is left waiting (loom calls it a deadlock when a follower is).

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll, Wake, Waker},
};

use loom::{
    future::block_on,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};
use pitlane_core::{Digest, Followed, Follower, Joined, Leader};

use crate::{Shared, model};

#[test]
fn a_leader_that_drops_hands_on_to_one_of_two_who_join_or_wait() {
    model(|| {
        let airfield = Airfield::shared();
        let leader = airfield.lead();
        let first = airfield.run(|airfield| airfield.request(End::Land));
        let second = airfield.run(|airfield| airfield.request(End::Land));
        airfield.end(leader, End::Drop);
        first.join().unwrap();
        second.join().unwrap();
        airfield.is_left_empty();
    });
}

#[test]
fn a_leader_that_drops_twice_in_a_row_still_leaves_nobody_waiting() {
    model(|| {
        let airfield = Airfield::shared();
        let leader = airfield.lead();
        let first = airfield.run(|airfield| airfield.request(End::Drop));
        let second = airfield.run(|airfield| airfield.request(End::Drop));
        airfield.end(leader, End::Drop);
        first.join().unwrap();
        second.join().unwrap();
        airfield.is_left_empty();
    });
}

#[test]
fn a_follower_dropped_around_its_wake_leaves_the_work_to_the_other() {
    model(|| {
        let airfield = Airfield::shared();
        let leader = airfield.lead();
        let mut leaving = airfield.follow();
        let staying = airfield.follow();
        assert!(poll_once(&mut leaving).is_none());
        let waiter = airfield.run(move |airfield| {
            let followed = block_on(staying);
            assert!(matches!(followed, Followed::Lead(_)));
            airfield.go_on(followed, End::Land);
        });
        let dropper = thread::spawn(move || drop(leaving));
        airfield.end(leader, End::Drop);
        waiter.join().unwrap();
        dropper.join().unwrap();
        airfield.is_left_empty();
    });
}

#[test]
fn a_woken_follower_that_is_dropped_before_it_looks_leaves_the_work_to_the_other() {
    model(|| {
        let airfield = Airfield::shared();
        let leader = airfield.lead();
        let mut woken = airfield.follow();
        let waiting = airfield.follow();
        assert!(poll_once(&mut woken).is_none());
        let waiter = airfield.run(move |airfield| airfield.go_on(block_on(waiting), End::Land));
        airfield.end(leader, End::Drop);
        drop(woken);
        waiter.join().unwrap();
        airfield.is_left_empty();
    });
}

#[test]
fn a_leader_and_its_only_follower_that_drop_at_once_leave_nothing_behind() {
    model(|| {
        let airfield = Airfield::shared();
        let leader = airfield.lead();
        let mut follower = airfield.follow();
        assert!(poll_once(&mut follower).is_none());
        let dropper = thread::spawn(move || drop(follower));
        let joiner = airfield.run(|airfield| airfield.request(End::Land));
        airfield.end(leader, End::Drop);
        dropper.join().unwrap();
        joiner.join().unwrap();
        airfield.is_left_empty();
    });
}

#[test]
fn a_flight_that_its_leader_and_its_last_follower_drop_at_once_is_gone() {
    model(|| {
        let airfield = Airfield::shared();
        let leader = airfield.lead();
        let follower = airfield.follow();
        let dropper = thread::spawn(move || drop(follower));
        airfield.end(leader, End::Drop);
        dropper.join().unwrap();
        airfield.is_left_empty();
    });
}

#[test]
fn a_follower_that_leaves_a_vacant_flight_does_not_clear_it_under_those_who_join() {
    model(|| {
        let airfield = Airfield::shared();
        let leader = airfield.lead();
        let leaving = airfield.follow();
        airfield.end(leader, End::Drop);
        let first = airfield.run(|airfield| airfield.request(End::Land));
        let second = airfield.run(|airfield| airfield.request(End::Land));
        drop(leaving);
        first.join().unwrap();
        second.join().unwrap();
        airfield.is_left_empty();
    });
}

#[test]
fn a_leader_that_lands_or_releases_while_others_join_leaves_nobody_waiting() {
    for end in [End::Land, End::Release] {
        model(move || {
            let airfield = Airfield::shared();
            let leader = airfield.lead();
            let first = airfield.run(move |airfield| airfield.request(end));
            let second = airfield.run(move |airfield| airfield.request(end));
            airfield.end(leader, end);
            first.join().unwrap();
            second.join().unwrap();
            airfield.is_left_empty();
        });
    }
}

#[test]
fn the_hook_runs_once_when_somebody_waits_and_never_when_nobody_does() {
    model(|| {
        let airfield = Airfield::shared();
        let leader = airfield.lead();
        let first = airfield.run(Airfield::wait);
        let second = airfield.run(Airfield::wait);
        let runs = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&runs);
        let due = leader.on_follower(move || {
            counter.fetch_add(1, SeqCst);
        });
        if let Some(hook) = due {
            hook();
        }
        leader.land(HOOKED);
        let waited = first.join().unwrap() | second.join().unwrap();
        // Either the leader ran it, because somebody waited already, or the first who joined did.
        assert_eq!(runs.load(SeqCst), usize::from(waited));
        airfield.is_left_empty();
    });
}

#[test]
fn a_waker_that_owns_another_follower_is_dropped_outside_the_locks() {
    model(|| {
        let airfield = Airfield::shared();
        let leader = airfield.lead();
        let mut follower = airfield.follow();
        let owned = std::sync::Arc::new(Owner(Mutex::new(Some(airfield.follow()))));
        let mut context = Context::from_waker(Waker::noop());
        let waker = Waker::from(owned);
        assert!(
            Pin::new(&mut follower)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        drop(waker);
        assert!(Pin::new(&mut follower).poll(&mut context).is_pending());
        assert_eq!(leader.followers(), 1);
        drop(follower);
        drop(leader);
        airfield.is_left_empty();
    });
}

const KEY: Digest = Digest(1);
const RESULT: u64 = 7;
/// The result of the one leader that leaves a hook.
const HOOKED: u64 = 8;

#[derive(Clone, Copy)]
enum End {
    Land,
    Release,
    Drop,
}

struct Airfield {
    flights: pitlane_core::Flights<u64, ()>,
    /// How many compute as leaders right now.
    leading: AtomicUsize,
}

impl Airfield {
    fn shared() -> Shared<Self> {
        Shared::new(Self {
            flights: pitlane_core::Flights::new(1),
            leading: AtomicUsize::new(0),
        })
    }

    fn join(&self) -> Joined<u64, ()> {
        self.flights.join(KEY, (), |()| true)
    }

    #[track_caller]
    fn lead(&self) -> Leader<u64, ()> {
        match self.join() {
            Joined::Lead(leader) => leader,
            Joined::Follow(_) => panic!("somebody leads already"),
        }
    }

    #[track_caller]
    fn follow(&self) -> Follower<u64, ()> {
        match self.join() {
            Joined::Follow(follower) => follower,
            Joined::Lead(_) => panic!("nobody leads"),
        }
    }

    fn request(&self, end: End) {
        match self.join() {
            Joined::Lead(leader) => self.end(leader, end),
            Joined::Follow(follower) => self.go_on(block_on(follower), end),
        }
    }

    fn go_on(&self, followed: Followed<u64, ()>, end: End) {
        match followed {
            Followed::Landed(result) => assert_eq!(result, RESULT),
            Followed::Released => {}
            Followed::Lead(leader) => self.end(leader, end),
        }
    }

    /// Waits for whoever leads; whether that was the leader with the hook.
    fn wait(&self) -> bool {
        match self.join() {
            Joined::Lead(leader) => {
                self.end(leader, End::Land);
                false
            }
            Joined::Follow(follower) => matches!(block_on(follower), Followed::Landed(HOOKED)),
        }
    }

    /// What a leader does, between the moment it leads and the moment it does no longer.
    fn end(&self, leader: Leader<u64, ()>, end: End) {
        assert_eq!(self.leading.fetch_add(1, SeqCst), 0, "two leaders at once");
        self.leading.fetch_sub(1, SeqCst);
        match end {
            End::Land => leader.land(RESULT),
            End::Release => leader.release(),
            End::Drop => drop(leader),
        }
    }

    #[track_caller]
    fn is_left_empty(&self) {
        assert!(self.flights.is_empty(), "a flight is left behind");
    }
}

/// A task that is nothing but a wait.
struct Owner(#[expect(dead_code, reason = "held to be dropped")] Mutex<Option<Follower<u64, ()>>>);

impl Wake for Owner {
    fn wake(self: std::sync::Arc<Self>) {}
}

/// Polls with a waker that stays; `None` when it has to wait.
fn poll_once(follower: &mut Follower<u64, ()>) -> Option<Followed<u64, ()>> {
    block_on(poll_fn(|cx| match Pin::new(&mut *follower).poll(cx) {
        Poll::Ready(followed) => Poll::Ready(Some(followed)),
        Poll::Pending => Poll::Ready(None),
    }))
}
