//! Random schedules of a few requests over flights, log and stamps, step by step beside a
//! reference of each.

mod board;
mod history;
mod world;

use proptest::prelude::*;

use board::Phase;
use history::TAGS;
use world::World;

const KEYS: usize = 2;
const SLOTS: usize = 5;

/// What may happen next. The first number says to which request, among those that it can happen
/// to; without any it is skipped.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(usize),
    Poll(usize),
    Leave(usize),
    Read(usize, usize),
    /// A computation uses what is cached, which may have outlived its lifetime.
    Use(usize, usize, bool),
    Hook(usize),
    End(usize, Phase),
    Hit(usize),
    Write(usize),
    Invalidate(usize, bool),
    Renew,
}

impl Step {
    fn any() -> impl Strategy<Value = Self> {
        const ENDS: [Phase; 4] = [Phase::Landed, Phase::Landed, Phase::Released, Phase::Vacant];
        let nth = || 0..SLOTS;
        prop_oneof![
            6 => (0..KEYS).prop_map(Self::Begin),
            6 => nth().prop_map(Self::Poll),
            1 => nth().prop_map(Self::Leave),
            4 => (nth(), 0..TAGS).prop_map(|(nth, tag)| Self::Read(nth, tag)),
            4 => (nth(), 0..KEYS, any::<bool>())
                .prop_map(|(nth, key, expired)| Self::Use(nth, key, expired)),
            2 => nth().prop_map(Self::Hook),
            4 => (nth(), prop::sample::select(&ENDS)).prop_map(|(nth, end)| Self::End(nth, end)),
            4 => (0..KEYS).prop_map(Self::Hit),
            2 => (0..TAGS).prop_map(Self::Write),
            3 => (0..TAGS, any::<bool>()).prop_map(|(tag, soft)| Self::Invalidate(tag, soft)),
            1 => Just(Self::Renew),
        ]
    }
}

proptest! {
    #[test]
    fn every_schedule_agrees_with_the_references(
        capacity in 1..=TAGS,
        steps in prop::collection::vec(Step::any(), 0..120),
    ) {
        let mut world = World::new(capacity);
        for step in steps {
            world.take(step);
            world.check();
        }
        world.drain();
    }
}
