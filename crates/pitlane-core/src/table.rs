use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use crate::position::{Basis, Incarnation, LogId, Position};
use crate::reason::Reason;
use crate::tag::{Mark, TagId};
use crate::watermark::{Logged, Watermark};

/// What the log says of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing it was made of has been invalidated since.
    Fresh,
    /// A soft mark came after it: stale, to be used only where a stale answer may be.
    Stale,
    /// It must not be used, and why.
    Unusable(Reason),
}

/// What the log says of an entry that came from another node, and where it stands then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteJudgement {
    /// Usable; in memory it may stand at this basis, which lies past all that is known.
    Fresh(Basis),
    /// Usable only where something stale may be used, at its own position.
    Stale(Basis),
    /// It must not be used, and why.
    Unusable(Reason),
    /// The node joined after some of the entry's tags may have been invalidated: the log has to be
    /// asked for them, and the answer given to [`Table::learn`].
    Ask,
}

/// What became of a record that a follower read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// It was the next one.
    Applied,
    /// It is known already.
    Known,
    /// It is not the next one: something is missing.
    Gap,
}

/// What the log remembers of some tags beyond its recent records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The node's [epoch](Table::epoch) when the log was asked.
    pub epoch: u64,
    /// The incarnation that the answer speaks of.
    pub incarnation: Incarnation,
    /// Below this position the log has forgotten.
    pub floor: LogId,
    /// For each tag its last hard and its last soft position, zero where there is none.
    pub tags: Vec<(TagId, LogId, LogId)>,
}

/// One node's view of the invalidation log: for each tag the last hard and the last soft
/// position, and how far the node has read.
///
/// What this node invalidated while the log could not be reached has no position yet: its place in
/// the node's own order counts instead, until it is in the log.
///
/// Soft and hard positions are kept apart: a later soft mark must not hide a hard one. The table
/// is bounded; when it is full it drops its oldest row and raises the horizon to it, below which
/// nothing is usable any more. Losing information costs a miss, never a stale answer.
#[derive(Debug)]
pub struct Table {
    watermark: Watermark,
    horizon: LogId,
    generation: u64,
    /// Counts joins and gaps: an answer to a question from before one is worth nothing after it.
    epoch: u64,
    /// How many invalidations this node made without the log.
    local: u64,
    /// How many of these are in the log by now.
    logged: u64,
    /// Nothing may be used: the log was out of reach for too long.
    suspended: bool,
    /// Below it the node's own order has been forgotten.
    local_horizon: u64,
    rows: HashMap<TagId, Row, BuildHasherDefault<Identity>>,
    /// Rows by age, with leftovers of rows that were marked again since.
    order: VecDeque<(LogId, TagId)>,
    capacity: usize,
}

impl Table {
    /// An empty table for one life of the log, joined at its beginning, which holds at most
    /// `capacity` tags (at least one).
    #[must_use]
    pub fn new(incarnation: Incarnation, capacity: usize) -> Self {
        Self {
            watermark: Watermark::new(incarnation, LogId::ZERO, 0),
            horizon: LogId::ZERO,
            generation: 1,
            epoch: 0,
            local: 0,
            logged: 0,
            suspended: false,
            local_horizon: 0,
            rows: HashMap::default(),
            order: VecDeque::new(),
            capacity: capacity.max(1),
        }
    }

    /// How far this node has read, and its generation.
    #[must_use]
    pub const fn basis(&self) -> Basis {
        Basis {
            position: self.watermark.position,
            local: self.local,
            // What is computed meanwhile has to be judged before it is used.
            generation: if self.suspended {
                None
            } else {
                Some(self.generation)
            },
        }
    }

    /// How far this node has read.
    #[must_use]
    pub const fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// Changes whenever a judgement might.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Changes with every join and every gap.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many tags are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no tag is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Gives `mark` the next position and applies it: for a log that lives in this process alone.
    pub fn apply_next(&mut self, mark: Mark) {
        let Position { incarnation, id } = self.watermark.position;
        let id = id.next();
        self.mark(id, mark);
        self.watermark = Watermark::new(incarnation, id, 0);
        self.generation += 1;
    }

    /// Applies a record that was read from the log if it is the next one; only then does the
    /// watermark move.
    pub fn follow(&mut self, logged: &Logged) -> Step {
        if logged.at.incarnation() != self.watermark.incarnation() {
            return Step::Gap;
        }
        if logged.at.id() <= self.watermark.id() {
            return Step::Known;
        }
        if logged.previous != self.watermark.nonce {
            return Step::Gap;
        }
        self.apply(logged);
        self.watermark = logged.at;
        Step::Applied
    }

    /// Applies a record that this node appended itself, wherever it stands. The watermark moves
    /// only if nothing lies between: says whether the node has read up to the record now.
    ///
    /// A record of another incarnation changes nothing.
    pub fn own(&mut self, logged: &Logged) -> bool {
        if logged.at.incarnation() != self.watermark.incarnation() {
            return false;
        }
        if logged.at.id() <= self.watermark.id() {
            return true;
        }
        self.apply(logged);
        let is_next = logged.previous == self.watermark.nonce;
        if is_next {
            self.watermark = logged.at;
        }
        is_next
    }

    /// Applies an invalidation that is in no log yet. Returns its place in the node's own order,
    /// for [`Table::logged`].
    pub fn local(&mut self, marks: impl IntoIterator<Item = Mark>) -> u64 {
        self.local += 1;
        for mark in marks {
            let row = self.rows.entry(mark.tag).or_default();
            if mark.soft {
                row.local_soft = self.local;
            } else {
                row.local_hard = self.local;
            }
            self.order.push_back((row.newest(), mark.tag));
            self.shrink();
        }
        self.generation += 1;
        self.local
    }

    /// Notes that all local invalidations up to `local` are in the log and were applied as such.
    pub fn logged(&mut self, local: u64) {
        self.logged = self.logged.max(local);
    }

    /// Begins to follow the log at `tail`: at the start, and again whenever something may have
    /// been missed. Everything older is below the horizon from here on; of another life of the
    /// log nothing is usable at all.
    pub fn join(&mut self, tail: Watermark) {
        let mut horizon = tail.id();
        if tail.incarnation() == self.watermark.incarnation() {
            // An own record may lie beyond a tail that was read before it, and its row be gone.
            horizon = horizon.max(self.horizon);
            for row in self.rows.values_mut() {
                row.known_from = None;
            }
        } else {
            self.rows.clear();
            self.order.clear();
            // The marks are gone, and entries from elsewhere might be older than what is owed.
            self.local_horizon = self.local;
        }
        self.watermark = tail;
        self.horizon = horizon;
        self.epoch += 1;
        self.generation += 1;
    }

    /// Lets nothing from elsewhere be used until everything that is owed is in the log: what is
    /// owed may end it, and no row says so.
    pub fn block_until_logged(&mut self) {
        self.local_horizon = self.local;
        self.generation += 1;
    }

    /// Whether nothing may be used until the log is in reach again.
    #[must_use]
    pub const fn is_suspended(&self) -> bool {
        self.suspended
    }

    /// Lets nothing be used until the log is in reach again, or ends that.
    pub fn suspend(&mut self, suspended: bool) {
        if self.suspended != suspended {
            self.suspended = suspended;
            self.generation += 1;
        }
    }

    /// Takes in what the log remembers of some tags, unless the node joined again since it asked.
    /// Says whether it did.
    pub fn learn(&mut self, remembered: &Remembered) -> bool {
        if remembered.epoch != self.epoch || remembered.incarnation != self.watermark.incarnation()
        {
            return false;
        }
        for (tag, hard, soft) in &remembered.tags {
            let row = self.rows.entry(*tag).or_default();
            row.hard = row.hard.max(*hard);
            row.soft = row.soft.max(*soft);
            row.known_from = Some(
                row.known_from
                    .map_or(remembered.floor, |from| from.max(remembered.floor)),
            );
            self.order.push_back((row.newest(), *tag));
            self.shrink();
        }
        self.generation += 1;
        true
    }

    /// Whether what was computed from `at` and carries `tags` may be used.
    #[must_use]
    pub fn judge(&self, at: &Basis, tags: &[TagId]) -> Judgement {
        if at.position.incarnation != self.watermark.incarnation() {
            return Judgement::Unusable(Reason::Incarnation);
        }
        if self.suspended {
            return Judgement::Unusable(Reason::Degraded);
        }
        let id = at.position.id;
        let below = id < self.horizon;
        if at.local < self.local_horizon || (below && tags.is_empty()) {
            return Judgement::Unusable(Reason::Horizon);
        }
        let mut judgement = Judgement::Fresh;
        let mut unknown = false;
        for tag in tags {
            let row = self.rows.get(tag);
            unknown |= below && !row.is_some_and(|row| row.reaches(id));
            let Some(row) = row else { continue };
            if row.hard > id || row.local_hard > at.local {
                return Judgement::Unusable(Reason::Invalidated);
            }
            if row.soft > id || row.local_soft > at.local {
                judgement = Judgement::Stale;
            }
        }
        if unknown {
            return Judgement::Unusable(Reason::Horizon);
        }
        judgement
    }

    /// Judges an entry that another node computed at `position`. The node must have read
    /// everything that was in the log when the entry was asked for.
    #[must_use]
    pub fn judge_remote(&self, position: Position, tags: &[TagId]) -> RemoteJudgement {
        // Of the node's own order only what is not in the log yet can tell something new.
        if self.local_horizon > self.logged {
            return RemoteJudgement::Unusable(Reason::Horizon);
        }
        let at = Basis {
            position,
            local: self.logged,
            generation: None,
        };
        match self.judge(&at, tags) {
            Judgement::Fresh => RemoteJudgement::Fresh(Basis {
                position: position.later(self.watermark.position),
                ..self.basis()
            }),
            // A mark that is owed still has to be found the next time.
            Judgement::Stale => RemoteJudgement::Stale(at),
            Judgement::Unusable(Reason::Horizon) => RemoteJudgement::Ask,
            Judgement::Unusable(reason) => RemoteJudgement::Unusable(reason),
        }
    }

    fn apply(&mut self, logged: &Logged) {
        for mark in logged.record.marks() {
            self.mark(logged.at.id(), mark);
        }
        self.generation += 1;
    }

    fn mark(&mut self, id: LogId, mark: Mark) {
        let row = self.rows.entry(mark.tag).or_default();
        if mark.soft {
            row.soft = row.soft.max(id);
        } else {
            row.hard = row.hard.max(id);
        }
        self.order.push_back((row.newest(), mark.tag));
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.rows.len() > self.capacity {
            let Some((id, tag)) = self.order.pop_front() else {
                return;
            };
            if self.is_current(id, tag)
                && let Some(row) = self.rows.remove(&tag)
            {
                self.horizon = self.horizon.max(id);
                // An answer that is on its way may be older than what was just forgotten.
                self.epoch += 1;
                let local = row.local_hard.max(row.local_soft);
                self.local_horizon = self.local_horizon.max(local);
            }
        }
        // A tag that is marked over and over leaves its earlier places behind.
        if self.order.len() > 2 * self.rows.len() + 64 {
            let mut order = std::mem::take(&mut self.order);
            let mut seen = std::collections::HashSet::with_capacity(self.rows.len());
            // The last place of a row is the one that counts.
            let mut kept: VecDeque<_> = VecDeque::with_capacity(self.rows.len());
            while let Some((id, tag)) = order.pop_back() {
                if self.is_current(id, tag) && seen.insert(tag) {
                    kept.push_front((id, tag));
                }
            }
            self.order = kept;
        }
    }

    fn is_current(&self, id: LogId, tag: TagId) -> bool {
        self.rows.get(&tag).is_some_and(|row| row.newest() == id)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    hard: LogId,
    soft: LogId,
    /// From this position on the row is complete, even below the horizon.
    known_from: Option<LogId>,
    local_hard: u64,
    local_soft: u64,
}

impl Row {
    fn newest(&self) -> LogId {
        self.hard.max(self.soft)
    }

    fn reaches(&self, id: LogId) -> bool {
        self.known_from.is_some_and(|from| from <= id)
    }
}

/// Tag ids are digests already: their low half is the hash.
#[derive(Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.0 ^= u64::from_ne_bytes(word);
        }
    }

    fn write_u128(&mut self, id: u128) {
        self.0 = id as u64;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIFE: Incarnation = Incarnation::from_random(7);

    fn id(sequence: u64) -> LogId {
        LogId {
            millis: 0,
            sequence,
        }
    }

    fn at(sequence: u64) -> Basis {
        Basis {
            position: Position {
                incarnation: LIFE,
                id: id(sequence),
            },
            local: 0,
            generation: None,
        }
    }

    fn table(capacity: usize, marks: &[(u64, u128, bool)]) -> Table {
        let mut table = Table::new(LIFE, capacity);
        for (sequence, tag, soft) in marks {
            let mark = Mark {
                tag: TagId(*tag),
                soft: *soft,
            };
            table.apply_next(mark);
            assert_eq!(table.watermark().id(), id(*sequence));
        }
        table
    }

    #[track_caller]
    fn check(marks: &[(u64, u128, bool)], position: u64, tags: &[u128], expected: Judgement) {
        let tags: Vec<_> = tags.iter().copied().map(TagId).collect();
        assert_eq!(table(100, marks).judge(&at(position), &tags), expected);
    }

    const INVALIDATED: Judgement = Judgement::Unusable(Reason::Invalidated);

    #[test]
    fn only_a_later_record_of_an_own_tag_ends_an_entry() {
        check(&[(1, 1, false)], 0, &[1], INVALIDATED);
        check(&[(1, 1, false)], 1, &[1], Judgement::Fresh);
        check(&[(1, 1, false)], 0, &[2], Judgement::Fresh);
        check(&[(1, 1, false)], 0, &[2, 1], INVALIDATED);
        check(&[(1, 1, true)], 0, &[1], Judgement::Stale);
    }

    #[test]
    fn a_later_soft_mark_does_not_hide_a_hard_one() {
        check(&[(1, 1, false), (2, 1, true)], 0, &[1], INVALIDATED);
        check(&[(1, 1, false), (2, 1, true)], 1, &[1], Judgement::Stale);
        check(&[(1, 1, true), (2, 2, false)], 0, &[1, 2], INVALIDATED);
    }

    #[test]
    fn nothing_is_usable_while_suspended_and_everything_again_afterwards() {
        let mut table = table(100, &[]);
        let before = table.generation();
        table.suspend(true);
        let meanwhile = table.basis();
        assert_eq!(meanwhile.generation, None);
        let degraded = Judgement::Unusable(Reason::Degraded);
        assert_eq!(table.judge(&at(0), &[TagId(1)]), degraded);
        assert_eq!(table.judge(&meanwhile, &[TagId(1)]), degraded);
        assert!(table.generation() > before);
        table.suspend(false);
        assert_eq!(table.judge(&at(0), &[TagId(1)]), Judgement::Fresh);
        assert!(table.generation() > before + 1);
    }

    #[test]
    fn what_is_stale_by_a_mark_that_is_owed_stays_stale_in_memory() {
        let mut table = table(100, &[]);
        let soft = Mark {
            tag: TagId(1),
            soft: true,
        };
        let owed = table.local([soft]);
        let position = at(0).position;
        let RemoteJudgement::Stale(basis) = table.judge_remote(position, &[TagId(1)]) else {
            panic!("it was marked");
        };
        assert_eq!(table.judge(&basis, &[TagId(1)]), Judgement::Stale);
        // Paid, it is the record that counts.
        table.apply_next(soft);
        table.logged(owed);
        assert!(matches!(
            table.judge_remote(position, &[TagId(1)]),
            RemoteJudgement::Stale(_)
        ));
        assert_eq!(table.judge(&basis, &[TagId(1)]), Judgement::Stale);
    }

    #[test]
    fn another_incarnation_is_never_usable() {
        let mut table = table(100, &[]);
        let before = table.generation();
        table.join(Watermark::new(Incarnation::from_random(8), LogId::ZERO, 0));
        assert_eq!(
            table.judge(&at(0), &[]),
            Judgement::Unusable(Reason::Incarnation)
        );
        assert!(table.generation() > before);
    }

    #[test]
    fn a_full_table_drops_its_oldest_row_and_forgets_nothing_silently() {
        let table = table(
            2,
            &[(1, 1, false), (2, 2, false), (3, 1, false), (4, 3, false)],
        );
        assert_eq!(table.len(), 2);
        assert_eq!(
            table.judge(&at(1), &[TagId(2)]),
            Judgement::Unusable(Reason::Horizon)
        );
        assert_eq!(table.judge(&at(2), &[TagId(2)]), Judgement::Fresh);
        assert_eq!(table.judge(&at(2), &[TagId(1)]), INVALIDATED);
    }

    #[test]
    fn a_join_at_an_earlier_tail_does_not_forget_what_a_full_table_dropped() {
        let mut table = table(1, &[(1, 1, false), (2, 2, false), (3, 3, false)]);
        let dropped = Judgement::Unusable(Reason::Horizon);
        assert_eq!(table.judge(&at(1), &[TagId(2)]), dropped);
        table.join(Watermark::new(LIFE, id(1), 0));
        assert_eq!(table.judge(&at(1), &[TagId(2)]), dropped);
        assert_eq!(table.judge(&at(2), &[TagId(2)]), Judgement::Fresh);
    }

    #[test]
    fn a_tag_marked_over_and_over_does_not_grow_the_table() {
        let marks: Vec<_> = (1..10_000).map(|n| (n, u128::from(n % 3), false)).collect();
        let table = table(10, &marks);
        assert!(
            table.order.len() <= 100,
            "{} places kept",
            table.order.len()
        );
    }

    proptest! {
        /// Against the plainest statement of the rule: the whole history, kept for ever.
        #[test]
        fn nothing_invalidated_is_ever_fresh(
            marks in prop::collection::vec((0_u128..6, any::<bool>()), 0..60),
            capacity in 1_usize..5,
            position in 0_u64..60,
            tags in prop::collection::vec(0_u128..6, 0..4),
        ) {
            let history: Vec<_> =
                marks.iter().zip(1..).map(|((tag, soft), n)| (n, *tag, *soft)).collect();
            let later = |soft: bool| history.iter()
                .any(|(n, tag, s)| *n > position && *s == soft && tags.contains(tag));
            let ids: Vec<_> = tags.iter().copied().map(TagId).collect();
            match table(capacity, &history).judge(&at(position), &ids) {
                Judgement::Fresh => prop_assert!(!later(false) && !later(true)),
                Judgement::Stale => prop_assert!(!later(false)),
                Judgement::Unusable(_) => {}
            }
            if history.len() <= capacity {
                prop_assert_eq!(
                    table(capacity, &history).judge(&at(position), &ids),
                    if later(false) { INVALIDATED } else if later(true) { Judgement::Stale }
                    else { Judgement::Fresh }
                );
            }
        }
    }
}
