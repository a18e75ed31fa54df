//! What came of a run.

use std::fmt;
use std::time::Duration;

use crate::node::{Count, Mutant, Totals};

/// A read that returned what it must not, and what happened around it.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) row: usize,
    pub(super) text: String,
    pub(super) story: Vec<(u64, String)>,
}

#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) seed: u64,
    pub(super) totals: Totals,
    pub(super) faults: u64,
    pub(super) seconds: Duration,
    /// How many reads were asked for.
    pub(super) enough: u64,
    pub(super) mutant: Option<Mutant>,
    /// Whether violations are told in full.
    pub(super) is_told: bool,
    pub(super) violations: Vec<Violation>,
}

/// Of all reads, at least so many in a hundred come from memory, and as many from Redis.
const SHARE: f64 = 30.0;

/// How much of a story is told: of reads, which say least, fewer than of all else.
const LINES: usize = 120;
const READS: usize = 40;

impl Outcome {
    /// A mistake must be found; without one there is nothing to be found, and the reads were of
    /// the kinds that matter.
    pub(super) fn is_well(&self) -> bool {
        if self.mutant.is_some() {
            return !self.violations.is_empty() && self.totals.of(Count::Reads) <= self.enough;
        }
        self.violations.is_empty()
            && self.share(Count::MemoryHits) >= SHARE
            && self.share(Count::RemoteHits) >= SHARE
    }

    /// In a hundred reads.
    fn share(&self, count: Count) -> f64 {
        percent(self.totals.of(count), self.totals.of(Count::Reads))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a percentage")]
fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_told {
            self.violations.iter().try_for_each(|one| one.fmt(f))?;
        }
        let of = |count| self.totals.of(count);
        if let Some(mutant) = self.mutant {
            match self.violations.first() {
                Some(found) => writeln!(f, "{} found: {}", mutant.name(), found.text)?,
                None => writeln!(f, "{} was NOT found", mutant.name())?,
            }
        }
        write!(
            f,
            "seed {}: {} reads in {:.1} s ({:.1} % from memory, {:.1} % from Redis, {} strict, {} \
             stale), {} commits, {} invalidations applied, {} queued and {} \
             unwatched, {} faults; {:.1} % of \
             the memory hits within the bound; {} violations",
            self.seed,
            of(Count::Reads),
            self.seconds.as_secs_f64(),
            self.share(Count::MemoryHits),
            self.share(Count::RemoteHits),
            of(Count::StrictHits),
            of(Count::StaleHits),
            of(Count::Commits),
            of(Count::Applied),
            of(Count::Queued),
            of(Count::Unwatched),
            self.faults,
            percent(of(Count::BoundedHits), of(Count::MemoryHits)),
            self.violations.len(),
        )?;
        if self.mutant.is_none() && of(Count::Reads) < self.enough && self.violations.is_empty() {
            write!(f, " (time was up before {} reads)", self.enough)?;
        }
        Ok(())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "VIOLATION {}", self.text)?;
        let (mut lines, mut reads) = (0, 0);
        let told = self.story.iter().rev().filter(|(_, line)| {
            let (count, limit) = if line.contains(" read ") {
                (&mut reads, READS)
            } else {
                (&mut lines, LINES)
            };
            *count += 1;
            *count <= limit
        });
        let told: Vec<_> = told.collect();
        told.iter()
            .rev()
            .try_for_each(|(_, line)| writeln!(f, "    {line}"))
    }
}
