//! Who has signed in. Time is an argument.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pitlane::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// A sign-in ends after this time without a request.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// And after this time in any case.
const LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
/// With more than these at once, the one that was used least recently ends.
const MAX: usize = 64;

/// The sign-ins of this process, in memory only: a restart ends them.
#[derive(Default)]
pub(crate) struct SignIns(Mutex<HashMap<Digest, SignIn>>);

/// What a cookie holds is kept as its hash, so that a look-up tells nothing of how near a guess
/// is, and a dump of the memory opens no door.
type Digest = [u8; 32];

struct SignIn {
    begun: Timestamp,
    used: Timestamp,
    csrf: SecretString,
}

/// Somebody who has signed in.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    csrf: SecretString,
}

impl Visitor {
    /// What the forms of this visitor's pages carry.
    pub(crate) fn csrf(&self) -> &str {
        self.csrf.expose_secret()
    }

    /// Whether a form is one of this visitor's.
    pub(crate) fn made(&self, csrf: &str) -> bool {
        self.csrf().as_bytes().ct_eq(csrf.as_bytes()).into()
    }
}

impl SignIns {
    /// Begins one, and returns what its cookie is to hold: never anything that a request brought.
    pub(crate) fn begin(&self, now: Timestamp) -> Result<SecretString, getrandom::Error> {
        let (id, csrf) = (random()?, random()?);
        let sign_in = SignIn {
            begun: now,
            used: now,
            csrf,
        };
        let mut all = self.lock();
        all.retain(|_, sign_in| sign_in.is_valid(now));
        if all.len() >= MAX {
            let oldest = all.iter().min_by_key(|(_, sign_in)| sign_in.used);
            if let Some(oldest) = oldest.map(|(digest, _)| *digest) {
                all.remove(&oldest);
            }
        }
        all.insert(digest(id.expose_secret()), sign_in);
        Ok(id)
    }

    /// Who shows this cookie, if it is still good.
    pub(crate) fn find(&self, id: &str, now: Timestamp) -> Option<Visitor> {
        let mut all = self.lock();
        let sign_in = all
            .get_mut(&digest(id))
            .filter(|found| found.is_valid(now))?;
        sign_in.used = now;
        Some(Visitor {
            csrf: sign_in.csrf.clone(),
        })
    }

    /// Whether it is still good, without counting as a use: what runs by itself keeps nobody
    /// signed in.
    pub(crate) fn is_valid(&self, id: &str, now: Timestamp) -> bool {
        let all = self.lock();
        all.get(&digest(id))
            .is_some_and(|found| found.is_valid(now))
    }

    /// Ends one.
    pub(crate) fn end(&self, id: &str) {
        self.lock().remove(&digest(id));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, SignIn>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SignIn {
    fn is_valid(&self, now: Timestamp) -> bool {
        now.since(self.begun) < LIFETIME && now.since(self.used) < IDLE
    }
}

impl fmt::Debug for SignIns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignIns")
            .field("count", &self.lock().len())
            .finish_non_exhaustive()
    }
}

/// 256 bits that nobody can guess, as hexadecimal digits.
fn random() -> Result<SecretString, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(blake3::Hash::from_bytes(bytes)
        .to_hex()
        .as_str()
        .to_owned()
        .into())
}

fn digest(id: &str) -> Digest {
    *blake3::hash(id.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn minutes(minutes: u64) -> Timestamp {
        Timestamp::from_millis(MINUTE * (1000 + minutes))
    }

    fn begin(all: &SignIns, at: u64) -> String {
        all.begin(minutes(at)).unwrap().expose_secret().to_owned()
    }

    #[test]
    fn a_sign_in_ends_an_hour_after_its_last_use() {
        let all = SignIns::default();
        let id = begin(&all, 0);
        assert!(all.find(&id, minutes(59)).is_some());
        assert!(all.is_valid(&id, minutes(118)), "used at 59");
        assert!(all.find(&id, minutes(119)).is_none());
        assert!(!all.is_valid(&id, minutes(119)));
    }

    #[test]
    fn a_sign_in_in_use_ends_after_twelve_hours() {
        let all = SignIns::default();
        let id = begin(&all, 0);
        for at in (30..720).step_by(30) {
            assert!(all.find(&id, minutes(at)).is_some(), "{at}");
        }
        assert!(all.find(&id, minutes(720)).is_none());
    }

    #[test]
    fn an_ended_one_and_an_unknown_one_are_nobody() {
        let all = SignIns::default();
        let (id, other) = (begin(&all, 0), begin(&all, 0));
        all.end(&id);
        assert!(all.find(&id, minutes(0)).is_none());
        assert!(all.find(&other, minutes(0)).is_some());
        assert!(all.find("", minutes(0)).is_none());
    }

    #[test]
    fn each_has_an_id_and_a_word_for_forms_of_its_own() {
        let all = SignIns::default();
        let (one, two) = (begin(&all, 0), begin(&all, 0));
        assert!(one != two && one.len() == 64);
        let find = |id: &str| all.find(id, minutes(0)).unwrap();
        assert!(find(&one).made(find(&one).csrf()));
        assert!(!find(&one).made(find(&two).csrf()));
        assert!(!find(&one).made(&one) && !find(&one).made(""));
    }

    #[test]
    fn beyond_the_bound_the_least_recently_used_one_ends() {
        let all = SignIns::default();
        let first = begin(&all, 0);
        let second = begin(&all, 1);
        assert!(all.find(&first, minutes(2)).is_some());
        for _ in 2..=MAX {
            begin(&all, 3);
        }
        assert!(all.find(&first, minutes(4)).is_some());
        assert!(all.find(&second, minutes(4)).is_none());
        assert_eq!(all.lock().len(), MAX);
    }

    #[test]
    fn debug_shows_no_word_that_opens_anything() {
        let all = SignIns::default();
        let id = begin(&all, 0);
        let visitor = all.find(&id, minutes(0)).unwrap();
        let said = format!("{all:?} {visitor:?}");
        assert!(
            !said.contains(&id) && !said.contains(visitor.csrf()),
            "{said}"
        );
    }
}
