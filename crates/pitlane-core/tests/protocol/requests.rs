//! What requests do on a node: they compute, follow computations, hit memory, and look into the
//! remote tier. Whatever they serve is held against what was promised.

use std::rc::Rc;
use std::sync::LazyLock;

use pitlane_core::{Dependencies, Judgement, RemoteJudgement, Tag, TagHasher, TagId};

use super::node::{Entry, NAMESPACE, Node};
use super::redis::{Answer, Call, Stored};
use super::rules::Rule;
use super::spec::{Needs, TAGS, Value, tags_of};
use super::task::{Shared, Task};

/// The tags have numbers for names; what numbers them is made for each world again and again.
static NAMES: LazyLock<[(Tag, TagId); TAGS]> = LazyLock::new(|| {
    let hasher = TagHasher::shared(NAMESPACE);
    std::array::from_fn(|number| {
        let tag = Tag::new(number.to_string());
        let id = tag.id(&hasher);
        (tag, id)
    })
});

pub(super) fn tag(number: usize) -> (Tag, TagId) {
    NAMES[number].clone()
}

/// Serves `value`, unless nobody may: that is noted.
pub(super) fn serve(
    shared: &Shared,
    node: &Node,
    how: &str,
    value: &Value,
    fresh: bool,
    needs: &Needs,
) {
    if !needs.allow(value, fresh) {
        let what = format!(
            "node {}: {how} served {value:?} (fresh: {fresh}), needs {needs:?}",
            node.name
        );
        shared.spec.borrow_mut().violate(what);
    }
}

/// A hit in memory, if there is something usable. Says whether it was fresh.
pub(super) fn hit(shared: &Shared, node: &Node, key: usize) -> Option<(Rc<Entry>, bool)> {
    let entry = node.memory.borrow()[key].clone()?;
    let judgement = node.judge(shared, key, &entry);
    let fresh = judgement == Judgement::Fresh;
    if matches!(judgement, Judgement::Unusable(_)) {
        return None;
    }
    serve(shared, node, "memory", &entry.value, fresh, &node.needs());
    Some((entry, fresh))
}

impl Task {
    /// Computes `key`, perhaps from what is cached of the other one.
    pub(super) async fn fill(self, key: usize, nested: bool) {
        let node = &self.node;
        let began = node.log.basis();
        let work = Dependencies::new(began);
        let mut value = Value::NOTHING;
        self.pause().await;
        for number in tags_of(key) {
            let inner = (nested && number < key)
                .then(|| hit(&self.shared, node, number))
                .flatten();
            if let Some((inner, fresh)) = inner {
                work.depend(&inner.meta, fresh);
                value.absorb(&inner.value);
            } else {
                let (tag, id) = tag(number);
                work.tag(tag, id);
                value.read(number, self.shared.spec.borrow().versions[number]);
            }
            self.pause().await;
        }
        let gathered = work.gathered();
        let mut basis = gathered.basis;
        if self.lacks(Rule::NoteFirst) {
            basis = node.log.basis();
        }
        let incarnation = node.log.basis().position.incarnation;
        if self.lacks(Rule::JoinEnds) && basis.position.incarnation != incarnation {
            basis = node.log.basis();
        }
        if self.lacks(Rule::GenerationOfPosition) {
            basis.generation = Some(node.log.generation());
        }
        self.land(key, Entry::new(&gathered.ids, basis, value));
    }

    /// Stores what was computed, and hands it to those who wait.
    fn land(&self, key: usize, entry: Rc<Entry>) {
        let node = &self.node;
        node.memory.borrow_mut()[key] = Some(Rc::clone(&entry));
        let followers = std::mem::take(&mut node.followers.borrow_mut()[key]);
        for began in followers {
            if self.lacks(Rule::FollowerJudges) {
                serve(&self.shared, node, "a flight", &entry.value, true, &began);
            } else {
                let _ = hit(&self.shared, node, key);
            }
        }
        let usable = entry.meta.judge(&node.log) == Judgement::Fresh;
        if usable && node.log.is_shared(entry.meta.stamp.position()) {
            node.leaving.borrow_mut().push((key, entry));
        }
    }

    /// Gives an entry to the other nodes, in the background.
    pub(super) async fn push(self, key: usize, entry: Rc<Entry>) {
        self.pause().await;
        let stored = Stored {
            position: entry.meta.stamp.position(),
            tags: entry.meta.tags.ids().to_vec(),
            value: entry.value,
        };
        let _ = self.call(Call::Set(key, stored)).await;
    }

    /// Looks into the remote tier, and keeps what is there in memory.
    pub(super) async fn read(self, key: usize, tail_first: bool) {
        let needs = self.shared.spec.borrow().acknowledged;
        let side = self.node.side();
        let before = self.node.log.watermark();
        let (got, confirmed);
        if tail_first {
            confirmed = self.confirm(before).await;
            got = self.call(Call::Get(key)).await;
        } else {
            got = self.call(Call::Get(key)).await;
            confirmed = self.confirm(before).await;
        }
        let (Answer::Got(Some(stored)), Ok(())) = (got, confirmed) else {
            return;
        };
        self.pause().await;
        let Some((basis, fresh)) = self.judge_remote(&stored).await else {
            return;
        };
        let mut needs = if side.is_some() && side == self.node.side() {
            needs
        } else {
            Needs::default()
        };
        needs = needs.and(&self.node.promises.borrow().own);
        serve(
            &self.shared,
            &self.node,
            "a remote read",
            &stored.value,
            fresh,
            &needs,
        );
        let entry = Entry::new(&stored.tags, basis, stored.value);
        self.pause().await;
        self.node.memory.borrow_mut()[key] = Some(entry);
        let _ = hit(&self.shared, &self.node, key);
    }

    async fn judge_remote(&self, stored: &Stored) -> Option<(pitlane_core::Basis, bool)> {
        let judge = || self.node.judge_remote(&self.shared, stored);
        let mut judgement = judge();
        if judgement == RemoteJudgement::Ask {
            let tags: &[TagId] = &stored.tags;
            self.ask(tags).await.ok()?;
            // The reply is taken in by the task that asked, which others may overtake.
            judgement = judge();
        }
        match judgement {
            RemoteJudgement::Fresh(basis) => Some((basis, true)),
            RemoteJudgement::Stale(basis) => Some((basis, false)),
            RemoteJudgement::Ask | RemoteJudgement::Unusable(_) => None,
        }
    }
}
