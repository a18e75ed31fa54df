//! The reference for the log: everything that ever happened, kept for ever.

use std::cell::Cell;

use pitlane_core::{Judgement, Reason};

/// Tags are numbers here; the first ones belong to the keys.
pub(crate) const TAGS: usize = 3;

/// The origin and the invalidations of it.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// How often each tag's data was written.
    origin: [u64; TAGS],
    /// What the origin held at the last acknowledged invalidation, hard or soft.
    hard: [u64; TAGS],
    soft: [u64; TAGS],
    /// Which life of the log, and its records.
    life: u64,
    records: Vec<(usize, bool)>,
}

/// What something was made of, and since when its maker watches the log.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    life: u64,
    at: Cell<usize>,
    tags: [bool; TAGS],
    /// The oldest data of each tag that went into it.
    seen: [Option<u64>; TAGS],
}

impl History {
    pub(crate) fn write(&mut self, tag: usize) {
        self.origin[tag] += 1;
    }

    pub(crate) fn invalidate(&mut self, tag: usize, soft: bool) {
        let acknowledged = if soft { &mut self.soft } else { &mut self.hard };
        acknowledged[tag] = self.origin[tag];
        self.records.push((tag, soft));
    }

    pub(crate) fn renew(&mut self) {
        self.life += 1;
        self.records.clear();
    }

    /// Something that begins now, and carries its key's tag whatever it reads.
    pub(crate) fn begin(&self, key_tag: usize) -> Made {
        let mut tags = [false; TAGS];
        tags[key_tag] = true;
        Made {
            life: self.life,
            at: Cell::new(self.records.len()),
            tags,
            seen: [None; TAGS],
        }
    }

    pub(crate) fn read(&self, made: &mut Made, tag: usize) {
        made.tags[tag] = true;
        made.seen[tag].get_or_insert(self.origin[tag]);
    }

    /// The verdict by the rule alone; what is fresh has been watched until now.
    pub(crate) fn judge(&self, made: &Made) -> Judgement {
        if made.life != self.life {
            return Judgement::Unusable(Reason::Incarnation);
        }
        let marked = |soft: bool| {
            let later = self.records.iter().skip(made.at.get());
            later
                .filter(|record| record.1 == soft)
                .any(|record| made.tags[record.0])
        };
        if marked(false) {
            Judgement::Unusable(Reason::Invalidated)
        } else if marked(true) {
            Judgement::Stale
        } else {
            made.at.set(self.records.len());
            Judgement::Fresh
        }
    }

    /// What the rule is for: nothing from before an acknowledged invalidation is fresh, and
    /// nothing from before a hard one is used at all.
    #[track_caller]
    pub(crate) fn allows(&self, made: &Made, judgement: Judgement) {
        for tag in 0..TAGS {
            let seen = made.seen[tag].unwrap_or(u64::MAX);
            let wanted = match judgement {
                Judgement::Fresh => self.hard[tag].max(self.soft[tag]),
                Judgement::Stale => self.hard[tag],
                Judgement::Unusable(_) => 0,
            };
            assert!(
                seen >= wanted,
                "{judgement:?} with {seen} of tag {tag}, but {wanted} is acknowledged"
            );
        }
    }
}

impl Made {
    /// Takes over what went into `inner`, and watches since the earlier of the two.
    pub(crate) fn absorb(&mut self, inner: &Self) {
        // No life is that of something made of two.
        self.life = if self.life == inner.life {
            self.life
        } else {
            u64::MAX
        };
        self.at.set(self.at.get().min(inner.at.get()));
        for tag in 0..TAGS {
            self.tags[tag] |= inner.tags[tag];
            self.seen[tag] = match (self.seen[tag], inner.seen[tag]) {
                (Some(own), Some(other)) => Some(own.min(other)),
                (own, other) => own.or(other),
            };
        }
    }

    pub(crate) fn tags(&self) -> impl Iterator<Item = usize> {
        (0..TAGS).filter(|tag| self.tags[*tag])
    }
}
