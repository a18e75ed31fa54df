use std::time::Duration;

use pitlane_core::{Breaker, BreakerRules, BreakerState, CallOutcome};

use crate::{Shared, model};

const NOW: Duration = Duration::from_millis(5);
const LATER: Duration = Duration::from_secs(2);

fn breaker() -> Breaker {
    Breaker::closed(BreakerRules::default())
}

fn call(breaker: &Breaker, outcome: CallOutcome) -> bool {
    breaker.pass().unwrap().record(outcome, NOW, 0)
}

#[test]
fn one_of_two_probes() {
    model(|| {
        let shared = Shared::new(Breaker::open(BreakerRules::default(), NOW));
        let probe = |breaker: &Breaker| {
            let permit = breaker.try_acquire(NOW).ok();
            // Kept: a probe that is over leaves its place.
            permit.map(std::mem::forget).is_some()
        };
        let other = shared.run(probe);
        let mine = probe(&shared);
        assert_eq!(u8::from(mine) + u8::from(other.join().unwrap()), 1);
        assert_eq!(shared.state(), BreakerState::HalfOpen);
    });
}

#[test]
fn two_failures_at_once_are_two_in_a_row() {
    model(|| {
        let shared = Shared::new(breaker());
        call(&shared, CallOutcome::Failure);
        let (here, there) = (shared.pass().unwrap(), shared.run(fail));
        let opened_here = here.record(CallOutcome::Failure, NOW, 0);
        let opened_there = there.join().unwrap();
        assert_eq!(u8::from(opened_here) + u8::from(opened_there), 1);
        assert_eq!(shared.state(), BreakerState::Open);
        assert_eq!(shared.snapshot(NOW).openings, 1);
    });
}

/// False also when it was not let through any more.
fn fail(breaker: &Breaker) -> bool {
    let permit = breaker.pass().ok();
    permit.is_some_and(|permit| permit.record(CallOutcome::Failure, NOW, 0))
}

/// Success takes no lock: whichever comes second decides, and nothing is half done.
#[test]
fn a_success_beside_the_third_failure_comes_before_or_after_it() {
    model(|| {
        let shared = Shared::new(breaker());
        call(&shared, CallOutcome::Failure);
        call(&shared, CallOutcome::Failure);
        let good = shared.pass().unwrap();
        let failing = shared.run(fail);
        good.record(CallOutcome::Success, NOW, 0);
        let opened = failing.join().unwrap();
        let seen = shared.snapshot(NOW);
        match seen.state {
            BreakerState::Open => assert!(opened),
            _ => assert!(!opened && seen.failures_in_a_row <= 1, "{seen:?}"),
        }
    });
}

/// A call from before the last opening can't end, or count in, what came after.
#[test]
fn a_late_answer_does_not_touch_the_next_era() {
    model(|| {
        let shared = Shared::new(breaker());
        let late = shared.pass().unwrap();
        shared.trip(NOW, 0);
        let repaired = shared.run(|breaker| {
            for _ in 0..2 {
                let probe = breaker.try_probe(LATER).unwrap();
                probe.record(CallOutcome::Success, LATER, 0);
            }
            let permit = breaker.pass().unwrap();
            permit.record(CallOutcome::Failure, LATER, 0);
        });
        late.record(CallOutcome::Success, LATER, 0);
        repaired.join().unwrap();
        let seen = shared.snapshot(LATER);
        assert_eq!(seen.state, BreakerState::Closed);
        assert_eq!(seen.failures_in_a_row, 1);
        assert_eq!(seen.failures, 1);
    });
}

/// Who is refused asks without the lock: what it reads there must never say for good that
/// somebody probes when nobody does.
#[test]
fn a_probe_that_was_given_up_is_seen_to_be_free() {
    model(|| {
        let shared = Shared::new(Breaker::open(BreakerRules::default(), NOW));
        let other = shared.run(|breaker| drop(breaker.try_acquire(NOW)));
        drop(shared.try_acquire(NOW));
        other.join().unwrap();
        assert!(shared.may_acquire(|| NOW));
        let probe = shared.try_acquire(NOW).unwrap();
        assert!(!shared.may_acquire(|| NOW));
        drop(probe);
    });
}

#[test]
fn a_probe_that_ends_beside_a_trip_leaves_the_trips_time() {
    model(|| {
        let shared = Shared::new(Breaker::open(BreakerRules::default(), NOW));
        let probe = shared.try_acquire(NOW).unwrap();
        let tripping = shared.run(|breaker| breaker.trip(NOW, 0));
        drop(probe);
        assert!(tripping.join().unwrap());
        assert!(!shared.may_acquire(|| NOW));
        assert!(shared.may_acquire(|| LATER));
    });
}
