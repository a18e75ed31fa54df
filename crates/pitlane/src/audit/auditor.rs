use std::{
    cell::Cell,
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use pitlane_core::Timestamp;

use super::{Audit, AuditReport, Fault, Print};
use crate::cache::Entry;

/// So many faults are remembered.
const FAULTS: usize = 16;
/// So long an entry that differed is waited for to be hit again.
const PATIENCE: Duration = Duration::from_secs(60);

/// What of one cache's hits is computed once more, and what came of it.
#[derive(Debug, Default)]
pub(crate) struct Auditor {
    /// A hint that spares hits the lock: one of the two below, or where the suspect is. The state
    /// decides.
    mode: AtomicUsize,
    /// A hint as well: when the suspicion is over, in milliseconds since the Unix epoch.
    until: AtomicU64,
    state: Mutex<State>,
    kept: Mutex<Kept>,
}

const IDLE: usize = 0;
/// No entry is there: it is more than a byte, and aligned.
const BUSY: usize = 1;

thread_local! {
    /// What hits are drawn by: a number of each thread, so that hits don't meet in one place.
    static DRAWN: Cell<u64> = const { Cell::new(0) };
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    /// A recomputation runs.
    Busy,
    Suspect(Suspicion),
}

/// An entry that differed from what was computed.
#[derive(Debug)]
pub(crate) struct Suspicion {
    /// Keeps the place and not what lies there: nothing else can be where the suspect was.
    entry: Weak<Entry>,
    computed: Print,
    /// How many computations have agreed.
    times: u32,
    since: Timestamp,
    /// Behind that it isn't waited for.
    until: Timestamp,
}

#[derive(Debug, Default)]
struct Kept {
    report: AuditReport,
    faults: VecDeque<Fault>,
}

impl Auditor {
    /// The turn to compute a hit's answer once more, if it is drawn.
    pub(crate) fn draw(
        self: &Arc<Self>,
        audit: &Audit,
        entry: &Arc<Entry>,
        now: Timestamp,
    ) -> Option<Turn> {
        match self.mode.load(Ordering::Relaxed) {
            IDLE if self.is_drawn(audit.one_in) => self.begin(),
            IDLE | BUSY => None,
            suspect if suspect == Arc::as_ptr(entry).addr() => self.go_on(audit, entry, now),
            _ => {
                if now.as_millis() > self.until.load(Ordering::Relaxed) {
                    self.give_up(now);
                }
                None
            }
        }
    }

    /// Whether a recomputation runs.
    #[inline]
    pub(crate) fn is_busy(&self) -> bool {
        self.mode.load(Ordering::Relaxed) == BUSY
    }

    /// A chance that no rhythm of the requests can meet.
    fn is_drawn(&self, one_in: u32) -> bool {
        let number = DRAWN.with(|drawn| {
            let number = drawn.get().wrapping_add(1);
            drawn.set(number);
            // The address differs from thread to thread, and from process to process.
            number.wrapping_add(std::ptr::from_ref(drawn) as u64)
        });
        // So does this one, and from cache to cache.
        let mixed = mix(number.wrapping_add(mix(std::ptr::from_ref(self) as u64)));
        mixed.is_multiple_of(u64::from(one_in))
    }

    fn begin(self: &Arc<Self>) -> Option<Turn> {
        let mut state = self.state();
        if !matches!(*state, State::Idle) {
            return None;
        }
        self.set(&mut state, State::Busy);
        self.count(|report| &mut report.audited);
        Some(self.turn(None))
    }

    fn go_on(self: &Arc<Self>, audit: &Audit, entry: &Arc<Entry>, now: Timestamp) -> Option<Turn> {
        let mut state = self.state();
        let State::Suspect(suspicion) = &*state else {
            return None;
        };
        let is_suspect = std::ptr::eq(suspicion.entry.as_ptr(), Arc::as_ptr(entry));
        if !is_suspect || now.since(suspicion.since) < audit.grace {
            return None;
        }
        match self.set(&mut state, State::Busy) {
            State::Suspect(suspicion) => Some(self.turn(Some(suspicion))),
            State::Idle | State::Busy => None,
        }
    }

    /// Forgets a suspicion that has waited for too long.
    #[cold]
    fn give_up(&self, now: Timestamp) {
        let mut state = self.state();
        if matches!(&*state, State::Suspect(suspicion) if now > suspicion.until) {
            self.count(|report| &mut report.unresolved);
            self.set(&mut state, State::Idle);
        }
    }

    fn turn(self: &Arc<Self>, suspicion: Option<Suspicion>) -> Turn {
        Turn {
            auditor: Arc::clone(self),
            suspicion,
            next: State::Idle,
            is_decided: false,
        }
    }

    pub(crate) fn report(&self) -> AuditReport {
        let kept = self.kept();
        AuditReport {
            faults: kept.faults.iter().cloned().collect(),
            ..kept.report.clone()
        }
    }

    fn count(&self, which: impl FnOnce(&mut AuditReport) -> &mut u64) {
        *which(&mut self.kept().report) += 1;
    }

    fn set(&self, state: &mut State, to: State) -> State {
        let mode = match &to {
            State::Idle => IDLE,
            State::Busy => BUSY,
            State::Suspect(suspicion) => {
                let until = suspicion.until.as_millis();
                self.until.store(until, Ordering::Relaxed);
                suspicion.entry.as_ptr().addr()
            }
        };
        self.mode.store(mode, Ordering::Relaxed);
        std::mem::replace(state, to)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one who computes once more. Dropped before it was decided, it has failed.
#[must_use]
pub(crate) struct Turn {
    auditor: Arc<Auditor>,
    suspicion: Option<Suspicion>,
    next: State,
    is_decided: bool,
}

impl Turn {
    /// The entry has ended meanwhile, and may well have differed for that.
    pub(crate) fn ended(mut self) {
        self.decide(|report| &mut report.ended);
    }

    /// Judges what was computed beside what is stored. Says that the entry is stale where that is
    /// certain.
    pub(crate) fn compare(
        mut self,
        audit: &Audit,
        entry: &Arc<Entry>,
        stored: &Print,
        computed: Print,
        now: Timestamp,
    ) -> bool {
        let before = self.suspicion.take();
        if computed == *stored {
            self.decide(|report| match before {
                None => &mut report.same,
                Some(_) => &mut report.unstable,
            });
            return false;
        }
        let times = match before {
            None => 1,
            Some(before) if before.computed == computed => before.times + 1,
            Some(_) => {
                self.decide(|report| &mut report.unstable);
                return false;
            }
        };
        if times >= audit.times {
            self.decide(|report| &mut report.stale);
            return true;
        }
        self.is_decided = true;
        self.next = State::Suspect(Suspicion {
            entry: Arc::downgrade(entry),
            computed,
            times,
            since: now,
            until: now.plus(PATIENCE.max(audit.grace * 2)),
        });
        false
    }

    fn decide(&mut self, which: impl FnOnce(&mut AuditReport) -> &mut u64) {
        self.is_decided = true;
        self.auditor.count(which);
    }
}

impl Auditor {
    /// Remembers a stale entry's story, and tells it.
    pub(crate) fn tell(&self, cache: &str, fault: Fault) {
        // Queries may hold what is nobody else's business: they are in the report, not in logs.
        let target = fault.key.split('?').next().unwrap_or_default();
        tracing::warn!(
            cache,
            target,
            age_seconds = fault.age_seconds,
            position = fault.position,
            tags = ?fault.tags,
            differs = ?fault.differs,
            "a hit was stale: what it shows has changed, and nothing has ended it"
        );
        let mut kept = self.kept();
        kept.faults.push_front(fault);
        kept.faults.truncate(FAULTS);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_decided {
            self.auditor.count(|report| &mut report.failed);
        }
        let next = std::mem::take(&mut self.next);
        let auditor = &self.auditor;
        auditor.set(&mut auditor.state(), next);
    }
}

/// Makes neighbouring numbers look like random ones (the finaliser of SplitMix64).
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_so_many_is_drawn_and_in_no_rhythm() {
        let auditor = Auditor::default();
        let drawn: Vec<u32> = (0..100_000_u32).filter(|_| auditor.is_drawn(100)).collect();
        // Six standard deviations of a binomial distribution are 189.
        assert!((811..=1_189).contains(&drawn.len()), "{}", drawn.len());
        for rhythm in [2, 3, 7, 10, 100] {
            let met = drawn.iter().filter(|number| *number % rhythm == 0).count();
            let fair = drawn.len() / rhythm as usize;
            assert!(met.abs_diff(fair) < 120, "{met} of {fair} in {rhythm}");
        }
    }
}
