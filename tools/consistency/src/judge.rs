//! What a read may return.

use std::fmt;
use std::time::Duration;

use crate::moment::Moment;
use crate::truth::Floor;

/// How far a hit in memory may lag behind other nodes' invalidations.
pub(crate) const BOUND: Duration = Duration::from_millis(250);

/// The node's clock counts whole milliseconds, and its lag is the difference of two of its times.
const SLACK: Duration = Duration::from_millis(2);

/// What was known when a read began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) at: Moment,
    /// How long ago the node had read the whole log.
    pub(crate) lag: Duration,
    /// What was acknowledged to anybody.
    pub(crate) floor: Floor,
    /// What this node itself had invalidated, acknowledged or only queued.
    pub(crate) own: Floor,
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Memory,
    Remote,
    /// It was computed for this read.
    Computed,
}

/// What a read returned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) version: u64,
    pub(crate) source: Source,
    /// Whether it was called stale.
    pub(crate) stale: bool,
}

/// Which promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A node's own invalidations hold on it at once.
    Own,
    /// A hit from Redis is not older than an invalidation acknowledged before the read began.
    Remote,
    /// Nor is any hit of a strict cache.
    Strict,
    /// A hit in memory is not older than an invalidation acknowledged 250 ms before the read
    /// began, while the log is reachable.
    Bounded,
    /// A hit in memory is not older than what the node says it has read of the log.
    Lagging,
    /// What was computed for this read is not older than the read.
    Computed,
}

impl Broken {
    const fn rule(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Remote => "remote",
            Self::Strict => "strict",
            Self::Bounded => "bounded",
            Self::Lagging => "lagging",
            Self::Computed => "computed",
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule())
    }
}

/// Judges a read. `first_newer` says when something newer than what was returned was first
/// acknowledged; only hits in memory that are old need to ask.
pub(crate) fn judge<E>(
    start: &Start,
    seen: Seen,
    strict: bool,
    first_newer: impl FnOnce() -> Result<Option<Moment>, E>,
) -> Result<Option<Broken>, E> {
    let is_older = |floor: Floor| seen.version < floor.needed(seen.stale);
    if is_older(start.own) {
        return Ok(Some(Broken::Own));
    }
    if !is_older(start.floor) {
        return Ok(None);
    }
    Ok(match seen.source {
        Source::Remote => Some(Broken::Remote),
        Source::Computed => Some(Broken::Computed),
        Source::Memory if strict => Some(Broken::Strict),
        Source::Memory => {
            let Some(newer) = first_newer()? else {
                return Ok(None);
            };
            if start.lag <= BOUND && newer < start.at.before(BOUND + SLACK) {
                Some(Broken::Bounded)
            } else if newer < start.at.before(start.lag + SLACK) {
                Some(Broken::Lagging)
            } else {
                None
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn floor(hard: u64, soft: u64) -> Floor {
        Floor { hard, soft }
    }

    /// Something newer than what is seen was acknowledged `ago` before the read.
    #[track_caller]
    fn check(
        floors: (Floor, Floor),
        lag: u64,
        ago: u64,
        seen: (u64, Source, bool),
        strict: bool,
    ) -> Option<Broken> {
        let at = Moment(60_000_000_000);
        let start = Start {
            at,
            lag: Duration::from_millis(lag),
            floor: floors.0,
            own: floors.1,
        };
        let (version, source, stale) = seen;
        let seen = Seen {
            version,
            source,
            stale,
        };
        let newer = at.before(Duration::from_millis(ago));
        judge(&start, seen, strict, || Ok::<_, ()>(Some(newer))).unwrap()
    }

    #[test]
    fn a_remote_hit_must_know_everything_acknowledged_before_it() {
        let none = floor(0, 0);
        let seen = |version| (version, Source::Remote, false);
        let after = |version| check((floor(5, 0), none), 9999, 0, seen(version), false);
        assert_eq!(after(4), Some(Broken::Remote));
        assert_eq!(after(5), None);
        assert_eq!(after(6), None);
    }

    #[test]
    fn a_soft_invalidation_allows_what_is_called_stale() {
        for source in [Source::Memory, Source::Remote] {
            let soft = (floor(3, 5), floor(0, 0));
            assert_eq!(check(soft, 10, 999, (4, source, true), false), None);
            assert!(check(soft, 10, 999, (4, source, false), false).is_some());
            assert!(check(soft, 10, 999, (2, source, true), false).is_some());
        }
    }

    #[test]
    fn memory_may_lag_by_the_bound_and_never_behind_its_own_word() {
        let floors = (floor(5, 0), floor(0, 0));
        let seen = (4, Source::Memory, false);
        assert_eq!(check(floors, 10, 5, seen, false), None);
        assert_eq!(check(floors, 10, 20, seen, false), Some(Broken::Lagging));
        assert_eq!(check(floors, 10, 260, seen, false), Some(Broken::Bounded));
        assert_eq!(check(floors, 2000, 1900, seen, false), None);
        assert_eq!(
            check(floors, 2000, 2100, seen, false),
            Some(Broken::Lagging)
        );
        assert_eq!(check(floors, 2000, 0, seen, true), Some(Broken::Strict));
    }

    #[test]
    fn own_invalidations_hold_at_once_whether_or_not_anybody_heard_of_them() {
        let floors = (floor(0, 0), floor(5, 0));
        let seen = (4, Source::Memory, false);
        assert_eq!(check(floors, 60_000, 0, seen, false), Some(Broken::Own));
    }
}
