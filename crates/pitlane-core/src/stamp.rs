use crate::log::Log;
use crate::position::{Basis, Position};
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::table::Judgement;
use crate::tag::TagId;

/// No generation: the log's begin at one.
const UNJUDGED: u64 = 0;

/// Where an entry in memory stands in the log, and when that was last looked at.
///
/// While the log's generation is the one under which the entry was last judged fresh, a hit costs
/// one atomic load. The generation is read together with the table, never when the entry is
/// inserted: an invalidation that lands while the handler runs must be seen.
#[derive(Debug)]
pub struct Stamp {
    judged: AtomicU64,
    /// Where it stands; the generation in it is not used.
    at: Mutex<Basis>,
}

impl Stamp {
    /// The stamp of something computed from `basis`.
    #[must_use]
    pub fn new(basis: Basis) -> Self {
        Self {
            judged: AtomicU64::new(basis.generation.unwrap_or(UNJUDGED)),
            at: Mutex::new(basis.unjudged()),
        }
    }

    /// The entry's position, which moves up when it is judged fresh.
    #[must_use]
    pub fn position(&self) -> Position {
        lock(&self.at).position
    }

    /// Judges the entry by the log as it stands now.
    ///
    /// Only what is judged fresh moves up to the watermark: a soft-stale entry that did would
    /// look fresh the next time.
    #[must_use]
    pub fn judge(&self, log: &Log, tags: &[TagId]) -> Judgement {
        if self.judged.load(Ordering::Acquire) == log.generation() {
            return Judgement::Fresh;
        }
        let mut at = lock(&self.at);
        let (judgement, basis) = log.judge(&at, tags);
        if judgement == Judgement::Fresh {
            at.position = at.position.later(basis.position);
            at.local = basis.local;
            self.judged
                .store(basis.generation.unwrap_or(UNJUDGED), Ordering::Release);
        }
        judgement
    }

    /// What something made of this entry stands on, once it was judged.
    #[must_use]
    pub fn basis(&self) -> Basis {
        let at = *lock(&self.at);
        let judged = self.judged.load(Ordering::Acquire);
        Basis {
            generation: (judged != UNJUDGED).then_some(judged),
            ..at
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::position::Incarnation;
    use crate::tag::{Tag, TagKind};

    #[test]
    fn a_fresh_judgement_moves_the_entry_past_later_records_of_other_tags() {
        let log = Log::new(Incarnation::from_random(1), 2);
        let tags = [log.tag_id(TagKind::Tag, "kept")];
        let stamp = Stamp::new(log.basis());
        // Two rows fit: the third raises the horizon past the entry's first position.
        for name in ["a", "b", "c", "d"] {
            log.invalidate([&Tag::new(name)], false);
            assert_eq!(stamp.judge(&log, &tags), Judgement::Fresh, "after {name}");
        }
        assert_eq!(stamp.position(), log.basis().position);
    }

    #[test]
    fn a_soft_stale_entry_stays_stale_however_often_it_is_judged() {
        let log = Log::new(Incarnation::from_random(1), 10);
        let tag = Tag::new("club");
        let tags = [tag.id(log.tags())];
        let stamp = Stamp::new(log.basis());
        log.invalidate([&tag], true);
        for _ in 0..3 {
            assert_eq!(stamp.judge(&log, &tags), Judgement::Stale);
        }
        log.invalidate([&Tag::new("other")], false);
        assert_eq!(stamp.judge(&log, &tags), Judgement::Stale);
    }
}
