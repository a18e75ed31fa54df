use std::time::Duration;

use crate::log::Log;
use crate::stamp::Stamp;
use crate::table::Judgement;
use crate::tag::{Tag, TagId};
use crate::time::Timestamp;

/// What is known of an entry beside its payload.
#[derive(Debug)]
pub struct Meta {
    /// When its computation ended; an entry from elsewhere keeps its first time.
    pub stored_at: Timestamp,
    /// How long its computation took.
    pub cost: Duration,
    /// What an invalidation of any of these ends.
    pub tags: TagSet,
    /// Where it stands in the log.
    pub stamp: Stamp,
}

impl Meta {
    /// Judges the entry by the log as it stands now.
    #[must_use]
    pub fn judge(&self, log: &Log) -> Judgement {
        self.stamp.judge(log, &self.tags.ids)
    }

    /// How long it has been stored.
    #[must_use]
    pub const fn resident(&self, now: Timestamp) -> Duration {
        now.since(self.stored_at)
    }
}

/// Everything an entry can be invalidated by.
///
/// Tags that follow from the key (its ancestors, its URI, its cache) are kept as numbers only;
/// names are kept for those that somebody gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagSet {
    ids: Box<[TagId]>,
    names: Box<[Tag]>,
}

impl TagSet {
    /// A set of tags given by name and of others that follow from the key.
    #[must_use]
    pub fn new(log: &Log, names: impl IntoIterator<Item = Tag>, implied: &[TagId]) -> Self {
        let mut names: Vec<Tag> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        let mut ids: Vec<TagId> = names.iter().map(|tag| tag.id(log.tags())).collect();
        ids.extend_from_slice(implied);
        ids.sort_unstable();
        ids.dedup();
        Self {
            ids: ids.into(),
            names: names.into(),
        }
    }

    /// A set as it came back from outside: `ids` holds the numbers of `names` too.
    #[must_use]
    pub const fn of_parts(ids: Box<[TagId]>, names: Box<[Tag]>) -> Self {
        Self { ids, names }
    }

    /// The numbers of all tags.
    #[must_use]
    pub fn ids(&self) -> &[TagId] {
        &self.ids
    }

    /// The tags that were given by name.
    #[must_use]
    pub fn names(&self) -> &[Tag] {
        &self.names
    }

    /// What the set weighs in memory, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let names: usize = self.names.iter().map(|tag| tag.name().len() + 16).sum();
        size_of_val(&*self.ids) + size_of_val(&*self.names) + names
    }
}
