//! Whose word counts: what Redis has of a session, or what this node has in memory.

use bytes::Bytes;
use pitlane::{Sighting, Timestamp};

use crate::sheet::{Live, Sheet};
use crate::shelf::Held;

/// What counts of a session.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Judged {
    /// What Redis has.
    Theirs(Live),
    /// What this node has in memory: Redis lacks it, or has something older.
    Ours,
    /// What this node has in memory, which Redis has confirmed since it was looked at.
    Confirmed,
    /// It was deleted.
    Gone,
    /// There is none.
    Nothing,
}

/// What was found in Redis, as far as it makes sense.
pub(crate) enum Found {
    Sheet(Sheet),
    Damaged,
    Nothing,
}

impl Found {
    pub(crate) fn of(record: Option<&Bytes>) -> Self {
        match record.map(Sheet::decode) {
            Some(Some(sheet)) => Self::Sheet(sheet),
            Some(None) => Self::Damaged,
            None => Self::Nothing,
        }
    }
}

/// Judges what Redis was seen to have against what the node holds. `was_away` says whether Redis
/// may have gone back in time since the node last saw it.
pub(crate) fn judge(
    held: Option<&Held>,
    seen: &Sighting,
    now: Timestamp,
    was_away: bool,
) -> Judged {
    let era = seen.era();
    let ours = held.filter(|held| {
        let is_cleared = held.era.is_some_and(|known| era.has_cleared(known));
        !is_cleared && !held.live.is_expired(now)
    });
    let is_lost = ours.is_some_and(|held| {
        let has_forgotten = held.era.is_none_or(|known| era.has_forgotten(known));
        // A deletion leaves its mark, so nothing at all is never one.
        !held.is_saved || has_forgotten || was_away
    });
    match Found::of(seen.record().as_ref()) {
        Found::Sheet(Sheet::Gone) => Judged::Gone,
        Found::Sheet(Sheet::Live(theirs)) => match ours {
            Some(held) if held.live.version > theirs.version && is_lost => Judged::Ours,
            Some(held) if held.live.version > theirs.version => Judged::Confirmed,
            _ if theirs.is_expired(now) => Judged::Nothing,
            _ => Judged::Theirs(theirs),
        },
        Found::Damaged if ours.is_some() => Judged::Ours,
        Found::Nothing if is_lost => Judged::Ours,
        Found::Damaged | Found::Nothing => Judged::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use pitlane::Era;

    use super::*;
    use crate::version::Version;

    const NOW: u64 = 1_000;
    const ERA: Era = Era::new(7, 2);

    fn live(version: u64, expires: u64) -> Live {
        Live::new(Version(version), Timestamp::from_millis(expires), b"{}")
    }

    fn held(version: u64, era: Option<Era>, is_saved: bool) -> Held {
        Held {
            live: live(version, NOW + 1),
            era,
            is_saved,
        }
    }

    #[track_caller]
    fn check(held: Option<&Held>, seen: &Sighting, was_away: bool, expected: &Judged) {
        let judged = judge(held, seen, Timestamp::from_millis(NOW), was_away);
        let name = |judged: &Judged| match judged {
            Judged::Theirs(live) => format!("theirs {}", live.version.0),
            Judged::Ours => "ours".to_owned(),
            Judged::Confirmed => "confirmed".to_owned(),
            Judged::Gone => "gone".to_owned(),
            Judged::Nothing => "nothing".to_owned(),
        };
        assert_eq!(name(&judged), name(expected));
    }

    fn there(version: u64) -> Sighting {
        Sighting::of(ERA, &live(version, NOW + 1).bytes)
    }

    #[test]
    fn the_newer_version_counts_and_redis_where_they_are_the_same() {
        let (saved, unsaved) = (held(5, Some(ERA), true), held(5, Some(ERA), false));
        for ours in [&saved, &unsaved] {
            check(Some(ours), &there(4), true, &Judged::Ours);
            for version in [5, 6] {
                let theirs = Judged::Theirs(live(version, NOW + 1));
                check(Some(ours), &there(version), true, &theirs);
            }
        }
        check(Some(&unsaved), &there(4), false, &Judged::Ours);
        // A save of this node came in between, and needs no second one.
        check(Some(&saved), &there(4), false, &Judged::Confirmed);
    }

    #[test]
    fn a_deletion_counts_whatever_the_version() {
        let gone = Sighting::of(ERA, &Sheet::gone());
        let ours = held(u64::MAX, Some(ERA), false);
        check(Some(&ours), &gone, true, &Judged::Gone);
        check(None, &gone, false, &Judged::Gone);
    }

    #[test]
    fn what_is_missing_in_redis_is_written_back_only_if_it_was_lost() {
        let empty = Sighting::empty(ERA);
        check(None, &empty, true, &Judged::Nothing);
        let (saved, unsaved) = (held(1, Some(ERA), true), held(1, Some(ERA), false));
        check(Some(&saved), &empty, false, &Judged::Nothing);
        check(Some(&saved), &empty, true, &Judged::Ours);
        check(Some(&unsaved), &empty, false, &Judged::Ours);
        let before = held(1, Some(Era::new(6, 2)), true);
        check(
            Some(&before),
            &Sighting::empty(Era::new(8, 0)),
            false,
            &Judged::Ours,
        );
    }

    #[test]
    fn what_was_cleared_stays_cleared() {
        for (known, now) in [
            (Era::new(7, 1), ERA),
            (Era::new(6, 0), ERA),
            (Era::new(6, 9), Era::new(7, 1)),
        ] {
            let ours = held(9, Some(known), false);
            check(Some(&ours), &Sighting::empty(now), true, &Judged::Nothing);
        }
    }

    #[test]
    fn what_has_expired_is_nothing_on_either_side() {
        let mut ours = held(9, Some(ERA), false);
        ours.live = live(9, NOW);
        check(Some(&ours), &Sighting::empty(ERA), true, &Judged::Nothing);
        let expired = Sighting::of(ERA, &live(4, NOW).bytes);
        check(Some(&ours), &expired, true, &Judged::Nothing);
        let mended = held(9, Some(ERA), false);
        check(Some(&mended), &expired, true, &Judged::Ours);
    }

    #[test]
    fn damage_is_mended_from_memory_or_is_nothing() {
        let damaged = Sighting::of(ERA, b"?");
        check(None, &damaged, false, &Judged::Nothing);
        let ours = held(1, Some(ERA), true);
        check(Some(&ours), &damaged, false, &Judged::Ours);
    }
}
