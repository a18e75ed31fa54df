//! Writes, and invalidations of every kind.

use std::ops::Range;

use pitlane::{Invalidated, Invalidation};

use super::reading::any_row;
use super::story::{Event, What};
use super::{Count, Failure, Mutant, Node};
use crate::moment::Moment;
use crate::random::Random;
use crate::space::{ROWS, Space, group, group_key, group_url, tag, url};
use crate::truth::Grade;

/// How what was written is made known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Tag,
    SoftTag,
    Owed,
    /// The handler is gone before it could publish.
    OwedAndDropped,
    /// The write turned out not to have happened.
    Cancelled,
    Key,
    KeyOfGroup,
    Url,
    UrlOfGroup,
    Post,
    Clear,
}

const WEIGHTS: [(u64, How); 11] = [
    (300, How::Tag),
    (120, How::SoftTag),
    (150, How::Owed),
    (80, How::OwedAndDropped),
    (10, How::Cancelled),
    (150, How::Key),
    (10, How::KeyOfGroup),
    (70, How::Url),
    (6, How::UrlOfGroup),
    (60, How::Post),
    (2, How::Clear),
];

impl Node {
    pub(super) async fn write(&self, random: &mut Random) -> Result<(), Failure> {
        let how = random.weighted(&WEIGHTS, How::Tag);
        // Whoever is not the row's writer may still invalidate what others wrote.
        let is_own = how == How::Post || random.per_mille(800);
        let mut row = any_row(random);
        if is_own {
            row = row / self.arguments.nodes * self.arguments.nodes + self.arguments.index;
        }
        if row >= ROWS {
            return Ok(());
        }
        match how {
            How::Owed | How::OwedAndDropped | How::Cancelled => self.owed(how, row, is_own).await,
            How::Post => self.post(row).await,
            How::Clear => self.clear(random).await,
            _ => self.published(how, row, is_own).await,
        }
    }

    async fn published(&self, how: How, row: usize, is_own: bool) -> Result<(), Failure> {
        let grade = if how == How::SoftTag {
            Grade::Soft
        } else {
            Grade::Hard
        };
        let (invalidation, rows, spaces) = named(how, row)?;
        let early = if self.is_mutant(Mutant::EarlyInvalidation) {
            Some(self.registry.publish(invalidation.clone()).await?)
        } else {
            None
        };
        let versions = self.commit(row, is_own, rows.clone())?;
        if self.is_mutant(Mutant::ForgottenInvalidation) && row.is_multiple_of(50) {
            self.acknowledge(&versions, spaces, grade, true)?;
            return Ok(());
        }
        let from = Moment::now();
        let done = match early {
            Some(done) => done,
            None => self.registry.publish(invalidation).await?,
        };
        self.done(from, &versions, spaces, grade, (how, done))
    }

    async fn owed(&self, how: How, row: usize, is_own: bool) -> Result<(), Failure> {
        let owed = self.registry.owe([tag(row)]);
        if how == How::Cancelled {
            owed.cancel();
            return Ok(());
        }
        let versions = self.commit(row, is_own, row..row + 1)?;
        let from = Moment::now();
        let done = if how == How::Owed {
            owed.publish().await?
        } else {
            drop(owed);
            Invalidated::Queued
        };
        self.done(from, &versions, &Space::ALL, Grade::Hard, (how, done))
    }

    /// What the layer made of its invalidation isn't told, so only this node must know of it.
    async fn post(&self, row: usize) -> Result<(), Failure> {
        let from = Moment::now();
        let version = self.pages.post(row).await?;
        self.counters.add(Count::Commits);
        let (versions, done) = ([(row, version)], Invalidated::Queued);
        self.done(
            from,
            &versions,
            &[Space::Pages],
            Grade::Hard,
            (How::Post, done),
        )
    }

    async fn clear(&self, random: &mut Random) -> Result<(), Failure> {
        let space = random.weighted(&Space::ALL.map(|space| (1, space)), Space::Near);
        let versions = self.commit(0, false, 0..ROWS)?;
        let from = Moment::now();
        let done = self.registry.clear(space.name()).await?;
        // What is made of other values is no newer than they are, however often it is made anew.
        let spaces = match space {
            Space::Views => &[],
            _ => space.cleared(),
        };
        self.done(from, &versions, spaces, Grade::Hard, (How::Clear, done))
    }

    /// Commits a new version of the row if it is this node's, and returns the versions that the
    /// database has of `rows` now.
    fn commit(
        &self,
        row: usize,
        is_own: bool,
        rows: Range<usize>,
    ) -> Result<Vec<(usize, u64)>, Failure> {
        if is_own {
            let from = Moment::now();
            let version = self.database.commit(row)?;
            self.counters.add(Count::Commits);
            self.story.add(Event {
                from,
                until: Moment::now(),
                rows: row..row + 1,
                what: What::Committed { version },
            });
        }
        rows.map(|row| Ok((row, self.database.version(row)?)))
            .collect()
    }

    /// Notes that an invalidation of everything older than `versions` has come back.
    fn done(
        &self,
        from: Moment,
        versions: &[(usize, u64)],
        spaces: &[Space],
        grade: Grade,
        (how, done): (How, Invalidated),
    ) -> Result<(), Failure> {
        let until = Moment::now();
        let position = match done {
            Invalidated::Applied { position } => Some(position),
            _ => None,
        };
        self.acknowledge(versions, spaces, grade, position.is_some())?;
        self.counters.add(match (position, how) {
            (Some(_), _) => Count::Applied,
            (None, How::OwedAndDropped | How::Post) => Count::Unwatched,
            (None, _) => Count::Queued,
        });
        for (row, version) in versions {
            self.story.add(Event {
                from,
                until,
                rows: *row..row + 1,
                what: What::Invalidated {
                    how: how.name(),
                    version: *version,
                    position,
                },
            });
        }
        Ok(())
    }

    fn acknowledge(
        &self,
        versions: &[(usize, u64)],
        spaces: &[Space],
        grade: Grade,
        to_all: bool,
    ) -> Result<(), Failure> {
        let at = Moment::now();
        for (row, version) in versions {
            for space in spaces {
                self.raise_own((*row, *space), grade, *version);
                if to_all {
                    self.acknowledged.add((*row, *space), grade, *version, at)?;
                }
            }
        }
        Ok(())
    }
}

/// What is invalidated: the rows, in which caches.
fn named(how: How, row: usize) -> Result<(Invalidation, Range<usize>, &'static [Space]), Failure> {
    let (all, keyed, pages): (&[_], &[_], &[_]) = (&Space::ALL, &Space::KEYED, &[Space::Pages]);
    let nothing = Invalidation::default();
    let one = row..row + 1;
    Ok(match how {
        How::SoftTag => (Invalidation::tags([tag(row)]).soft(), one, all),
        How::Key => (nothing.add_key(&Space::Near.key(row)), one, keyed),
        How::KeyOfGroup => (nothing.add_key(&group_key(row)), group(row), keyed),
        How::Url => (nothing.add_url(&url(row))?, one, pages),
        How::UrlOfGroup => (nothing.add_url_prefix(&group_url(row))?, group(row), pages),
        _ => (Invalidation::tags([tag(row)]), one, all),
    })
}

impl How {
    const fn name(self) -> &'static str {
        match self {
            Self::Tag => "tag",
            Self::SoftTag => "soft tag",
            Self::Owed => "owed tag",
            Self::OwedAndDropped => "owed and dropped tag",
            Self::Cancelled => "nothing",
            Self::Key => "key",
            Self::KeyOfGroup => "key of the group",
            Self::Url => "URL",
            Self::UrlOfGroup => "URL of the group",
            Self::Post => "POST",
            Self::Clear => "clear",
        }
    }
}
