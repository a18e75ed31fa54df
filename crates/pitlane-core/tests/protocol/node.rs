//! A node: the real log, what it has in memory, and what it promised.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use pitlane_core::{
    Basis, Incarnation, Judgement, Log, LogId, Logged, Meta, Reason, Record, Remembered,
    RemoteJudgement, Stamp, TagId, TagSet, Timestamp, Watermark,
};

use super::redis::Stored;
use super::rules::Rule;
use super::spec::{KEYS, Needs, Promises, Value};
use super::task::Shared;

pub(super) const NAMESPACE: &str = "site";

#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: usize,
    pub(super) log: Log,
    pub(super) healthy: Cell<bool>,
    pub(super) catching: Cell<bool>,
    pub(super) cut: Cell<bool>,
    /// Its server was replaced, and it does not know.
    pub(super) elsewhere: Cell<bool>,
    /// How often that happened.
    pub(super) splits: Cell<u32>,
    pub(super) catch_ups: Cell<u32>,
    pub(super) memory: RefCell<[Option<Rc<Entry>>; KEYS]>,
    /// Who waits for the computation of a key, and what held when they began.
    pub(super) followers: RefCell<[Vec<Needs>; KEYS]>,
    pub(super) promises: RefCell<Promises>,
    /// Entries on their way to the remote tier.
    pub(super) leaving: RefCell<Vec<(usize, Rc<Entry>)>>,
    pub(super) wrong: RefCell<Wrong>,
}

/// What a node remembers only where a rule is taken out.
#[derive(Debug, Default)]
pub(super) struct Wrong {
    /// The last tail that was read.
    pub(super) tail: Option<Watermark>,
    /// Whether the last mark of a tag was a soft one.
    soft_last: HashMap<TagId, bool>,
    /// What the hash said last of a tag, until the next record of it.
    answers: HashMap<TagId, LogId>,
    floor: LogId,
}

impl Wrong {
    /// What the hash said is worth nothing after a join, even where it overwrites.
    pub(super) fn forget(&mut self) {
        self.answers.clear();
    }
}

/// An entry in memory.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) meta: Meta,
    pub(super) value: Value,
}

impl Entry {
    pub(super) fn new(tags: &[TagId], basis: Basis, value: Value) -> Rc<Self> {
        let mut tags = tags.to_vec();
        tags.sort_unstable();
        tags.dedup();
        Rc::new(Self {
            meta: Meta {
                stored_at: Timestamp::default(),
                cost: Duration::ZERO,
                tags: TagSet::of_parts(tags.into(), Box::default()),
                stamp: Stamp::new(basis),
            },
            value,
        })
    }
}

impl Node {
    pub(super) fn new(name: usize, alone: Incarnation, capacity: usize) -> Self {
        Self {
            name,
            log: Log::following(NAMESPACE, alone, capacity),
            healthy: Cell::default(),
            catching: Cell::default(),
            cut: Cell::default(),
            elsewhere: Cell::default(),
            splits: Cell::default(),
            catch_ups: Cell::default(),
            memory: RefCell::default(),
            followers: RefCell::default(),
            promises: RefCell::default(),
            leaving: RefCell::default(),
            wrong: RefCell::default(),
        }
    }

    pub(super) fn covers(&self, tail: &Watermark) -> bool {
        self.log.watermark().is_some_and(|known| known.covers(tail))
    }

    /// On which side of a split it is: `None` where only some of the others are.
    pub(super) fn side(&self) -> Option<u32> {
        (!self.elsewhere.get()).then_some(self.splits.get())
    }

    /// What this node must not serve anything older than, from memory or from elsewhere.
    pub(super) fn needs(&self) -> Needs {
        let incarnation = self.log.basis().position.incarnation;
        self.promises.borrow().now(incarnation)
    }

    /// Judges what is in memory.
    pub(super) fn judge(&self, shared: &Shared, key: usize, entry: &Rc<Entry>) -> Judgement {
        let mut judgement = entry.meta.judge(&self.log);
        if shared.lacks(Rule::SlotsApart)
            && judgement == Judgement::Unusable(Reason::Invalidated)
            && self.hides_hard(entry.meta.tags.ids())
        {
            judgement = Judgement::Stale;
        }
        if shared.lacks(Rule::StaleStays) && judgement == Judgement::Stale {
            let promoted = Entry::new(entry.meta.tags.ids(), self.log.basis(), entry.value);
            self.memory.borrow_mut()[key] = Some(promoted);
        }
        judgement
    }

    /// Judges what came from the remote tier.
    pub(super) fn judge_remote(&self, shared: &Shared, stored: &Stored) -> RemoteJudgement {
        let tags = &*stored.tags;
        let judgement = if shared.lacks(Rule::QueueFirst) {
            self.judge_without_queue(stored)
        } else {
            self.log.judge_remote(stored.position, tags)
        };
        let at = Basis {
            position: stored.position,
            ..self.log.basis().unjudged()
        };
        match judgement {
            RemoteJudgement::Unusable(Reason::Invalidated)
                if shared.lacks(Rule::SlotsApart) && self.hides_hard(tags) =>
            {
                RemoteJudgement::Stale(at)
            }
            RemoteJudgement::Unusable(Reason::Invalidated)
                if shared.lacks(Rule::AnswerMerges) && self.was_answered(stored) =>
            {
                RemoteJudgement::Fresh(at)
            }
            RemoteJudgement::Stale(_) if shared.lacks(Rule::StaleStays) => {
                RemoteJudgement::Stale(self.log.basis())
            }
            judgement => judgement,
        }
    }

    fn judge_without_queue(&self, stored: &Stored) -> RemoteJudgement {
        let now = self.log.basis();
        let at = Basis {
            position: stored.position,
            ..now.unjudged()
        };
        match self.log.judge(&at, &stored.tags).0 {
            Judgement::Fresh => RemoteJudgement::Fresh(Basis {
                position: stored.position.later(now.position),
                ..now
            }),
            Judgement::Stale => RemoteJudgement::Stale(at),
            Judgement::Unusable(Reason::Horizon) => RemoteJudgement::Ask,
            Judgement::Unusable(reason) => RemoteJudgement::Unusable(reason),
        }
    }

    /// Notes what the node applied, up to its watermark or, where it was its own, beyond it.
    pub(super) fn applied(&self, logged: &Logged) {
        let mut promises = self.promises.borrow_mut();
        let needs = promises.applied.entry(logged.at.incarnation()).or_default();
        self.raise(needs, &logged.record);
        self.marked(&logged.record);
    }

    /// Notes what the node promised for its own callers.
    pub(super) fn promised(&self, record: &Record) {
        self.raise(&mut self.promises.borrow_mut().own, record);
    }

    /// Tells the caller that an invalidation is applied; `everywhere` unless the server was not
    /// the one that the others ask.
    pub(super) fn acknowledge(&self, shared: &Shared, record: &Record, everywhere: bool) {
        let mut spec = shared.spec.borrow_mut();
        self.raise(&mut spec.made, record);
        if everywhere {
            self.raise(&mut spec.acknowledged, record);
        }
    }

    fn raise(&self, needs: &mut Needs, record: &Record) {
        if let (Some(item), Some(version)) = (record.items.first(), record.lsn) {
            let named = item.name.as_deref().and_then(|name| name.parse().ok());
            let tag: usize = named.expect("tags are numbers");
            let version = u32::try_from(version).expect("few versions");
            needs.raise(tag, item.mark.soft, version);
        }
    }

    fn marked(&self, record: &Record) {
        let mut wrong = self.wrong.borrow_mut();
        for mark in record.marks() {
            wrong.soft_last.insert(mark.tag, mark.soft);
            wrong.answers.remove(&mark.tag);
        }
    }

    pub(super) fn answered(&self, remembered: &Remembered) {
        let hard = remembered.tags.iter().map(|(tag, hard, _)| (*tag, *hard));
        let mut wrong = self.wrong.borrow_mut();
        wrong.answers.extend(hard);
        wrong.floor = wrong.floor.max(remembered.floor);
    }

    /// Applies an invalidation at once and owes it to the log.
    pub(super) fn owe(&self, shared: &Shared, record: Record) {
        self.marked(&record);
        self.promised(&record);
        self.raise(&mut shared.spec.borrow_mut().made, &record);
        self.log.owe(record);
    }

    /// With one slot for both kinds of marks: every tag's last mark is a soft one.
    fn hides_hard(&self, tags: &[TagId]) -> bool {
        let wrong = self.wrong.borrow();
        tags.iter()
            .all(|tag| wrong.soft_last.get(tag).copied().unwrap_or(true))
    }

    /// With answers that overwrite: what the hash said of every tag allows the entry.
    fn was_answered(&self, stored: &Stored) -> bool {
        let wrong = self.wrong.borrow();
        let allows = |tag| {
            wrong
                .answers
                .get(tag)
                .is_some_and(|at| *at <= stored.position.id)
        };
        stored.tags.iter().all(allows)
    }
}
