//! Random schedules of a few requests over flights, log and stamps, step by step beside a
//! reference of each.

mod board;
mod history;
mod world;

use proptest::prelude::*;

use board::{Phase, Slot};
use history::TAGS;
use world::World;

const KEYS: usize = 2;
const SLOTS: usize = 5;

/// What may happen next; a step that does not apply to its request is skipped.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(Slot, usize),
    Poll(Slot),
    Leave(Slot),
    Read(Slot, usize),
    Use(Slot, usize),
    Hook(Slot),
    End(Slot, Phase),
    Hit(usize),
    Write(usize),
    Invalidate(usize, bool),
    Renew,
}

impl Step {
    fn any() -> impl Strategy<Value = Self> {
        let slot = || 0..SLOTS;
        const ENDS: [Phase; 3] = [Phase::Landed, Phase::Released, Phase::Vacant];
        prop_oneof![
            6 => (slot(), 0..KEYS).prop_map(|(slot, key)| Self::Begin(slot, key)),
            6 => slot().prop_map(Self::Poll),
            2 => slot().prop_map(Self::Leave),
            4 => (slot(), 0..TAGS).prop_map(|(slot, tag)| Self::Read(slot, tag)),
            3 => (slot(), 0..KEYS).prop_map(|(slot, key)| Self::Use(slot, key)),
            1 => slot().prop_map(Self::Hook),
            4 => (slot(), prop::sample::select(&ENDS)).prop_map(|(slot, end)| Self::End(slot, end)),
            3 => (0..KEYS).prop_map(Self::Hit),
            2 => (0..TAGS).prop_map(Self::Write),
            3 => (0..TAGS, any::<bool>()).prop_map(|(tag, soft)| Self::Invalidate(tag, soft)),
            1 => Just(Self::Renew),
        ]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_schedule_agrees_with_the_references(
        capacity in 1..=TAGS,
        steps in prop::collection::vec(Step::any(), 0..80),
    ) {
        let mut world = World::new(capacity);
        for step in steps {
            world.take(step);
            world.check();
        }
        world.drain();
    }
}
