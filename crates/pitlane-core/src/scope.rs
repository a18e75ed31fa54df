use crate::entry::Meta;
use crate::position::Basis;
use crate::sync::{Mutex, lock};
use crate::tag::{Tag, TagId};

/// Collects what one computation was made of.
///
/// The position is noted once, before any of the computation's code runs; every fill inside uses
/// it or an older one. What was used from the cache lowers it, adds its tags, and makes the whole
/// stale when it was stale itself.
#[derive(Debug)]
pub struct Dependencies {
    gathered: Mutex<Gathered>,
}

/// What a computation turned out to be made of.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// The minimum position of everything used, and of the computation itself.
    pub basis: Basis,
    /// The numbers of all tags of everything used.
    pub ids: Vec<TagId>,
    /// The tags among them that have names.
    pub names: Vec<Tag>,
    /// Something used was not judged fresh: the result must not be stored as fresh.
    pub stale: bool,
}

impl Gathered {
    /// Drops repetitions, now and then: what reads the same values over and over, in a loop that
    /// outlives the answer, must not grow.
    fn shrink(&mut self) {
        const ENOUGH: usize = 64;
        if self.ids.len() >= ENOUGH && self.ids.len() == self.ids.capacity() {
            self.ids.sort_unstable();
            self.ids.dedup();
        }
        if self.names.len() >= ENOUGH && self.names.len() == self.names.capacity() {
            self.names.sort_unstable();
            self.names.dedup();
        }
    }
}

impl Dependencies {
    /// An empty collection for a computation that begins now, at `basis`.
    #[must_use]
    pub fn new(basis: Basis) -> Self {
        let gathered = Gathered {
            basis,
            ids: Vec::new(),
            names: Vec::new(),
            stale: false,
        };
        Self {
            gathered: Mutex::new(gathered),
        }
    }

    /// The basis for a computation inside this one.
    #[must_use]
    pub fn basis(&self) -> Basis {
        lock(&self.gathered).basis
    }

    /// Whether something stale was used so far.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        lock(&self.gathered).stale
    }

    /// Notes that a cached value was used; `fresh` when both its lifetime and the log said so.
    pub fn depend(&self, entry: &Meta, fresh: bool) {
        self.absorb(&Gathered {
            basis: entry.stamp.basis(),
            ids: entry.tags.ids().to_vec(),
            names: entry.tags.names().to_vec(),
            stale: !fresh,
        });
    }

    /// Notes a tag that the computation itself names.
    pub fn tag(&self, tag: Tag, id: TagId) {
        let mut gathered = lock(&self.gathered);
        gathered.names.push(tag);
        gathered.ids.push(id);
        gathered.shrink();
    }

    /// Notes tags that end the result whatever it is made of: by number, and those that have names.
    pub fn add_tags(&self, ids: &[TagId], names: &[Tag]) {
        let mut gathered = lock(&self.gathered);
        gathered.ids.extend_from_slice(ids);
        gathered.names.extend_from_slice(names);
        gathered.shrink();
    }

    /// Notes that something stale was used, of which nothing else is known.
    pub fn taint(&self) {
        let mut gathered = lock(&self.gathered);
        gathered.basis = gathered.basis.unjudged();
        gathered.stale = true;
    }

    /// Takes over everything that an inner computation was made of.
    pub fn absorb(&self, inner: &Gathered) {
        let mut outer = lock(&self.gathered);
        outer.basis = outer.basis.merge(inner.basis);
        if inner.stale {
            outer.basis = outer.basis.unjudged();
            outer.stale = true;
        }
        outer.ids.extend_from_slice(&inner.ids);
        outer.names.extend_from_slice(&inner.names);
        outer.shrink();
    }

    /// Lets what was gathered until `seen` stand at `to`, for a computation that is known to be
    /// newer than that. Does nothing, and says so, if more has been gathered since.
    pub fn rebase(&self, seen: &Gathered, to: Basis) -> bool {
        let mut gathered = lock(&self.gathered);
        let unchanged = gathered.ids.len() == seen.ids.len()
            && gathered.names.len() == seen.names.len()
            && gathered.basis == seen.basis
            && gathered.stale == seen.stale;
        if unchanged {
            gathered.basis = to;
        }
        unchanged
    }

    /// What was gathered so far.
    #[must_use]
    pub fn gathered(&self) -> Gathered {
        lock(&self.gathered).clone()
    }
}
