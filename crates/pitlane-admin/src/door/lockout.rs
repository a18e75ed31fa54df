//! Who was wrong about the token, and how often. Time is an argument.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pitlane::Timestamp;

/// So many failures within [`WINDOW`] are too many.
const FAILURES: usize = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// So many peers are remembered, so that many addresses don't cost much memory.
const MAX_PEERS: usize = 4096;

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The token is right.
    Granted,
    /// It is wrong, which was counted.
    Refused,
    /// Nobody looked at it: its sender was wrong too often, and for so long that still counts.
    LockedOut(Duration),
}

/// The recent failures of each peer.
#[derive(Debug, Default)]
pub(crate) struct Lockout(Mutex<HashMap<Bucket, VecDeque<Timestamp>>>);

/// What counts as one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Bucket {
    /// An IPv4 address, or the 64 bits of an IPv6 address that one customer gets.
    Network(u64),
    /// Whoever came without an address.
    Unknown,
}

impl Lockout {
    /// Looks at a token, and counts it where it is wrong.
    ///
    /// All under one lock: attempts that arrive together must not all pass because none of them
    /// has failed yet.
    pub(crate) fn admit(
        &self,
        peer: Option<IpAddr>,
        now: Timestamp,
        is_right: impl FnOnce() -> bool,
    ) -> Admission {
        let mut peers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = Bucket::of(peer);
        if let Some(rest) = peers.get(&bucket).and_then(|failures| rest(failures, now)) {
            return Admission::LockedOut(rest);
        }
        if is_right() {
            return Admission::Granted;
        }
        make_room(&mut peers, bucket, now);
        let failures = peers.entry(bucket).or_default();
        failures.push_back(now);
        if failures.len() > FAILURES {
            failures.pop_front();
        }
        Admission::Refused
    }
}

/// How long the failures still lock their peer out.
fn rest(failures: &VecDeque<Timestamp>, now: Timestamp) -> Option<Duration> {
    let first = failures.front().filter(|_| failures.len() >= FAILURES)?;
    let rest = WINDOW.saturating_sub(now.since(*first));
    (!rest.is_zero()).then_some(rest)
}

/// Makes room for one more peer where there is none: the one whose failures are the fewest, and
/// of those the oldest, is forgotten. A count in common would let whoever has many addresses lock
/// everybody else out; forgetting one costs nothing while a token has 256 bits.
fn make_room(peers: &mut HashMap<Bucket, VecDeque<Timestamp>>, bucket: Bucket, now: Timestamp) {
    if peers.len() < MAX_PEERS || peers.contains_key(&bucket) {
        return;
    }
    let is_recent = |failure: &Timestamp| now.since(*failure) < WINDOW;
    peers.retain(|_, failures| failures.back().is_some_and(is_recent));
    if peers.len() < MAX_PEERS {
        return;
    }
    let least = peers
        .iter()
        .min_by_key(|(_, failures)| (failures.len(), failures.back().copied()));
    if let Some(least) = least.map(|(bucket, _)| *bucket) {
        peers.remove(&least);
    }
}

impl Bucket {
    fn of(peer: Option<IpAddr>) -> Self {
        match peer.map(|peer| peer.to_canonical()) {
            // No IPv6 network that is routed begins with 32 zero bits.
            Some(IpAddr::V4(address)) => Self::Network(u64::from(address.to_bits())),
            Some(IpAddr::V6(address)) => {
                Self::Network(u64::try_from(address.to_bits() >> 64).unwrap_or_default())
            }
            None => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1000 * seconds)
    }

    fn attempt(lockout: &Lockout, peer: &str, at: u64, is_right: bool) -> Admission {
        lockout.admit(Some(peer.parse().unwrap()), seconds(at), || is_right)
    }

    #[test]
    fn the_tenth_failure_within_a_minute_locks_out_even_the_right_token() {
        let lockout = Lockout::default();
        for at in 100..110 {
            assert_eq!(attempt(&lockout, "10.0.0.1", at, false), Admission::Refused);
        }
        let rest = Admission::LockedOut(Duration::from_secs(50));
        assert_eq!(attempt(&lockout, "10.0.0.1", 110, true), rest);
        let rest = Admission::LockedOut(Duration::from_secs(1));
        assert_eq!(attempt(&lockout, "10.0.0.1", 159, true), rest);
        // One failure has left the window: there is one attempt again, and no more.
        assert_eq!(attempt(&lockout, "10.0.0.1", 160, true), Admission::Granted);
        assert_eq!(
            attempt(&lockout, "10.0.0.1", 160, false),
            Admission::Refused
        );
        let rest = Admission::LockedOut(Duration::from_secs(1));
        assert_eq!(attempt(&lockout, "10.0.0.1", 160, true), rest);
    }

    #[test]
    fn slow_failures_lock_nobody_out() {
        let lockout = Lockout::default();
        for at in 0..50 {
            let seen = attempt(&lockout, "10.0.0.1", 7 * at, false);
            assert_eq!(seen, Admission::Refused, "{at}");
        }
    }

    #[test]
    fn peers_are_counted_apart_and_an_ipv6_network_is_one() {
        let lockout = Lockout::default();
        for host in 0..10 {
            attempt(&lockout, &format!("2001:db8:0:1::{host:x}"), 0, false);
        }
        let locked = Admission::LockedOut(WINDOW);
        assert_eq!(attempt(&lockout, "2001:db8:0:1::ffff", 0, true), locked);
        let others = ["2001:db8:0:2::1", "10.0.0.1", "::1"];
        for peer in others {
            assert_eq!(
                attempt(&lockout, peer, 0, true),
                Admission::Granted,
                "{peer}"
            );
        }
    }

    #[test]
    fn many_peers_lock_out_nobody_else_and_those_locked_out_stay_so() {
        let lockout = Lockout::default();
        let peer = |number: usize| format!("10.{}.{}.1", number >> 8, number & 255);
        for _ in 0..FAILURES {
            attempt(&lockout, "192.0.2.1", 0, false);
        }
        for number in 0..MAX_PEERS + 50 {
            let seen = attempt(&lockout, &peer(number), 1, false);
            assert_eq!(seen, Admission::Refused, "{number}");
        }
        assert_eq!(lockout.0.lock().unwrap().len(), MAX_PEERS);
        assert_eq!(attempt(&lockout, "10.250.0.1", 1, true), Admission::Granted);
        let rest = Admission::LockedOut(Duration::from_secs(59));
        assert_eq!(attempt(&lockout, "192.0.2.1", 1, true), rest);
    }

    #[test]
    fn room_is_made_of_what_no_longer_counts_first() {
        let lockout = Lockout::default();
        let peer = |number: usize| format!("10.{}.{}.1", number >> 8, number & 255);
        for number in 0..MAX_PEERS {
            attempt(&lockout, &peer(number), 0, false);
        }
        attempt(&lockout, "192.0.2.1", 60, false);
        assert_eq!(lockout.0.lock().unwrap().len(), 1);
    }
}
