use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::{
    Held, Lock, LockError, LockErrorKind,
    lease::Lease,
    place::random,
    room::{Turn, Visit},
};

/// Pauses between two questions to Redis: the first one, how they grow, and the longest. One server
/// asks so often, however many callers it has.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_millis(250);

impl Lock {
    /// Waits for the callers of this process who came before.
    pub(crate) async fn line_up(&self) -> Result<InLine<'_>, LockError> {
        let deadline = Instant::now() + self.patience();
        let visit = self.visit();
        let turn = match visit.room().free_turn() {
            Some(turn) => turn,
            None => timeout_at(deadline, visit.room().turn())
                .await
                .map_err(|_| LockError::new(LockErrorKind::TimedOut))?,
        };
        Ok(self.in_line(visit, turn, deadline))
    }

    /// The place at the head of the line, if nobody stands in it.
    pub(crate) fn step_up(&self) -> Option<InLine<'_>> {
        let visit = self.visit();
        let turn = visit.room().free_turn()?;
        Some(self.in_line(visit, turn, Instant::now()))
    }

    fn visit(&self) -> Visit {
        Visit::to(self.place.cache.shared(), self.place.digest)
    }

    fn in_line(&self, visit: Visit, turn: Turn, deadline: Instant) -> InLine<'_> {
        let lease = Lease::new(&self.place, visit.clone(), self.lease);
        InLine {
            lock: self,
            lease: Some(lease),
            pause: FIRST_PAUSE,
            wake_at: None,
            deadline,
            visit,
            _turn: turn,
        }
    }
}

/// The caller of this process whose turn it is to ask for the lock.
///
/// Dropped while it asks, it gives back what it may have been given.
pub(crate) struct InLine<'a> {
    lock: &'a Lock,
    /// Asked for under one token however often, until it is had.
    lease: Option<Lease>,
    pause: Duration,
    /// When the lease of this process's own lock is over.
    wake_at: Option<Instant>,
    deadline: Instant,
    visit: Visit,
    // The last to go: who comes next finds all else done.
    _turn: Turn,
}

impl InLine<'_> {
    /// Asks once.
    pub(crate) async fn attempt(&mut self) -> Result<Option<Held>, LockError> {
        let visit = &self.visit;
        let place = &self.lock.place;
        let fresh = || Lease::new(place, visit.clone(), self.lock.lease);
        let lease = self.lease.get_or_insert_with(fresh);
        match lease.take().await {
            Ok(Ok(number)) => {
                let lease = self.lease.take();
                Ok(lease.map(|lease| Held::new(lease, number, self.lock.renewed)))
            }
            Ok(Err(until)) => {
                self.wake_at = until;
                Ok(None)
            }
            // Dropping the lease gives back what may have been taken.
            Err(error) => {
                self.lease = None;
                Err(LockError::unavailable(error))
            }
        }
    }

    /// Waits until it is worth asking again.
    pub(crate) async fn pause(&mut self) -> Result<(), LockError> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(LockError::new(LockErrorKind::TimedOut));
        }
        let wake_at = self.wake_at.take().unwrap_or_else(|| {
            let pause = self.pause;
            self.pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            now + jittered(pause, random())
        });
        let freed = self.visit.room().freed();
        // Woken by the time or by the one who had it: either way it asks.
        let _ = timeout(wake_at.min(self.deadline) - now, freed).await;
        Ok(())
    }
}

/// Between half of it and all of it, so that servers which began together don't go on together.
fn jittered(pause: Duration, random: u64) -> Duration {
    let part = u32::try_from(random % 1024).unwrap_or_default();
    pause / 2 + pause / 2 * part / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jittered_pause_is_half_of_it_at_least_and_never_more() {
        let pause = Duration::from_millis(100);
        assert_eq!(jittered(pause, 0), pause / 2);
        let longest = jittered(pause, 1023);
        assert!(longest > pause * 9 / 10 && longest <= pause, "{longest:?}");
    }
}
