//! What may happen next, and how often.

use super::redis::Call;
use super::spec::KEYS;
use super::task::{Port, Running};
use super::world::World;

/// How many entries of a key's past a reading may still find.
const PAST: usize = 6;

/// A place for one task of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Slot {
    Keeper,
    Follower,
    Append(usize),
    Read(usize),
    Fill(usize),
    Push(usize),
}

impl Slot {
    pub(super) const ALL: [Self; 11] = [
        Self::Keeper,
        Self::Follower,
        Self::Append(0),
        Self::Append(1),
        Self::Read(0),
        Self::Read(1),
        Self::Fill(0),
        Self::Fill(1),
        Self::Push(0),
        Self::Push(1),
        Self::Push(2),
    ];

    const fn kind(self) -> usize {
        match self {
            Self::Keeper => 0,
            Self::Follower => 1,
            Self::Append(_) => 2,
            Self::Read(_) => 3,
            Self::Fill(_) => 4,
            Self::Push(_) => 5,
        }
    }
}

/// What may happen next; the first number says to which node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A handler's database commits a new version, and nobody is told for a while.
    Write(usize),
    /// It does, and an invalidation begins.
    Invalidate(usize, Slot, usize, bool),
    /// An invalidation that is owed from the start, as a guard's drop makes it.
    Owe(usize, usize, bool),
    Beat(usize),
    Follow(usize),
    Fill(usize, usize, bool),
    /// A request begins to wait for a computation.
    Join(usize, usize),
    Hit(usize, usize),
    Read(usize, Slot, usize, bool),
    /// A question reaches the server.
    Execute(usize, Slot),
    /// A reading finds what lay there once: a replica that lags, a write that came late.
    ExecuteOld(usize, Slot, usize),
    /// Its answer comes back.
    Answer(usize, Slot),
    /// It never comes back.
    Lose(usize, Slot),
    Go(usize, Slot),
    /// The caller leaves.
    Leave(usize, Slot),
    Cut(usize),
    Heal(usize),
    Crash(usize),
    /// A node that still asked an old primary finds the new one.
    Find(usize),
    /// The node owes more than it remembers.
    Overflow(usize, usize),
    Replicate,
    FailOver {
        skewed: bool,
        split: bool,
    },
    Flush,
    FlushScripts,
    EvictStream,
    EvictHash,
    EvictTail,
    Trim(usize),
    Forget(usize),
    Tick,
}

impl Action {
    /// From this one on, kinds are what goes on with something.
    pub(super) const GOING_ON: usize = 36;
    pub(super) const KINDS: usize = 42;

    /// What is as likely as this one in one walk, and may be more or less likely in another.
    pub(super) const fn kind(&self) -> usize {
        match self {
            Self::Execute(_, slot) | Self::Answer(_, slot) | Self::Go(_, slot) => {
                Self::GOING_ON + slot.kind()
            }
            Self::Invalidate(_, _, tag, soft) => 2 * *tag + *soft as usize,
            Self::Follow(node) => 6 + *node,
            Self::Beat(node) => 9 + *node,
            Self::Write(..) => 12,
            Self::Owe(..) => 13,
            Self::Fill(..) => 14,
            Self::Join(..) => 15,
            Self::Hit(..) => 16,
            Self::Read(..) => 17,
            Self::ExecuteOld(..) => 18,
            Self::Lose(..) => 19,
            Self::Leave(..) => 20,
            Self::Cut(..) => 21,
            Self::Heal(..) => 22,
            Self::Crash(..) => 23,
            Self::Find(..) => 24,
            Self::Overflow(..) => 25,
            Self::Replicate => 26,
            Self::FailOver { .. } => 27,
            Self::Flush => 28,
            Self::FlushScripts => 29,
            Self::EvictStream => 30,
            Self::EvictHash => 31,
            Self::EvictTail => 32,
            Self::Trim(_) => 33,
            Self::Forget(_) => 34,
            Self::Tick => 35,
        }
    }
}

impl World {
    /// Everything that can happen now, each with how often it should.
    pub(super) fn possible(&self) -> Vec<(Action, u32)> {
        let mut all = vec![(Action::Write(0), 1)];
        for node in 0..self.nodes.len() {
            self.possible_on(node, &mut all);
        }
        for (node, slot, running) in self.sorted() {
            self.possible_for(node, slot, running, &mut all);
        }
        self.possible_of_server(&mut all);
        all
    }

    fn sorted(&self) -> impl Iterator<Item = (usize, Slot, &Running)> {
        (0..self.nodes.len()).flat_map(move |node| {
            let task = move |slot| Some((node, slot, self.tasks.get(&(node, slot))?));
            Slot::ALL.into_iter().filter_map(task)
        })
    }

    fn is_free(&self, node: usize, slot: Slot) -> bool {
        !self.tasks.contains_key(&(node, slot))
    }

    fn possible_on(&self, name: usize, all: &mut Vec<(Action, u32)>) {
        let (node, plan) = (&self.nodes[name], &self.plan);
        let softs: &[bool] = if plan.soft { &[false, true] } else { &[false] };
        if self.is_free(name, Slot::Keeper) {
            all.push((Action::Beat(name), 3));
        }
        if self.is_free(name, Slot::Follower) && node.log.watermark().is_some() {
            all.push((Action::Follow(name), 3));
        }
        let free = |slots: [Slot; 2]| slots.into_iter().find(|slot| self.is_free(name, *slot));
        if let Some(slot) = free([Slot::Append(0), Slot::Append(1)]) {
            for (tag, often) in [(0, 3), (1, 1), (2, 1)] {
                let each = softs
                    .iter()
                    .map(|soft| Action::Invalidate(name, slot, tag, *soft));
                all.extend(each.map(|action| (action, often)));
            }
        }
        if let Some(slot) = free([Slot::Read(0), Slot::Read(1)]) {
            for (key, often) in [(0, 3), (1, 1)] {
                let each = [false, true].map(|first| Action::Read(name, slot, key, first));
                all.extend(each.map(|action| (action, often)));
            }
        }
        for key in 0..KEYS {
            if self.is_free(name, Slot::Fill(key)) {
                let nested = plan.soft && key > 0;
                all.push((Action::Fill(name, key, nested), 3));
            } else if node.followers.borrow()[key].is_empty() {
                all.push((Action::Join(name, key), 1));
            }
            if node.memory.borrow()[key].is_some() {
                all.push((Action::Hit(name, key), 2));
            }
        }
        if plan.cuts > 0 {
            let turn = if node.cut.get() {
                Action::Heal(name)
            } else {
                Action::Cut(name)
            };
            all.push((turn, plan.cuts));
            all.extend(
                softs
                    .iter()
                    .map(|soft| (Action::Owe(name, 0, *soft), plan.cuts)),
            );
        }
        if plan.overflow > 0 && name + 1 == plan.nodes && !node.log.has_overflowed() {
            all.push((Action::Overflow(name, 0), plan.overflow));
        }
        if node.elsewhere.get() {
            all.push((Action::Find(name), 1));
        }
        let appends = [Slot::Append(0), Slot::Append(1)];
        let owes = node.log.debts() > 0 || node.log.has_overflowed();
        if plan.crashes > 0 && !owes && appends.into_iter().all(|slot| self.is_free(name, slot)) {
            all.push((Action::Crash(name), plan.crashes));
        }
    }

    fn possible_for(
        &self,
        node: usize,
        slot: Slot,
        running: &Running,
        all: &mut Vec<(Action, u32)>,
    ) {
        let cut = self.nodes[node].cut.get();
        match &*running.port.borrow() {
            Port::Sent(_) | Port::Executed(_) if cut => all.push((Action::Lose(node, slot), 8)),
            Port::Sent(call) => {
                all.push((Action::Execute(node, slot), 10));
                if let Call::Get(key) = call {
                    let past = 0..self.past[*key].len().min(PAST);
                    all.extend(past.map(|nth| (Action::ExecuteOld(node, slot, nth), 1)));
                }
            }
            Port::Executed(_) => {
                all.push((Action::Answer(node, slot), 10));
                if self.plan.cuts > 0 {
                    all.push((Action::Lose(node, slot), 1));
                }
            }
            Port::Paused => all.push((Action::Go(node, slot), 8)),
            Port::Queued if !self.nodes[node].catching.get() => {
                all.push((Action::Go(node, slot), 8));
            }
            _ => {}
        }
        if self.plan.cuts > 0 && matches!(slot, Slot::Append(_) | Slot::Read(_)) {
            all.push((Action::Leave(node, slot), 1));
        }
    }

    fn possible_of_server(&self, all: &mut Vec<(Action, u32)>) {
        let plan = &self.plan;
        all.push((Action::Tick, 1));
        if plan.upkeep > 0 {
            all.extend([1, 2].map(|keep| (Action::Trim(keep), plan.upkeep)));
            let fields = 0..self.server.fields().len();
            all.extend(fields.map(|nth| (Action::Forget(nth), plan.upkeep)));
        }
        if plan.losses > 0 {
            let losses = [
                Action::Flush,
                Action::FlushScripts,
                Action::EvictStream,
                Action::EvictHash,
                Action::EvictTail,
            ];
            all.extend(losses.map(|action| (action, plan.losses)));
        }
        if plan.failovers > 0 {
            let split_now = self.nodes.iter().any(|node| node.elsewhere.get());
            if self.replica.is_none() {
                all.push((Action::Replicate, 2 * plan.failovers));
            } else if !split_now {
                for skewed in [false, true] {
                    let split = plan.split;
                    all.push((Action::FailOver { skewed, split }, plan.failovers));
                }
            }
        }
    }
}
