use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use pitlane_core::Timestamp;

/// Where the time comes from: the system, or a hand in a test.
///
/// The system's clock is read once at the start and then runs with the monotonic clock, so that
/// an entry's age never jumps when somebody sets the time.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System { base: Timestamp, start: Instant },
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The system's clock.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the edge where the clock is read"
    )]
    pub fn system() -> Self {
        Self(Source::System {
            base: SystemTime::now().into(),
            start: Instant::now(),
        })
    }

    /// A clock that stands still until [`Clock::advance`] moves it. Clones move together.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(start.as_millis()))))
    }

    /// The same clock, wrong by so many milliseconds: ahead, or behind where it is negative. For
    /// tests of what a wrong clock can cost.
    #[must_use]
    pub fn skewed(self, millis: i64) -> Self {
        let shift = |time: Timestamp| {
            Timestamp::from_millis(time.as_millis().saturating_add_signed(millis))
        };
        Self(match self.0 {
            Source::System { base, start } => Source::System {
                base: shift(base),
                start,
            },
            manual @ Source::Manual(_) => {
                let now = shift(Self(manual).now());
                Source::Manual(Arc::new(AtomicU64::new(now.as_millis())))
            }
        })
    }

    /// Moves a manual clock; the system's clock can't be moved and stays as it is.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(millis) = &self.0 {
            let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            millis.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// The time now, and the moment for whoever measures from here: one look at the clock.
    #[inline]
    pub(crate) fn look(&self) -> (Timestamp, Moment) {
        #[cfg(feature = "stats")]
        {
            let (now, since_start) = match &self.0 {
                Source::System { base, start } => {
                    let elapsed = start.elapsed();
                    (base.plus(elapsed), elapsed)
                }
                Source::Manual(millis) => {
                    let millis = millis.load(Ordering::SeqCst);
                    (
                        Timestamp::from_millis(millis),
                        Duration::from_millis(millis),
                    )
                }
            };
            (now, Moment { since_start })
        }
        #[cfg(not(feature = "stats"))]
        (self.now(), Moment {})
    }

    /// The time now, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System { base, start } => base.plus(start.elapsed()),
            Source::Manual(millis) => Timestamp::from_millis(millis.load(Ordering::SeqCst)),
        }
    }
}

/// When something began, finer than a [`Timestamp`]: nothing at all without statistics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    #[cfg(feature = "stats")]
    since_start: Duration,
}

#[cfg(feature = "stats")]
impl Moment {
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        self.since_start.saturating_sub(earlier.since_start)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.0 {
            Source::System { .. } => "system",
            Source::Manual(_) => "manual",
        };
        f.debug_struct("Clock")
            .field("source", &source)
            .field("now", &self.now())
            .finish()
    }
}
