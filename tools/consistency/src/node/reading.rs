//! Reads, and what they must return.

use pitlane::{Tier, Value};

use super::story::{Event, What};
use super::{Count, Failure, Node, values};
use crate::judge::{BOUND, Seen, Source, Start, judge};
use crate::moment::Moment;
use crate::random::Random;
use crate::space::{ROWS, Space};

/// Half of all reads and writes go to so many rows.
const POPULAR: u64 = 24;

/// How often each cache is read.
const WEIGHTS: [(u64, Space); 5] = [
    (36, Space::Near),
    (41, Space::Far),
    (6, Space::Strict),
    (11, Space::Pages),
    (6, Space::Views),
];

/// How many of a hundred reads are to come from memory, and as many from Redis.
const ENOUGH: u64 = 38;

pub(super) fn any_row(random: &mut Random) -> usize {
    let rows = if random.per_mille(500) {
        POPULAR
    } else {
        ROWS as u64
    };
    usize::try_from(random.below(rows)).unwrap_or_default()
}

impl Node {
    pub(super) async fn read(&self, random: &mut Random) -> Result<(), Failure> {
        let space = self.any_space(random);
        let row = any_row(random);
        let start = self.start(row, space)?;
        let seen = match space {
            Space::Pages => Some(self.pages.read(row, random).await?),
            Space::Views => self.read_view(row, random).await?,
            Space::Near | Space::Far | Space::Strict => self.read_value(space, row, random).await?,
        };
        match seen {
            Some(seen) => self.finish((row, space), &start, seen),
            None => Ok(()),
        }
    }

    /// On a slow machine outages take more of the history than on a fast one: what is short of hits
    /// is read more often.
    fn any_space(&self, random: &mut Random) -> Space {
        let totals = self.counters.totals();
        let is_short = |count| totals.of(count) * 100 < totals.of(Count::Reads) * ENOUGH;
        let status = self.registry.log_status();
        let is_in_touch = status.is_some_and(|status| status.lag <= BOUND);
        if is_in_touch && random.per_mille(400) {
            if is_short(Count::RemoteHits) {
                return Space::Far;
            }
            if is_short(Count::MemoryHits) {
                return Space::Near;
            }
        }
        random.weighted(&WEIGHTS, Space::Near)
    }

    /// Notes what is known before a read begins.
    fn start(&self, row: usize, space: Space) -> Result<Start, Failure> {
        let own = self.own(row, space);
        let at = Moment::now();
        let status = self.registry.log_status().ok_or("a node without a log")?;
        Ok(Start {
            at,
            lag: status.lag,
            floor: self.acknowledged.floor(row, space)?,
            own,
        })
    }

    fn finish(
        &self,
        (row, space): (usize, Space),
        start: &Start,
        seen: Seen,
    ) -> Result<(), Failure> {
        let until = Moment::now();
        self.count(space, start, seen);
        self.story.add(Event {
            from: start.at,
            until,
            rows: row..row + 1,
            what: What::Read { space, seen },
        });
        let first_newer = || {
            self.acknowledged
                .first_newer((row, space), seen.stale, seen.version)
        };
        let strict = space == Space::Strict;
        if let Some(broken) = judge(start, seen, strict, first_newer)? {
            self.counters.add(Count::Violations);
            let (floor, own) = (start.floor, start.own);
            println!(
                "violation {row} {until} rule {broken}: row {row} in {name}, version {version} \
                 from {source:?}{stale}, read from {at} until {until}; acknowledged {hard} hard, \
                 {soft} soft; own {own_hard} hard, {own_soft} soft; the first newer one was \
                 acknowledged at {newer:?}; lag {lag:?}; {status:?}",
                name = space.name(),
                version = seen.version,
                source = seen.source,
                stale = if seen.stale { " (stale)" } else { "" },
                at = start.at,
                hard = floor.hard,
                soft = floor.soft,
                own_hard = own.hard,
                own_soft = own.soft,
                newer = first_newer()?.map(|at| at.to_string()),
                lag = start.lag,
                status = self.registry.log_status(),
            );
        }
        Ok(())
    }

    fn count(&self, space: Space, start: &Start, seen: Seen) {
        let counters = &self.counters;
        counters.add(Count::Reads);
        match seen.source {
            Source::Computed => return,
            Source::Remote => counters.add(Count::RemoteHits),
            Source::Memory => {
                counters.add(Count::MemoryHits);
                if start.lag <= BOUND {
                    counters.add(Count::BoundedHits);
                }
            }
        }
        if seen.stale {
            counters.add(Count::StaleHits);
        }
        if space == Space::Strict {
            counters.add(Count::StrictHits);
        }
    }
}

/// What a value says of the row that was asked for.
pub(super) fn seen(value: &Value, row: usize) -> Result<Seen, Failure> {
    Ok(Seen {
        version: values::version(value.bytes(), row)?,
        source: match value.tier() {
            None => Source::Computed,
            Some(Tier::Remote) => Source::Remote,
            Some(_) => Source::Memory,
        },
        stale: value.is_stale(),
    })
}
