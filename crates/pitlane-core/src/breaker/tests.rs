use proptest::prelude::*;

use super::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn breaker() -> Breaker {
    Breaker::closed(BreakerRules::default())
}

#[track_caller]
fn call(breaker: &Breaker, outcome: CallOutcome, now: Duration) -> bool {
    breaker.pass().expect("closed").record(outcome, now, 200)
}

#[track_caller]
fn probe(breaker: &Breaker, outcome: CallOutcome, now: Duration) -> bool {
    breaker
        .try_probe(now)
        .expect("time to probe")
        .record(outcome, now, 200)
}

#[test]
fn three_failures_in_a_row_open_it() {
    let breaker = breaker();
    assert!(!call(&breaker, CallOutcome::Failure, ms(0)));
    assert!(!call(&breaker, CallOutcome::Failure, ms(1)));
    assert!(call(&breaker, CallOutcome::Failure, ms(2)));
    assert_eq!(breaker.state(), BreakerState::Open);
    assert!(breaker.pass().is_err());
}

#[test]
fn a_success_ends_the_row() {
    let breaker = breaker();
    for now in 0..9 {
        call(&breaker, CallOutcome::Failure, ms(now));
        call(&breaker, CallOutcome::Failure, ms(now));
        for _ in 0..3 {
            call(&breaker, CallOutcome::Success, ms(now));
        }
    }
    assert_eq!(breaker.snapshot(ms(9)).failures_in_a_row, 0);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn half_of_twenty_calls_open_it_and_half_of_nineteen_do_not() {
    let breaker = breaker();
    for turn in 0..9 {
        assert!(!call(&breaker, CallOutcome::Failure, ms(turn)));
        assert!(!call(&breaker, CallOutcome::Success, ms(turn)));
    }
    assert!(!call(&breaker, CallOutcome::Success, ms(10)));
    assert!(call(&breaker, CallOutcome::Failure, ms(10)));
}

#[test]
fn failures_older_than_the_window_are_forgotten() {
    let breaker = breaker();
    for turn in 0..9 {
        call(&breaker, CallOutcome::Failure, ms(turn));
        call(&breaker, CallOutcome::Success, ms(turn));
    }
    let later = ms(10_000);
    assert_eq!(breaker.snapshot(later).calls, 0);
    for _ in 0..9 {
        call(&breaker, CallOutcome::Success, later);
        assert!(!call(&breaker, CallOutcome::Failure, later));
    }
}

#[test]
fn a_fatal_failure_opens_it_at_once() {
    assert!(call(&breaker(), CallOutcome::Fatal, ms(0)));
    let breaker = breaker();
    assert!(breaker.trip(ms(0), 200));
    assert!(!breaker.trip(ms(0), 200));
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn it_stays_open_for_500_ms_and_then_for_a_second() {
    let breaker = breaker();
    breaker.trip(ms(1_000), 200);
    assert!(breaker.try_probe(ms(1_499)).is_none());
    assert!(probe(&breaker, CallOutcome::Failure, ms(1_500)));
    assert!(breaker.try_probe(ms(2_499)).is_none());
    assert!(probe(&breaker, CallOutcome::Failure, ms(2_500)));
    assert!(breaker.try_probe(ms(3_499)).is_none());
    probe(&breaker, CallOutcome::Success, ms(3_500));
    assert!(probe(&breaker, CallOutcome::Success, ms(3_500)));
    assert_eq!(breaker.state(), BreakerState::Closed);
    breaker.trip(ms(5_000), 200);
    assert_eq!(breaker.probe_at(), Some(ms(5_500)));
}

#[test]
fn the_jitter_is_a_fifth_either_way() {
    for (random, until) in [(0, 400), (200, 500), (400, 600), (401, 400)] {
        let breaker = breaker();
        breaker.trip(ms(0), random);
        assert_eq!(breaker.probe_at(), Some(ms(until)), "{random}");
    }
}

#[test]
fn only_one_probes_and_nobody_passes() {
    let breaker = breaker();
    breaker.trip(ms(0), 0);
    let prober = breaker.try_probe(ms(400)).unwrap();
    assert!(prober.is_probe());
    assert!(breaker.try_probe(ms(400)).is_none());
    assert!(breaker.try_acquire(ms(400)).is_err());
    assert!(breaker.pass().is_err());
    drop(prober);
    assert!(breaker.try_acquire(ms(400)).unwrap().is_probe());
}

#[test]
fn one_success_does_not_close_it() {
    let breaker = breaker();
    breaker.trip(ms(0), 0);
    assert!(!probe(&breaker, CallOutcome::Success, ms(400)));
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert!(breaker.pass().is_err());
    assert!(probe(&breaker, CallOutcome::Failure, ms(401)));
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn what_was_let_through_before_says_nothing_afterwards() {
    let breaker = breaker();
    let old: Vec<_> = (0..9).map(|_| breaker.pass().unwrap()).collect();
    breaker.trip(ms(0), 0);
    let slow = breaker.try_probe(ms(400)).unwrap();
    breaker.trip(ms(400), 0);
    assert!(!slow.record(CallOutcome::Success, ms(1_400), 0));
    probe(&breaker, CallOutcome::Success, ms(1_400));
    probe(&breaker, CallOutcome::Success, ms(1_400));
    assert_eq!(breaker.state(), BreakerState::Closed);
    for permit in old {
        assert!(!permit.record(CallOutcome::Failure, ms(1_400), 0));
    }
    assert_eq!(breaker.snapshot(ms(1_400)).calls, 0);
}

#[test]
fn an_expedited_probe_need_not_wait() {
    let breaker = breaker();
    breaker.trip(ms(0), 0);
    assert!(breaker.try_probe(ms(10)).is_none());
    breaker.expedite(ms(10));
    assert!(breaker.try_probe(ms(10)).is_some());
}

#[test]
fn an_owned_permit_outlives_its_borrow() {
    let breaker = Arc::new(Breaker::open(BreakerRules::default(), ms(5)));
    assert!(breaker.try_acquire_owned(ms(4)).is_err());
    let permit = breaker.try_acquire_owned(ms(5)).unwrap();
    assert!(permit.is_probe());
    drop(breaker);
    permit.record(CallOutcome::Success, ms(5), 0);
}

/// The same rules, written down the slow way.
struct Reference {
    rules: BreakerRules,
    calls: Vec<(u64, bool)>,
    row: u32,
    open_until: Option<Duration>,
    half_open: Option<u32>,
    openings: u32,
}

impl Reference {
    fn state(&self) -> BreakerState {
        match (self.half_open, self.open_until) {
            (Some(_), _) => BreakerState::HalfOpen,
            (None, Some(_)) => BreakerState::Open,
            (None, None) => BreakerState::Closed,
        }
    }

    fn open(&mut self, now: Duration, random: u32) {
        let base = self.rules.open_for * 2_u32.pow(self.openings.min(20));
        let base = base.min(self.rules.open_at_most).as_millis();
        let millis = base * u128::from(800 + random % 401) / 1000;
        self.open_until = Some(now + ms(u64::try_from(millis).expect("a short time")));
        self.half_open = None;
        self.openings += 1;
        self.row = 0;
    }

    fn call(&mut self, outcome: CallOutcome, now: Duration, random: u32) {
        let second = now.as_secs();
        self.calls.push((second, outcome == CallOutcome::Success));
        self.calls.retain(|(at, _)| at + 10 > second);
        if outcome == CallOutcome::Success {
            self.row = 0;
            return;
        }
        self.row += 1;
        let failures = self.calls.iter().filter(|(_, fine)| !fine).count();
        let share = self.calls.len() >= 20 && failures * 2 >= self.calls.len();
        if self.row >= 3 || share || outcome == CallOutcome::Fatal {
            self.open(now, random);
        }
    }

    fn may_probe(&self, now: Duration) -> bool {
        self.half_open.is_some() || self.open_until.is_some_and(|until| now >= until)
    }

    fn probe(&mut self, outcome: CallOutcome, now: Duration, random: u32) {
        if outcome != CallOutcome::Success {
            return self.open(now, random);
        }
        let good = self.half_open.unwrap_or(0) + 1;
        self.half_open = Some(good);
        if good == 2 {
            (self.half_open, self.open_until, self.openings) = (None, None, 0);
            self.calls.clear();
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Call(CallOutcome),
    Probe(Option<CallOutcome>),
    Trip,
    Expedite,
}

fn outcome() -> impl Strategy<Value = CallOutcome> {
    prop_oneof![
        12 => Just(CallOutcome::Success),
        9 => Just(CallOutcome::Failure),
        1 => Just(CallOutcome::Fatal),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..700).prop_map(Step::Wait),
        1 => (0_u64..12_000).prop_map(Step::Wait),
        20 => outcome().prop_map(Step::Call),
        6 => proptest::option::of(outcome()).prop_map(Step::Probe),
        1 => Just(Step::Trip),
        1 => Just(Step::Expedite),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn it_does_what_the_rules_say(steps in proptest::collection::vec((step(), any::<u32>()), 0..200)) {
        let breaker = breaker();
        let mut reference = Reference {
            rules: BreakerRules::default(),
            calls: Vec::new(),
            row: 0,
            open_until: None,
            half_open: None,
            openings: 0,
        };
        let mut now = ms(0);
        for (step, random) in steps {
            match step {
                Step::Wait(millis) => now += ms(millis),
                Step::Call(outcome) => {
                    let permit = breaker.pass();
                    prop_assert_eq!(permit.is_ok(), reference.state() == BreakerState::Closed);
                    if let Ok(permit) = permit {
                        let before = reference.state();
                        reference.call(outcome, now, random);
                        let changed = permit.record(outcome, now, random);
                        prop_assert_eq!(changed, before != reference.state());
                    }
                }
                Step::Probe(outcome) => {
                    let permit = breaker.try_probe(now);
                    let may = reference.state() != BreakerState::Closed && reference.may_probe(now);
                    prop_assert_eq!(permit.is_some(), may);
                    if let Some(permit) = permit {
                        prop_assert_eq!(permit.is_first_probe(), reference.half_open.is_none());
                        reference.half_open.get_or_insert(0);
                        prop_assert!(breaker.try_probe(now).is_none());
                        prop_assert!(!breaker.may_acquire(|| now));
                        prop_assert_eq!(breaker.until_probe(now), None);
                        if let Some(outcome) = outcome {
                            reference.probe(outcome, now, random);
                            permit.record(outcome, now, random);
                        }
                    }
                }
                Step::Trip => {
                    let was_open = reference.state() == BreakerState::Open;
                    prop_assert_eq!(breaker.trip(now, random), !was_open);
                    if !was_open {
                        reference.open(now, random);
                    }
                }
                Step::Expedite => {
                    breaker.expedite(now);
                    if let Some(until) = &mut reference.open_until {
                        *until = now.min(*until);
                    }
                }
            }
            prop_assert_eq!(breaker.state(), reference.state());
            let closed = reference.state() == BreakerState::Closed;
            prop_assert_eq!(breaker.may_acquire(|| now), closed || reference.may_probe(now));
            let open = reference.state() == BreakerState::Open;
            let left = reference.open_until.map(|until| until.saturating_sub(now));
            prop_assert_eq!(breaker.until_probe(now), left.filter(|_| open));
            let seen = breaker.snapshot(now);
            if seen.state == BreakerState::Closed {
                prop_assert_eq!(seen.failures_in_a_row, reference.row);
                let recent = reference.calls.iter().filter(|(at, _)| at + 10 > now.as_secs());
                prop_assert_eq!(seen.calls, recent.count() as u64);
            }
        }
    }
}
