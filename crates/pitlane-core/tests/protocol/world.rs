//! Nodes and a server, one action after another.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use pitlane_core::{Item, Mark, Record, TagKind};

use super::action::{Action, Slot};
use super::node::Node;
use super::redis::{Answer, Call, Expected, Server, Stored};
use super::requests::{hit, tag};
use super::rules::{Plan, Rule};
use super::spec::{KEYS, Spec, TAGS};
use super::task::{Port, Running, Shared, Task};

/// More marks than a node remembers.
const TOO_MANY: usize = (1 << 16) + 1;

#[derive(Debug)]
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) shared: Rc<Shared>,
    pub(super) server: Server,
    pub(super) replica: Option<Server>,
    /// The primary before, as long as some nodes still ask it.
    old: Option<Server>,
    pub(super) nodes: Vec<Rc<Node>>,
    pub(super) tasks: HashMap<(usize, Slot), Running>,
    /// Everything that was ever stored.
    pub(super) past: [Vec<Stored>; KEYS],
}

impl World {
    pub(super) fn new(plan: Plan, without: Option<Rule>) -> Self {
        let shared = Rc::new(Shared {
            without,
            // That there is no log at first is answered by the first life.
            spec: RefCell::new(Spec {
                faults: 1,
                ..Spec::default()
            }),
            now: Cell::new(1),
            numbers: Cell::new(0),
        });
        let mut world = Self {
            plan,
            server: Server::new(plan.length, without == Some(Rule::CompareAndSet)),
            replica: None,
            old: None,
            nodes: Vec::new(),
            tasks: HashMap::new(),
            past: Default::default(),
            shared,
        };
        world.nodes = (0..plan.nodes).map(|name| world.node(name)).collect();
        world.join(0..plan.joined);
        if plan.stored {
            world.store();
            world.join(plan.joined..plan.nodes);
        }
        for action in plan.begins {
            world.take(*action);
        }
        world
    }

    fn join(&mut self, nodes: std::ops::Range<usize>) {
        for node in nodes {
            self.begin(node, Slot::Keeper, Task::keep);
            self.finish(node, Slot::Keeper);
        }
    }

    /// Stores an entry under every key, and moves the log past them.
    fn store(&mut self) {
        for key in 0..KEYS {
            self.take(Action::Fill(0, key, false));
            self.finish(0, Slot::Fill(key));
            self.finish(0, Slot::Push(0));
        }
        self.take(Action::Invalidate(0, Slot::Append(0), TAGS - 1, false));
        self.finish(0, Slot::Append(0));
    }

    fn node(&self, name: usize) -> Rc<Node> {
        let alone = self.shared.incarnation();
        Rc::new(Node::new(name, alone, self.plan.capacity))
    }

    pub(super) fn violation(&self) -> Option<String> {
        self.shared.spec.borrow().violation.clone()
    }

    /// Takes one action, which must be possible.
    pub(super) fn take(&mut self, action: Action) {
        self.shared.now.set(self.shared.now.get() + 1);
        match action {
            Action::Write(tag) => self.shared.spec.borrow_mut().versions[tag] += 1,
            Action::Invalidate(node, slot, tag, soft) => {
                let record = self.record(tag, soft, 1);
                self.begin(node, slot, |task| task.append(record));
            }
            Action::Owe(node, tag, soft) => self.owe(node, tag, soft, 1),
            Action::Overflow(node, tag) => self.owe(node, tag, false, TOO_MANY),
            Action::Beat(node) => self.begin(node, Slot::Keeper, Task::keep),
            Action::Follow(node) => self.begin(node, Slot::Follower, Task::follow),
            Action::Fill(node, key, nested) => {
                self.begin(node, Slot::Fill(key), |task| task.fill(key, nested));
            }
            Action::Join(node, key) => {
                let node = &self.nodes[node];
                let needs = node.needs();
                node.followers.borrow_mut()[key].push(needs);
            }
            Action::Hit(node, key) => drop(hit(&self.shared, &self.nodes[node], key)),
            Action::Read(node, slot, key, tail_first) => {
                self.begin(node, slot, |task| task.read(key, tail_first));
            }
            Action::Execute(node, slot) => self.execute(node, slot),
            Action::ExecuteOld(node, slot, nth) => self.execute_old(node, slot, nth),
            Action::Answer(node, slot) => self.answer(node, slot),
            Action::Lose(node, slot) => self.step(node, slot, Port::Answered(Answer::Failed)),
            Action::Go(node, slot) => self.step(node, slot, Port::Running),
            Action::Leave(node, slot) => drop(self.tasks.remove(&(node, slot))),
            Action::Cut(node) => self.nodes[node].cut.set(true),
            Action::Heal(node) => self.nodes[node].cut.set(false),
            Action::Crash(node) => self.crash(node),
            Action::Find(node) => self.nodes[node].elsewhere.set(false),
            Action::Replicate => self.replica = Some(self.server.clone()),
            Action::FailOver { skewed, split } => self.fail_over(skewed, split),
            Action::Flush => self.fault(Server::flush),
            Action::FlushScripts => self.fault(Server::flush_scripts),
            Action::EvictStream => self.fault(Server::evict_stream),
            Action::EvictHash => self.fault(Server::evict_hash),
            Action::EvictTail => self.server.evict_tail(),
            Action::Trim(keep) => self.server.trim(keep),
            Action::Forget(nth) => {
                if let Some(cutoff) = self.server.fields().get(nth) {
                    self.server.forget(*cutoff);
                }
            }
            Action::Tick => {
                self.server.tick();
                if !self.plan.split {
                    // Past what a failover may still lose.
                    self.shared.now.set(self.shared.now.get() + 8_000);
                }
            }
        }
    }

    /// Commits a new version, and says what that invalidates.
    fn record(&self, number: usize, soft: bool, times: usize) -> Record {
        let (named, tag) = tag(number);
        let mut spec = self.shared.spec.borrow_mut();
        spec.versions[number] += 1;
        let item = Item {
            kind: TagKind::Tag,
            mark: Mark { tag, soft },
            name: Some(named.name().into()),
        };
        Record {
            // Nothing older may be served.
            lsn: Some(u64::from(spec.versions[number])),
            items: vec![item; times].into(),
        }
    }

    fn owe(&self, node: usize, tag: usize, soft: bool, times: usize) {
        let record = self.record(tag, soft, times);
        self.nodes[node].owe(&self.shared, record);
    }

    pub(super) fn begin<F: Future<Output = ()> + 'static>(
        &mut self,
        node: usize,
        slot: Slot,
        work: impl FnOnce(Task) -> F,
    ) {
        let running = Running::begin(&self.shared, &self.nodes[node], work);
        self.keep(node, slot, running);
    }

    fn keep(&mut self, node: usize, slot: Slot, running: Option<Running>) {
        if let Some(running) = running {
            self.tasks.insert((node, slot), running);
        }
        self.leave(node);
    }

    /// Sends off what was computed; what finds no place is lost.
    fn leave(&mut self, node: usize) {
        let leaving = self.nodes[node].leaving.take();
        for (key, entry) in leaving {
            let free = (0..3).map(Slot::Push);
            let free = free
                .into_iter()
                .find(|slot| !self.tasks.contains_key(&(node, *slot)));
            if let Some(slot) = free {
                self.begin(node, slot, |task| task.push(key, entry));
            }
        }
    }

    pub(super) fn step(&mut self, node: usize, slot: Slot, port: Port) {
        if let Some(running) = self.tasks.remove(&(node, slot)) {
            let running = running.step(port);
            self.keep(node, slot, running);
        }
    }

    pub(super) fn execute(&mut self, node: usize, slot: Slot) {
        let port = self.tasks[&(node, slot)].port.take();
        let Port::Sent(call) = port else {
            panic!("nothing was sent");
        };
        if let Call::Set(key, stored) = &call {
            self.past[*key].push(stored.clone());
        }
        let renewal = match call {
            Call::Renew(_, expected, _) => Some(expected),
            _ => None,
        };
        let elsewhere = self.nodes[node].elsewhere.get();
        let old = self.old.as_mut().filter(|_| elsewhere);
        let answer = old.unwrap_or(&mut self.server).run(call);
        if let (Some(expected), Answer::Checked(_)) = (renewal, &answer) {
            self.renewed(expected, elsewhere);
        }
        self.tasks[&(node, slot)]
            .port
            .replace(Port::Executed(answer));
    }

    /// Each life answers something that happened.
    fn renewed(&self, expected: Expected, elsewhere: bool) {
        let mut spec = self.shared.spec.borrow_mut();
        spec.lives += 1;
        // What is forced ends a life whole, and what happens elsewhere is not counted.
        spec.forced += u32::from(expected == Expected::Whatever || elsewhere);
        let counts = self
            .shared
            .without
            .is_none_or(|rule| rule == Rule::CompareAndSet);
        if counts && spec.lives > spec.faults + spec.forced {
            let (lives, faults) = (spec.lives, spec.faults + spec.forced);
            spec.violate(format!("{lives} lives of the log for {faults} causes"));
        }
    }

    fn execute_old(&self, node: usize, slot: Slot, nth: usize) {
        let port = &self.tasks[&(node, slot)].port;
        let Port::Sent(Call::Get(key)) = port.take() else {
            panic!("nothing was asked for");
        };
        let found = self.past[key].iter().rev().nth(nth).cloned();
        port.replace(Port::Executed(Answer::Got(found)));
    }

    fn answer(&mut self, node: usize, slot: Slot) {
        let Port::Executed(answer) = self.tasks[&(node, slot)].port.take() else {
            panic!("nothing was answered");
        };
        self.step(node, slot, Port::Answered(answer));
    }

    /// Runs one task to its end.
    pub(super) fn finish(&mut self, node: usize, slot: Slot) {
        while let Some(running) = self.tasks.get(&(node, slot)) {
            let port = running.port.borrow();
            match *port {
                Port::Sent(_) => {
                    drop(port);
                    self.execute(node, slot);
                }
                Port::Executed(_) => {
                    drop(port);
                    self.answer(node, slot);
                }
                Port::Queued if self.nodes[node].catching.get() => return,
                _ => {
                    drop(port);
                    self.step(node, slot, Port::Running);
                }
            }
        }
    }

    fn crash(&mut self, node: usize) {
        for slot in Slot::ALL {
            self.tasks.remove(&(node, slot));
        }
        self.nodes[node] = self.node(node);
    }

    fn fault(&mut self, what: impl FnOnce(&mut Server)) {
        what(&mut self.server);
        self.shared.spec.borrow_mut().faults += 1;
    }

    fn fail_over(&mut self, skewed: bool, split: bool) {
        let clock = self.server.clock();
        let Some(replica) = self.replica.take() else {
            return;
        };
        let promoted = replica.promoted(skewed, clock);
        let before = std::mem::replace(&mut self.server, promoted);
        self.shared.spec.borrow_mut().faults += 1;
        if split {
            self.old = Some(before);
            let last = &self.nodes[self.nodes.len() - 1];
            last.elsewhere.set(true);
            last.splits.set(last.splits.get() + 1);
        }
    }

    /// Tags that were written and not invalidated since.
    pub(super) fn uncovered(&self) -> Vec<usize> {
        let spec = self.shared.spec.borrow();
        (0..TAGS)
            .filter(|tag| spec.made.fresh[*tag] < spec.versions[*tag])
            .collect()
    }
}
