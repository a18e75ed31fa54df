//! How long calls take. Nobody measures without the feature `metrics`.

#[cfg(not(feature = "metrics"))]
pub(crate) use idle::Timing;
#[cfg(feature = "metrics")]
pub(crate) use measuring::{Histograms, Timing};

/// The metric, and what its labels can be.
#[cfg(feature = "metrics")]
pub mod reference {
    /// The name of the histogram.
    pub const REMOTE_SECONDS: &str = "pitlane_remote_seconds";
    /// Its labels.
    pub const LABELS: [&str; 2] = ["operation", "outcome"];
    /// What it measures.
    pub const HELP: &str = "How long calls to Redis took, and the ones that were not sent.";
    /// The values of `operation`.
    pub const OPERATIONS: [&str; 20] = [
        "get",
        "get_many",
        "set",
        "delete",
        "exchange",
        "increment",
        "lease",
        "scan",
        "peek",
        "unlink",
        "log.hint",
        "log.tail",
        "log.check",
        "log.append",
        "log.records",
        "log.look",
        "log.forget",
        "log.renew",
        "log.janitor",
        OTHER,
    ];
    /// The value of `operation` for calls that somebody else named.
    pub const OTHER: &str = "other";
    /// The values of `outcome`: answered; refused by Redis or failed on the way; not answered within
    /// the budget; never sent, because the circuit was open or too much was on its way; and nobody
    /// waited for the answer any more.
    pub const OUTCOMES: [&str; 5] = ["ok", "error", "timeout", "rejected", "dropped"];
}

#[cfg(not(feature = "metrics"))]
mod idle {
    use crate::{client::Shared, failure::FailureKind};

    #[must_use]
    pub(crate) struct Timing;

    impl Timing {
        pub(crate) const fn begin(_: &Shared, _: &'static str) -> Self {
            Self
        }

        #[expect(
            clippy::needless_pass_by_ref_mut,
            clippy::unused_self,
            reason = "nobody measures"
        )]
        pub(crate) const fn end(&mut self, _: Option<FailureKind>) {}
    }
}

#[cfg(feature = "metrics")]
mod measuring {
    use std::{
        collections::HashMap,
        fmt, ptr,
        sync::{Mutex, PoisonError},
        time::Duration,
    };

    use metrics::{Histogram, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};

    use super::reference::{HELP, LABELS, OPERATIONS, OTHER, REMOTE_SECONDS};
    use crate::{client::Shared, failure::FailureKind};

    const METADATA: Metadata<'static> =
        Metadata::new("pitlane_redis", Level::INFO, Some("pitlane_redis"));

    /// One call, which is recorded when this is dropped: as dropped, unless it has ended.
    #[must_use = "dropped at once it records a call that nobody waited for"]
    pub(crate) struct Timing<'a> {
        shared: &'a Shared,
        operation: &'static str,
        began: Duration,
        outcome: &'static str,
    }

    impl<'a> Timing<'a> {
        pub(crate) fn begin(shared: &'a Shared, operation: &'static str) -> Self {
            // Who sends commands of its own names them as well, and a label is a promise.
            let known = OPERATIONS.contains(&operation);
            Self {
                shared,
                operation: if known { operation } else { OTHER },
                began: shared.circuit.now(),
                outcome: "dropped",
            }
        }

        /// Says what became of it.
        pub(crate) const fn end(&mut self, failure: Option<FailureKind>) {
            self.outcome = match failure {
                None => "ok",
                Some(FailureKind::TimedOut) => "timeout",
                Some(FailureKind::Open | FailureKind::Overloaded) => "rejected",
                Some(_) => "error",
            };
        }
    }

    impl Drop for Timing<'_> {
        fn drop(&mut self) {
            let took = self.shared.circuit.now().saturating_sub(self.began);
            let histograms = &self.shared.histograms;
            histograms.get(self.operation, self.outcome).record(took);
        }
    }

    /// The histograms that were used, each made once for a recorder.
    #[derive(Default)]
    pub(crate) struct Histograms(Mutex<Made>);

    #[derive(Default)]
    struct Made {
        /// Handles lead to the recorder that they were made by: with another one they are made
        /// anew.
        recorder: Option<usize>,
        handles: HashMap<(&'static str, &'static str), Histogram>,
    }

    impl Histograms {
        fn get(&self, operation: &'static str, outcome: &'static str) -> Histogram {
            metrics::with_recorder(|recorder| {
                let there = ptr::from_ref(recorder).cast::<()>().addr();
                let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if made.recorder != Some(there) {
                    describe(recorder);
                    made.recorder = Some(there);
                    made.handles.clear();
                }
                let handle = made.handles.entry((operation, outcome));
                handle
                    .or_insert_with(|| register(recorder, [operation, outcome]))
                    .clone()
            })
        }
    }

    fn describe(recorder: &dyn Recorder) {
        let name = KeyName::from_const_str(REMOTE_SECONDS);
        recorder.describe_histogram(name, Some(Unit::Seconds), SharedString::const_str(HELP));
    }

    fn register(recorder: &dyn Recorder, values: [&'static str; 2]) -> Histogram {
        let labels = LABELS.into_iter().zip(values);
        let labels: Vec<Label> = labels
            .map(|(name, value)| Label::from_static_parts(name, value))
            .collect();
        recorder.register_histogram(&Key::from_parts(REMOTE_SECONDS, labels), &METADATA)
    }

    impl fmt::Debug for Histograms {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Histograms").finish_non_exhaustive()
        }
    }
}
