use crate::hash::Hasher128;
use crate::position::{Basis, Incarnation, LogId, Position};
use crate::sync::{AtomicU64, Ordering, RwLock, read, write};
use crate::table::{Judgement, Table};
use crate::tag::{Mark, Tag, TagId, TagKind};

/// The invalidation log as one process follows it, and here also keeps it: without Redis,
/// positions are a counter.
///
/// Appending takes the write lock; noting a position and judging take the read lock; a hit whose
/// log has not moved takes none ([`Log::generation`]).
#[derive(Debug)]
pub struct Log {
    hasher: Hasher128,
    table: RwLock<Table>,
    /// A copy of the table's generation that can be read without the lock. It is written under
    /// the write lock, after the table and before the invalidation is acknowledged.
    generation: AtomicU64,
}

impl Log {
    /// An empty log that remembers at most `capacity` invalidated tags. The incarnation must be
    /// fresh: give it a random number.
    #[must_use]
    pub fn new(incarnation: Incarnation, capacity: usize) -> Self {
        let table = Table::new(incarnation, LogId::ZERO, capacity);
        let generation = AtomicU64::new(table.generation());
        Self {
            hasher: Hasher128::new(),
            table: RwLock::new(table),
            generation,
        }
    }

    /// What numbers tags in this log.
    #[must_use]
    pub const fn hasher(&self) -> &Hasher128 {
        &self.hasher
    }

    /// The number of a name in this log.
    #[must_use]
    pub fn tag_id(&self, kind: TagKind, name: &str) -> TagId {
        TagId::of(&self.hasher, kind, name.as_bytes())
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
        read(&self.table).basis()
    }

    /// Appends one invalidation of `tags` and applies it here before it returns: whoever reads
    /// after that sees it. Returns its position (that of its last record).
    pub fn invalidate<'a>(&self, tags: impl IntoIterator<Item = &'a Tag>, soft: bool) -> Position {
        let marks = tags.into_iter().map(|tag| Mark {
            tag: tag.id(&self.hasher),
            soft,
        });
        self.append(marks)
    }

    /// Appends records for tags whose numbers are known already.
    pub fn append(&self, marks: impl IntoIterator<Item = Mark>) -> Position {
        let mut table = write(&self.table);
        for mark in marks {
            let id = table.basis().position.id.next();
            table.apply(id, mark);
        }
        self.generation.store(table.generation(), Ordering::Release);
        table.basis().position
    }

    /// Begins another life of the log: every entry made before is a miss.
    pub fn renew(&self, incarnation: Incarnation) {
        let mut table = write(&self.table);
        table.renew(incarnation, LogId::ZERO);
        self.generation.store(table.generation(), Ordering::Release);
    }

    /// Judges an entry, and says how far the node had read when it did.
    #[must_use]
    pub fn judge(&self, position: Position, tags: &[TagId]) -> (Judgement, Basis) {
        let table = read(&self.table);
        (table.judge(position, tags), table.basis())
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
        let tags = [club.id(log.hasher())];
        assert!(log.generation() > generation);
        assert_eq!(after.position, position);
        assert!(matches!(
            log.judge(before.position, &tags).0,
            Judgement::Unusable(_)
        ));
        assert_eq!(log.judge(after.position, &tags).0, Judgement::Fresh);
        assert_eq!(log.judge(before.position, &[]).0, Judgement::Fresh);
    }
}
