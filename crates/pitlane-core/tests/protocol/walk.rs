//! Random walks, and the shortest way to what they find.

use std::fmt;

use super::action::Action;
use super::rules::{Plan, Rule};
use super::world::World;

/// A walk that found something.
pub(super) struct Found {
    pub(super) what: String,
    pub(super) plan: Plan,
    pub(super) seed: u64,
    pub(super) way: Vec<Action>,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} (seed {}): {}", self.plan.name, self.seed, self.what)?;
        self.way
            .iter()
            .try_for_each(|action| writeln!(f, "    {action:?}"))
    }
}

/// Walks `steps` steps at most and comes to rest. Returns how many steps there were.
pub(super) fn walk(
    plan: Plan,
    without: Option<Rule>,
    seed: u64,
    steps: usize,
) -> Result<u64, Box<Found>> {
    let mut random = Random(seed);
    let likely = Likely::choose(&mut random);
    let mut world = World::new(plan, without);
    let mut way = Vec::new();
    // Some walks come to rest early: what a long one hides shows after a short one.
    let longest = [steps / 8, steps / 2, steps][random.below(3)];
    let length = 10 + random.below(longest);
    for _ in 0..length {
        let action = likely.next(&world.possible(), &mut random);
        way.push(action);
        world.take(action);
        if world.violation().is_some() {
            break;
        }
    }
    world.rest_unless_violated();
    match world.violation() {
        None => Ok(way.len() as u64),
        Some(what) => Err(Box::new(Found {
            what,
            plan,
            seed,
            way,
        })),
    }
}

impl World {
    fn rest_unless_violated(&mut self) {
        if self.violation().is_none() {
            self.rest();
        }
    }
}

/// Goes the same way once more, without what is not possible.
fn follow(plan: Plan, without: Option<Rule>, way: &[Action]) -> Option<String> {
    let mut world = World::new(plan, without);
    for action in way {
        if world
            .possible()
            .iter()
            .any(|(possible, _)| possible == action)
        {
            world.take(*action);
        }
        if world.violation().is_some() {
            break;
        }
    }
    world.rest_unless_violated();
    world.violation()
}

impl Found {
    /// The same without the steps that don't matter.
    pub(super) fn shrink(mut self, without: Option<Rule>) -> Self {
        let mut size = self.way.len().div_ceil(2);
        while size > 0 {
            let mut start = 0;
            let mut shorter = false;
            while start < self.way.len() {
                let mut way = self.way.clone();
                way.drain(start..(start + size).min(way.len()));
                if let Some(what) = follow(self.plan, without, &way) {
                    (self.way, self.what, shorter) = (way, what, true);
                } else {
                    start += size;
                }
            }
            if !(shorter && size == 1) {
                size /= 2;
            }
        }
        self
    }
}

/// A small generator of random numbers (SplitMix64): every walk can be gone again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or(0)
    }
}

/// How likely each kind of action is in one walk: what is rare in most is common in some, and in
/// some much is under way at once, while in others one thing ends before another begins.
struct Likely([u32; Action::KINDS]);

impl Likely {
    fn choose(random: &mut Random) -> Self {
        Self(std::array::from_fn(|kind| {
            if kind < Action::GOING_ON {
                [0, 1, 2, 4, 4, 12][random.below(6)]
            } else {
                [1, 4, 16, 64][random.below(4)]
            }
        }))
    }

    fn next(&self, actions: &[(Action, u32)], random: &mut Random) -> Action {
        let weigh = |(action, weight): &(Action, u32)| weight * self.0[action.kind()];
        let sum: u32 = actions.iter().map(weigh).sum();
        let mut left = random.below(sum.max(1) as usize) as u32;
        for action in actions {
            let weight = weigh(action);
            if left < weight {
                return action.0;
            }
            left -= weight;
        }
        actions[0].0
    }
}
