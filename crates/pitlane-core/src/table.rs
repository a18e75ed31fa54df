use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use crate::position::{Basis, Incarnation, LogId, Position};
use crate::reason::Reason;
use crate::tag::{Mark, TagId};

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

/// One node's view of the invalidation log: for each tag the last hard and the last soft
/// position, and how far the node has read.
///
/// Soft and hard positions are kept apart: a later soft mark must not hide a hard one. The table
/// is bounded; when it is full it drops its oldest row and raises the horizon to it, below which
/// nothing is usable any more. Losing information costs a miss, never a stale answer.
#[derive(Debug)]
pub struct Table {
    incarnation: Incarnation,
    watermark: LogId,
    horizon: LogId,
    generation: u64,
    rows: HashMap<TagId, Row, BuildHasherDefault<Identity>>,
    /// Rows by age, with leftovers of rows that were marked again since.
    order: VecDeque<(LogId, TagId)>,
    capacity: usize,
}

impl Table {
    /// An empty table for one life of the log, joined at `watermark`, which holds at most
    /// `capacity` tags (at least one).
    #[must_use]
    pub fn new(incarnation: Incarnation, watermark: LogId, capacity: usize) -> Self {
        Self {
            incarnation,
            watermark,
            horizon: watermark,
            generation: 1,
            rows: HashMap::default(),
            order: VecDeque::new(),
            capacity: capacity.max(1),
        }
    }

    /// How far this node has read, and its generation.
    #[must_use]
    pub const fn basis(&self) -> Basis {
        let position = Position {
            incarnation: self.incarnation,
            id: self.watermark,
        };
        Basis {
            position,
            generation: Some(self.generation),
        }
    }

    /// Changes whenever a judgement might.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
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

    /// Applies one record; only then does the watermark move. A record that is already known
    /// changes nothing.
    pub fn apply(&mut self, id: LogId, mark: Mark) {
        if id <= self.watermark {
            return;
        }
        let row = self.rows.entry(mark.tag).or_default();
        if mark.soft {
            row.soft = row.soft.max(id);
        } else {
            row.hard = row.hard.max(id);
        }
        self.order.push_back((id, mark.tag));
        self.shrink();
        self.generation += 1;
        self.watermark = id;
    }

    /// Begins another life of the log: nothing known before counts any more.
    pub fn renew(&mut self, incarnation: Incarnation, watermark: LogId) {
        let generation = self.generation + 1;
        *self = Self {
            generation,
            ..Self::new(incarnation, watermark, self.capacity)
        };
    }

    /// Whether what was computed at `position` and carries `tags` may be used.
    #[must_use]
    pub fn judge(&self, position: Position, tags: &[TagId]) -> Judgement {
        if position.incarnation != self.incarnation {
            return Judgement::Unusable(Reason::Incarnation);
        }
        if position.id < self.horizon {
            return Judgement::Unusable(Reason::Horizon);
        }
        let mut judgement = Judgement::Fresh;
        for row in tags.iter().filter_map(|tag| self.rows.get(tag)) {
            if row.hard > position.id {
                return Judgement::Unusable(Reason::Invalidated);
            }
            if row.soft > position.id {
                judgement = Judgement::Stale;
            }
        }
        judgement
    }

    fn shrink(&mut self) {
        while self.rows.len() > self.capacity {
            let Some((id, tag)) = self.order.pop_front() else {
                return;
            };
            if self.is_current(id, tag) {
                self.rows.remove(&tag);
                self.horizon = self.horizon.max(id);
            }
        }
        // A tag that is marked over and over leaves its earlier places behind.
        if self.order.len() > 2 * self.rows.len() + 64 {
            let mut order = std::mem::take(&mut self.order);
            order.retain(|(id, tag)| self.is_current(*id, *tag));
            self.order = order;
        }
    }

    fn is_current(&self, id: LogId, tag: TagId) -> bool {
        self.rows
            .get(&tag)
            .is_some_and(|row| row.hard.max(row.soft) == id)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    hard: LogId,
    soft: LogId,
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

    fn at(sequence: u64) -> Position {
        Position {
            incarnation: LIFE,
            id: id(sequence),
        }
    }

    fn table(capacity: usize, marks: &[(u64, u128, bool)]) -> Table {
        let mut table = Table::new(LIFE, LogId::ZERO, capacity);
        for (sequence, tag, soft) in marks {
            table.apply(
                id(*sequence),
                Mark {
                    tag: TagId(*tag),
                    soft: *soft,
                },
            );
        }
        table
    }

    #[track_caller]
    fn check(marks: &[(u64, u128, bool)], position: u64, tags: &[u128], expected: Judgement) {
        let tags: Vec<_> = tags.iter().copied().map(TagId).collect();
        assert_eq!(table(100, marks).judge(at(position), &tags), expected);
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
    fn another_incarnation_is_never_usable() {
        let mut table = table(100, &[]);
        let before = table.generation();
        table.renew(Incarnation::from_random(8), LogId::ZERO);
        assert_eq!(
            table.judge(at(0), &[]),
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
            table.judge(at(1), &[TagId(2)]),
            Judgement::Unusable(Reason::Horizon)
        );
        assert_eq!(table.judge(at(2), &[TagId(2)]), Judgement::Fresh);
        assert_eq!(table.judge(at(2), &[TagId(1)]), INVALIDATED);
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
            match table(capacity, &history).judge(at(position), &ids) {
                Judgement::Fresh => prop_assert!(!later(false) && !later(true)),
                Judgement::Stale => prop_assert!(!later(false)),
                Judgement::Unusable(_) => {}
            }
            if history.len() <= capacity {
                prop_assert_eq!(
                    table(capacity, &history).judge(at(position), &ids),
                    if later(false) { INVALIDATED } else if later(true) { Judgement::Stale }
                    else { Judgement::Fresh }
                );
            }
        }
    }
}
