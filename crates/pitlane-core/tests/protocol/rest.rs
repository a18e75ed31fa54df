//! Lets a world come to rest, and says what holds then.

use pitlane_core::{Judgement, Position};

use super::action::{Action, Slot};
use super::redis::{Answer, Call, Stored};
use super::requests::{hit, serve};
use super::spec::KEYS;
use super::task::{Port, Task};
use super::world::World;

/// After so many rounds a world that is not at rest never will be.
const ROUNDS: usize = 12;
/// A small table may have to ask more than once before it holds all tags of an entry.
const TRIES: usize = 4;

impl World {
    /// Heals everything, ends what is under way, and checks what must hold afterwards.
    pub(super) fn rest(&mut self) {
        self.heal();
        self.settle();
        if self.violation().is_some() {
            return;
        }
        self.nobody_serves_anything_old();
        self.what_is_allowed_is_a_hit();
        for node in 0..self.nodes.len() {
            self.a_computation_is_a_hit_elsewhere(node);
        }
    }

    fn violate(&self, what: String) {
        self.shared.spec.borrow_mut().violate(what);
    }

    fn heal(&mut self) {
        for node in &self.nodes {
            node.cut.set(false);
            node.elsewhere.set(false);
        }
        // Those who wait for a turn need others to end first.
        for _ in 0..ROUNDS {
            for node in 0..self.nodes.len() {
                for slot in Slot::ALL {
                    self.finish(node, slot);
                }
            }
        }
        for tag in self.uncovered() {
            self.take(Action::Invalidate(0, Slot::Append(0), tag, false));
            self.finish(0, Slot::Append(0));
        }
    }

    fn settle(&mut self) {
        for _ in 0..ROUNDS {
            let lives = self.shared.spec.borrow().lives;
            for node in 0..self.nodes.len() {
                self.begin(node, Slot::Keeper, Task::keep);
                self.finish(node, Slot::Keeper);
                self.begin(node, Slot::Follower, Task::follow);
                self.finish(node, Slot::Follower);
            }
            let settled = self.nodes.iter().all(|node| {
                node.healthy.get() && node.log.debts() == 0 && !node.log.has_overflowed()
            });
            if settled && lives == self.shared.spec.borrow().lives && self.agree() {
                return;
            }
        }
        self.violate("the nodes never come to rest".to_owned());
    }

    /// Whether all nodes have read the same.
    fn agree(&self) -> bool {
        let first = self.nodes[0].log.watermark();
        self.nodes.iter().all(|node| node.log.watermark() == first)
    }

    fn nobody_serves_anything_old(&mut self) {
        let needs = self.shared.spec.borrow().made;
        for node in 0..self.nodes.len() {
            for key in 0..KEYS {
                if let Some((entry, fresh)) = hit(&self.shared, &self.nodes[node], key) {
                    let node = &self.nodes[node];
                    serve(
                        &self.shared,
                        node,
                        "memory at rest",
                        &entry.value,
                        fresh,
                        &needs,
                    );
                }
                for stored in self.past[key].clone() {
                    let found = self.read_at_rest(node, key, &stored);
                    if let Some(fresh) = found {
                        let node = &self.nodes[node];
                        serve(
                            &self.shared,
                            node,
                            "remote at rest",
                            &stored.value,
                            fresh,
                            &needs,
                        );
                    }
                }
            }
        }
    }

    /// What nothing in the log speaks against is a hit, on every node.
    fn what_is_allowed_is_a_hit(&mut self) {
        for key in 0..KEYS {
            for stored in self.past[key].clone() {
                if !self.server.allows(&stored) {
                    continue;
                }
                for node in 0..self.nodes.len() {
                    let mut tries = (0..TRIES).map(|_| self.read_at_rest(node, key, &stored));
                    if !tries.any(|found| found == Some(true)) {
                        self.violate(format!("node {node} never finds {stored:?}"));
                    }
                }
            }
        }
    }

    fn a_computation_is_a_hit_elsewhere(&mut self, node: usize) {
        let lives = self.shared.spec.borrow().lives;
        for key in 0..KEYS {
            self.nodes[node].memory.borrow_mut()[key] = None;
            self.past[key].clear();
            self.take(Action::Fill(node, key, false));
            self.finish(node, Slot::Fill(key));
            self.finish(node, Slot::Push(0));
            let Some(stored) = self.past[key].pop() else {
                self.violate(format!("what node {node} computes is not shared"));
                return;
            };
            for other in 0..self.nodes.len() {
                let before = self.nodes[other].catch_ups.get();
                let found = self.read_at_rest(other, key, &stored);
                if found != Some(true) || self.nodes[other].catch_ups.get() != before {
                    let at: Position = stored.position;
                    self.violate(format!(
                        "at rest node {other} misses what {node} has at {at}"
                    ));
                }
            }
        }
        if lives != self.shared.spec.borrow().lives {
            self.violate("reads at rest begin new lives of the log".to_owned());
        }
    }

    /// A read that finds `stored`. Says whether it was a hit, and whether it was fresh.
    fn read_at_rest(&mut self, node: usize, key: usize, stored: &Stored) -> Option<bool> {
        let kept = self.nodes[node].memory.borrow_mut()[key].take();
        let slot = Slot::Read(0);
        self.begin(node, slot, |task| task.read(key, false));
        if let Some(running) = self.tasks.get(&(node, slot)) {
            let found = Answer::Got(Some(stored.clone()));
            let asked = running.port.replace(Port::Executed(found));
            assert!(matches!(asked, Port::Sent(Call::Get(_))), "{asked:?}");
        }
        self.finish(node, slot);
        let found = std::mem::replace(&mut self.nodes[node].memory.borrow_mut()[key], kept)?;
        match found.meta.judge(&self.nodes[node].log) {
            Judgement::Fresh => Some(true),
            Judgement::Stale => Some(false),
            Judgement::Unusable(_) => None,
        }
    }
}
