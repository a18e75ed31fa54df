use crate::hash::Hasher128;
use crate::owed::{Bounds, Debt, Debts};
use crate::position::{Basis, Incarnation, Position};
use crate::record::Record;
use crate::sync::{AtomicBool, AtomicU64, Ordering, RwLock, read, write};
use crate::table::{Judgement, Remembered, RemoteJudgement, Step, Table};
use crate::tag::{Mark, Tag, TagHasher, TagId, TagKind};
use crate::time::Timestamp;
use crate::watermark::{Logged, Watermark};

/// The invalidation log as one process follows it.
///
/// Without Redis the process keeps the log itself, and positions are a counter ([`Log::new`]).
/// With Redis it follows one that others write to as well ([`Log::following`]); this type decides
/// what every answer from there means, and whoever talks to Redis only carries questions and
/// answers.
///
/// Appending takes the write lock; noting a position and judging take the read lock; a hit whose
/// log has not moved takes none ([`Log::generation`]).
#[derive(Debug)]
pub struct Log {
    keys: Hasher128,
    tags: TagHasher,
    state: RwLock<State>,
    /// A copy of the table's generation that can be read without the lock. It is written under
    /// the write lock, after the table and before the invalidation is acknowledged.
    generation: AtomicU64,
    /// Nothing was heard of the log for too long.
    degraded: AtomicBool,
}

#[derive(Debug)]
struct State {
    table: Table,
    /// Whether this process keeps the log itself.
    own: bool,
    joined: bool,
    debts: Debts,
}

/// What became of a batch of records that a follower read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Caught {
    /// All of them are applied.
    Up,
    /// Something before one of them is missing: catch up.
    Gap,
}

impl Log {
    /// An empty log that remembers at most `capacity` invalidated tags, for this process alone.
    /// The incarnation must be fresh: give it a random number.
    #[must_use]
    pub fn new(incarnation: Incarnation, capacity: usize) -> Self {
        Self::of(TagHasher::local(), Table::new(incarnation, capacity), true)
    }

    /// What a node knows of the log of `namespace`, before it has joined it.
    ///
    /// Until then the node lives in an incarnation of its own (a fresh random number): what it
    /// computes is for its own memory, and dies when it joins.
    #[must_use]
    pub fn following(namespace: &str, alone: Incarnation, capacity: usize) -> Self {
        Self::of(
            TagHasher::shared(namespace),
            Table::new(alone, capacity),
            false,
        )
    }

    fn of(tags: TagHasher, table: Table, own: bool) -> Self {
        let generation = AtomicU64::new(table.generation());
        let state = State {
            table,
            own,
            joined: own,
            debts: Debts::new(Bounds::default()),
        };
        Self {
            keys: Hasher128::new(),
            tags,
            state: RwLock::new(state),
            generation,
            degraded: AtomicBool::new(false),
        }
    }

    /// What makes digests of keys in this process.
    #[must_use]
    pub const fn hasher(&self) -> &Hasher128 {
        &self.keys
    }

    /// What numbers tags in this log.
    #[must_use]
    pub const fn tags(&self) -> &TagHasher {
        &self.tags
    }

    /// The number of a name in this log.
    #[must_use]
    pub fn tag_id(&self, kind: TagKind, name: &str) -> TagId {
        TagId::of(&self.tags, kind, name.as_bytes())
    }

    /// The node's generation: as long as it stands still, what was judged fresh still is.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Notes the position of a computation that is about to begin, in one atomic snapshot. It
    /// must be taken before any of the computation's own reads.
    #[must_use]
    pub fn basis(&self) -> Basis {
        read(&self.state).table.basis()
    }

    /// Judges an entry by where it stands, and says how far the node had read when it did.
    #[must_use]
    pub fn judge(&self, at: &Basis, tags: &[TagId]) -> (Judgement, Basis) {
        let state = read(&self.state);
        (state.table.judge(at, tags), state.table.basis())
    }

    /// Whether nothing was heard of the log for so long that what is in memory may be older than
    /// the published bound.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.degraded.load(Ordering::Relaxed)
    }

    fn change<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = write(&self.state);
        let result = work(&mut state);
        let generation = state.table.generation();
        self.generation.store(generation, Ordering::Release);
        result
    }
}

/// A log that this process keeps.
impl Log {
    /// Appends one invalidation of `tags` and applies it here before it returns: whoever reads
    /// after that sees it. Returns its position (that of its last record).
    pub fn invalidate<'a>(&self, tags: impl IntoIterator<Item = &'a Tag>, soft: bool) -> Position {
        let marks = tags.into_iter().map(|tag| Mark {
            tag: tag.id(&self.tags),
            soft,
        });
        self.append(marks)
    }

    /// Appends marks for tags whose numbers are known already.
    pub fn append(&self, marks: impl IntoIterator<Item = Mark>) -> Position {
        self.change(|state| {
            for mark in marks {
                state.table.apply_next(mark);
            }
            state.table.basis().position
        })
    }

    /// Appends marks, and says from where on what was computed at `at` under `tags` counts as newer
    /// than they: for a computation that is itself the reason for the marks. `None` when something
    /// else has ended it already. Both happen in one step, so that nobody's mark is overlooked.
    pub fn append_over(
        &self,
        at: &Basis,
        tags: &[TagId],
        marks: impl IntoIterator<Item = Mark>,
    ) -> Option<Basis> {
        self.change(|state| {
            let current = state.table.judge(at, tags) == Judgement::Fresh;
            for mark in marks {
                state.table.apply_next(mark);
            }
            current.then(|| state.table.basis())
        })
    }

    /// Begins another life of the log: every entry made before is a miss.
    pub fn renew(&self, incarnation: Incarnation) {
        let start = Watermark::new(incarnation, crate::position::LogId::ZERO, 0);
        self.change(|state| state.table.join(start));
    }
}

/// A log that others write to as well.
impl Log {
    /// How far the node has read; `None` before it has joined.
    #[must_use]
    pub fn watermark(&self) -> Option<Watermark> {
        let state = read(&self.state);
        state.joined.then(|| state.table.watermark())
    }

    /// Whether `position` may be stored where other nodes read it: it is one of the log that the
    /// node follows.
    #[must_use]
    pub fn is_shared(&self, position: Position) -> bool {
        let state = read(&self.state);
        state.joined && !state.own && position.incarnation == state.table.watermark().incarnation()
    }

    /// Begins to follow the log at `tail`, at the start and whenever something may have been
    /// missed. On another life of the log the node owes it again what it had acknowledged a short
    /// while ago, because a server that took over may not know of it.
    pub fn join(&self, tail: Watermark, now: Timestamp) {
        self.change(|state| {
            let known = state.joined.then(|| state.table.watermark().incarnation());
            state.table.join(tail);
            state.joined = true;
            state.debts.forget_unpassed();
            if known.is_some_and(|known| known != tail.incarnation()) {
                for record in state.debts.take_recent(now) {
                    let local = state.table.local([]);
                    state.debts.owe(local, record);
                }
                state.table.block_until_logged();
            }
        });
    }

    /// Begins to renew the log for everybody, because the node owed more than it could remember:
    /// what it owes until now need not be appended. Returns how far that reaches in the node's
    /// own order, for [`Log::end_renewal`].
    pub fn begin_renewal(&self) -> u64 {
        self.change(|state| {
            state.debts.forgive();
            state.table.basis().local
        })
    }

    /// The log was renewed and the node has joined it (`renewed`), or that is not known, and then
    /// the renewal is owed still.
    pub fn end_renewal(&self, until: u64, renewed: bool) {
        self.change(|state| {
            if renewed {
                state.table.logged(until);
            } else {
                state.debts.overflow();
            }
        });
    }

    /// Applies records that were read in their order.
    pub fn follow<'a>(&self, records: impl IntoIterator<Item = &'a Logged>) -> Caught {
        self.change(|state| {
            for logged in records {
                if !state.joined || state.table.follow(logged) == Step::Gap {
                    return Caught::Gap;
                }
                state.debts.passed(logged.at);
            }
            Caught::Up
        })
    }

    /// Applies a record that this node appended and that the log acknowledged; `debt` says which
    /// of its debts that pays. The node may have to catch up before its watermark covers it.
    ///
    /// Says whether the record is of the life of the log that the node follows: if it isn't the
    /// node has to join again, and the debt stands.
    pub fn appended(&self, logged: &Logged, debt: Option<u64>, now: Timestamp) -> bool {
        self.change(|state| {
            let current =
                state.joined && logged.at.incarnation() == state.table.watermark().incarnation();
            if current {
                if !state.table.own(logged) {
                    state.debts.unpassed(logged.at);
                }
                if let Some(local) = debt {
                    state.debts.paid(local);
                    state.table.logged(local);
                }
                state.debts.acknowledged(logged.record.clone(), now);
            }
            current
        })
    }

    /// Applies an invalidation at once that can't be appended now, and owes it to the log.
    pub fn owe(&self, record: Record) {
        self.change(|state| {
            let local = state.table.local(record.marks());
            state.debts.owe(local, record);
        });
    }

    /// The oldest thing that the node owes to the log.
    #[must_use]
    pub fn debt(&self) -> Option<Debt> {
        read(&self.state).debts.first()
    }

    /// How many records the node owes to the log.
    #[must_use]
    pub fn debts(&self) -> usize {
        read(&self.state).debts.len()
    }

    /// Whether the node owed more than it could remember: the log has to be renewed.
    #[must_use]
    pub fn has_overflowed(&self) -> bool {
        read(&self.state).debts.has_overflowed()
    }

    /// Whether the log has lost records that this node appended: it has read up to `tail`, and
    /// came past none of them.
    #[must_use]
    pub fn has_lost_own(&self, first: crate::position::LogId) -> bool {
        let state = read(&self.state);
        state.debts.is_missing(state.table.watermark(), first)
    }

    /// The node's epoch, for [`Remembered`].
    #[must_use]
    pub fn epoch(&self) -> u64 {
        read(&self.state).table.epoch()
    }

    /// Takes in what the log remembers of some tags. Says whether the answer still counted.
    pub fn learn(&self, remembered: &Remembered) -> bool {
        self.change(|state| state.joined && state.table.learn(remembered))
    }

    /// Judges an entry that came from the remote tier, once the node has read everything that was
    /// in the log when the entry was asked for.
    #[must_use]
    pub fn judge_remote(&self, position: Position, tags: &[TagId]) -> RemoteJudgement {
        let state = read(&self.state);
        if !state.joined || state.debts.has_overflowed() {
            return RemoteJudgement::Unusable(crate::reason::Reason::Incarnation);
        }
        state.table.judge_remote(position, tags)
    }

    /// Notes whether the log was heard of within the bound that is promised.
    pub fn set_degraded(&self, degraded: bool) {
        self.degraded.store(degraded, Ordering::Relaxed);
    }

    /// Lets nothing be used until the log is in reach again, or ends that: how long memory is
    /// served without it is the operator's choice.
    pub fn suspend(&self, suspended: bool) {
        if read(&self.state).table.is_suspended() != suspended {
            self.change(|state| state.table.suspend(suspended));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_invalidation_ends_what_was_computed_before_it_and_nothing_else() {
        let log = Log::new(Incarnation::from_random(1), 100);
        let club = Tag::new("club:42");
        let before = log.basis();
        let generation = log.generation();
        let position = log.invalidate([&club], false);
        let after = log.basis();
        let tags = [club.id(log.tags())];
        assert!(log.generation() > generation);
        assert_eq!(after.position, position);
        assert!(matches!(
            log.judge(&before, &tags).0,
            Judgement::Unusable(_)
        ));
        assert_eq!(log.judge(&after, &tags).0, Judgement::Fresh);
        assert_eq!(log.judge(&before, &[]).0, Judgement::Fresh);
    }
}
