//! Which of two saves of a session is the newer one.

use pitlane::Timestamp;

/// The bits below a millisecond: so many saves may follow each other within one.
const BELOW: u32 = 16;

/// A save's place among the saves of its session.
///
/// A hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014): later than every save
/// that the saver knew of, whatever its wall clock says; and between two savers who knew nothing
/// of each other the later one by wall clock is newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u64);

impl Version {
    /// The version of a save at `now` by somebody who knows of `before`.
    pub(crate) fn after(before: Option<Self>, now: Timestamp) -> Self {
        let next = before.map_or(0, |before| before.0.saturating_add(1));
        Self(next.max(now.as_millis() << BELOW))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_after_all_that_was_known_and_follows_the_clock() {
        let at = |millis| Timestamp::from_millis(millis);
        let first = Version::after(None, at(100));
        let same_moment = Version::after(Some(first), at(100));
        let clock_went_back = Version::after(Some(same_moment), at(50));
        let later = Version::after(Some(first), at(101));
        assert!(first < same_moment && same_moment < clock_went_back && clock_went_back < later);
        let last = Version(u64::MAX);
        assert_eq!(Version::after(Some(last), at(0)), last);
    }
}
