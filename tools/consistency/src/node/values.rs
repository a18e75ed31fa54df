//! Values that are cached: claimed, and computed where they are missing.

use std::time::Duration;

use bytes::Bytes;
use pitlane::{Claim, Fill, Freshness, Tag};
use tokio::time::sleep;

use super::reading::seen;
use super::story::{Event, What};
use super::{Failure, Mutant, Node};
use crate::judge::{Seen, Source};
use crate::moment::Moment;
use crate::random::Random;
use crate::space::{Space, tag};
use crate::truth::Database;

impl Node {
    /// `None` where nobody computed anything.
    pub(super) async fn read_value(
        &self,
        space: Space,
        row: usize,
        random: &mut Random,
    ) -> Result<Option<Seen>, Failure> {
        let (cache, key) = (self.cache(space)?, space.key(row));
        if random.per_mille(50) {
            return cache.get(&key).map(|value| seen(&value, row)).transpose();
        }
        let mut early = None;
        if self.is_mutant(Mutant::LatePosition) || random.per_mille(100) {
            if let Some(value) = cache.read(&key).await {
                return seen(&value, row).map(Some);
            }
            if self.is_mutant(Mutant::LatePosition) {
                early = Some(load(&self.database, row, random).await?);
            }
        }
        match cache.claim(&key).await {
            Claim::Hit(value) => seen(&value, row).map(Some),
            Claim::Fill(fill) => self.fill(fill, (space, row), early, random).await,
        }
    }

    async fn fill(
        &self,
        fill: Fill,
        (space, row): (Space, usize),
        early: Option<Loaded>,
        random: &mut Random,
    ) -> Result<Option<Seen>, Failure> {
        match random.below(200) {
            0 => return Ok(None),
            1 => {
                fill.release();
                return Ok(None);
            }
            _ => {}
        }
        let loaded = match early {
            Some(loaded) => loaded,
            None => load(&self.database, row, random).await?,
        };
        let from = Moment::now();
        let tags = self.tags(space, row);
        let value = fill.store_with(
            payload(row, loaded.version, random),
            freshness(random),
            tags,
        );
        self.note_stored(from, (space, row), &loaded);
        let computed = seen(&value, row)?;
        // A value from before the claim may be older than the read: that is the mutant's mistake,
        // to be found where somebody else reads it.
        Ok(early.is_none().then_some(computed))
    }

    fn tags(&self, space: Space, row: usize) -> Vec<Tag> {
        if self.is_mutant(Mutant::MissingTag) && space == Space::Near {
            return Vec::new();
        }
        vec![Tag::from(tag(row))]
    }

    /// A value that is made of another.
    pub(super) async fn read_view(
        &self,
        row: usize,
        random: &mut Random,
    ) -> Result<Option<Seen>, Failure> {
        let fill = match self
            .cache(Space::Views)?
            .claim(&Space::Views.key(row))
            .await
        {
            Claim::Hit(value) => return seen(&value, row).map(Some),
            Claim::Fill(fill) => fill,
        };
        let inner = fill.run(self.read_value(Space::Near, row, random)).await?;
        let Some(inner) = inner else {
            return Ok(None);
        };
        sleep(delay(random)).await;
        let from = Moment::now();
        let bytes = payload(row, inner.version, random);
        let value = fill.store_with(bytes, freshness(random), [] as [Tag; 0]);
        let loaded = Loaded {
            version: inner.version,
            asked: from,
        };
        self.note_stored(from, (Space::Views, row), &loaded);
        let outer = seen(&value, row)?;
        let is_computed = inner.source == Source::Computed;
        Ok(Some(Seen {
            source: if is_computed {
                outer.source
            } else {
                Source::Memory
            },
            stale: outer.stale || inner.stale,
            ..outer
        }))
    }

    fn note_stored(&self, from: Moment, (space, row): (Space, usize), loaded: &Loaded) {
        self.story.add(Event {
            from,
            until: Moment::now(),
            rows: row..row + 1,
            what: What::Stored {
                space,
                version: loaded.version,
                asked: loaded.asked,
            },
        });
    }
}

/// What the database said, and when it was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loaded {
    pub(super) version: u64,
    pub(super) asked: Moment,
}

/// Asks the database, which may take its time before and after it looks.
pub(super) async fn load(
    database: &Database,
    row: usize,
    random: &mut Random,
) -> Result<Loaded, Failure> {
    pause(delay(random)).await;
    let asked = Moment::now();
    let version = database.version(row)?;
    pause(delay(random)).await;
    Ok(Loaded { version, asked })
}

async fn pause(delay: Duration) {
    if !delay.is_zero() {
        sleep(delay).await;
    }
}

/// Mostly short, sometimes long.
fn delay(random: &mut Random) -> Duration {
    match random.below(100) {
        0..60 => Duration::ZERO,
        60..90 => random.millis(1, 4),
        90..99 => random.millis(5, 40),
        _ => random.millis(40, 400),
    }
}

fn freshness(random: &mut Random) -> Freshness {
    let fresh = Freshness::new(random.millis(5_000, 40_000));
    if random.per_mille(500) {
        fresh.with_stale_while_revalidate(Duration::from_secs(10))
    } else {
        fresh
    }
}

const HEAD: usize = 16;

/// Row, version and something that may be worth compressing.
fn payload(row: usize, version: u64, random: &mut Random) -> Bytes {
    let padding = if random.per_mille(30) { 2000 } else { 40 };
    let mut bytes = Vec::with_capacity(HEAD + padding);
    bytes.extend((row as u64).to_le_bytes());
    bytes.extend(version.to_le_bytes());
    bytes.resize(HEAD + padding, b' ');
    bytes.into()
}

/// The version in a payload of `row`.
pub(super) fn version(bytes: &[u8], row: usize) -> Result<u64, Failure> {
    let (words, _) = bytes.as_chunks::<8>();
    match words {
        [of, version, ..] if u64::from_le_bytes(*of) == row as u64 => {
            Ok(u64::from_le_bytes(*version))
        }
        _ => Err(format!("a read of row {row} returned something else").into()),
    }
}
