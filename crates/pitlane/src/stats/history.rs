use std::{collections::VecDeque, time::Duration};

use pitlane_core::Timestamp;

use super::view::{Histogram, OutcomeCounts, Sample, Series, Window, Windows};

/// How late or early the sampler may come and still be on time.
const SLACK: Duration = Duration::from_millis(500);

const SECOND: Duration = Duration::from_secs(1);
const FIVE_SECONDS: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);
const FIVE_MINUTES: Duration = Duration::from_secs(300);
const HOUR: Duration = Duration::from_secs(3600);

/// The counters as they stood at some moments of the last hour, in fixed memory: each second of
/// the last minute, each five seconds of the last five, each minute of the hour.
#[derive(Debug)]
pub(super) struct History {
    seconds: Steps,
    fives: Steps,
    minutes: Steps,
}

/// The counters at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub(super) outcomes: OutcomeCounts,
    /// Latencies of all outcomes together, by bucket.
    pub(super) latencies: Vec<u64>,
}

impl Reading {
    /// Both together.
    pub(super) fn add(&mut self, other: &Self) {
        self.outcomes = self.outcomes.plus(&other.outcomes);
        self.latencies.resize(other.latencies.len(), 0);
        for (sum, more) in self.latencies.iter_mut().zip(&other.latencies) {
            *sum = sum.saturating_add(*more);
        }
    }
}

impl History {
    pub(super) const fn new() -> Self {
        Self {
            seconds: Steps::new(SECOND, MINUTE),
            fives: Steps::new(FIVE_SECONDS, FIVE_MINUTES),
            minutes: Steps::new(MINUTE, HOUR),
        }
    }

    /// Notes how the counters stand now.
    pub(super) fn note(&mut self, now: Timestamp, reading: &Reading) {
        for steps in [&mut self.seconds, &mut self.fives, &mut self.minutes] {
            steps.note(now, reading);
        }
    }

    /// What happened lately, up to now.
    pub(super) fn windows(&self, now: Timestamp, outcomes: &OutcomeCounts) -> Windows {
        Windows {
            since_start: Window::default(),
            last_minute: self.seconds.window(now, outcomes, MINUTE),
            last_five_minutes: self.fives.window(now, outcomes, FIVE_MINUTES),
            last_hour: self.minutes.window(now, outcomes, HOUR),
        }
    }

    pub(super) fn series(&self) -> Series {
        Series {
            last_five_minutes: self.fives.samples.iter().cloned().collect(),
            last_hour: self.minutes.samples.iter().cloned().collect(),
        }
    }
}

/// Moments at even distances, as far back as a span.
#[derive(Debug)]
struct Steps {
    step: Duration,
    span: Duration,
    moments: VecDeque<(Timestamp, OutcomeCounts)>,
    /// What happened between them.
    samples: VecDeque<Sample>,
    /// The latencies at the last of them.
    latencies: Vec<u64>,
}

impl Steps {
    const fn new(step: Duration, span: Duration) -> Self {
        Self {
            step,
            span,
            moments: VecDeque::new(),
            samples: VecDeque::new(),
            latencies: Vec::new(),
        }
    }

    fn note(&mut self, now: Timestamp, reading: &Reading) {
        let last = self.moments.back().copied();
        if let Some((at, outcomes)) = last {
            if now.since(at) + SLACK < self.step {
                return;
            }
            let sample = self.sample(now, &reading.outcomes.since(&outcomes), reading);
            self.samples.push_back(sample);
        }
        self.moments.push_back((now, reading.outcomes));
        self.latencies.clone_from(&reading.latencies);
        self.forget(now);
    }

    /// What is older than the span is of no use, but for the last that is: the window begins there.
    fn forget(&mut self, now: Timestamp) {
        let is_past = |at: Timestamp| now.since(at) + SLACK >= self.span;
        while self.moments.get(1).is_some_and(|(at, _)| is_past(*at)) {
            self.moments.pop_front();
        }
        while self.samples.len() >= self.moments.len().max(1) {
            self.samples.pop_front();
        }
    }

    fn sample(&self, now: Timestamp, since: &OutcomeCounts, reading: &Reading) -> Sample {
        let earlier = self.latencies.iter().copied().chain(std::iter::repeat(0));
        let counts = reading.latencies.iter().zip(earlier);
        let counts: Vec<u64> = counts.map(|(now, then)| now.saturating_sub(then)).collect();
        let latencies = Histogram::of(&counts);
        Sample {
            at_ms: now.as_millis(),
            requests: since.total(),
            hits: since.from_cache(),
            bypasses: since.bypass,
            p50_seconds: latencies.quantile(0.5),
            p99_seconds: latencies.quantile(0.99),
        }
    }

    /// From the youngest moment that is as old as the span, or from the first there is.
    fn window(&self, now: Timestamp, outcomes: &OutcomeCounts, span: Duration) -> Option<Window> {
        let is_past = |(at, _): &&(Timestamp, OutcomeCounts)| now.since(*at) + SLACK >= span;
        let past = self.moments.iter().rev().find(is_past);
        let (at, then) = past.or_else(|| self.moments.front())?;
        let covered = now.since(*at).as_secs_f64();
        Some(Window::of(outcomes.since(then), covered))
    }
}

#[cfg(test)]
mod tests {
    use pitlane_core::Outcome;

    use super::*;

    const START: u64 = 1_700_000_000_000;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(START + millis)
    }

    fn reading(hits: u64, misses: u64) -> Reading {
        let mut outcomes = OutcomeCounts::default();
        outcomes.add(Outcome::Hit, hits);
        outcomes.add(Outcome::Miss, misses);
        Reading {
            outcomes,
            latencies: vec![0, hits, misses],
        }
    }

    /// So many seconds, each with 3 hits and a miss.
    fn after(seconds: u64) -> History {
        let mut history = History::new();
        for second in 0..=seconds {
            // The sampler is never quite on time.
            let late = second * 1_000 + second % 7 * 40;
            history.note(at(late), &reading(3 * second, second));
        }
        history
    }

    #[track_caller]
    fn check(window: Option<&Window>, requests: u64, seconds: f64) {
        let window = window.expect("there is one");
        assert!(
            window.outcomes.total().abs_diff(requests) <= 4,
            "{window:?}"
        );
        assert!(
            (window.covered_seconds - seconds).abs() <= 1.0,
            "{window:?}"
        );
        assert_eq!(window.hit_ratio, Some(0.75));
    }

    #[test]
    fn windows_cover_what_their_names_say() {
        let history = after(4_000);
        let windows = history.windows(at(4_000_000), &reading(12_000, 4_000).outcomes);
        check(windows.last_minute.as_ref(), 240, 60.0);
        check(windows.last_five_minutes.as_ref(), 1_200, 300.0);
        let hour = windows.last_hour.expect("there is one");
        assert!(
            (3_600.0..3_661.0).contains(&hour.covered_seconds),
            "{hour:?}"
        );
        assert_eq!(hour.hit_ratio, Some(0.75));
    }

    #[test]
    fn a_young_node_says_how_little_its_windows_cover() {
        let history = after(20);
        let windows = history.windows(at(20_500), &reading(60, 20).outcomes);
        for window in [
            windows.last_minute,
            windows.last_five_minutes,
            windows.last_hour,
        ] {
            let window = window.expect("there is one");
            assert!((window.covered_seconds - 20.5).abs() < 0.1, "{window:?}");
            assert_eq!(window.outcomes.total(), 80);
        }
    }

    #[test]
    fn what_nobody_sampled_has_no_windows() {
        let windows = History::new().windows(at(0), &OutcomeCounts::default());
        assert_eq!(windows, Windows::default());
    }

    #[test]
    fn what_happened_is_forgotten_in_time() {
        let mut history = after(30);
        let last = reading(90, 30);
        history.note(at(100_000), &last);
        let window = history.windows(at(160_000), &last.outcomes).last_minute;
        assert_eq!(window.map(|window| window.outcomes.total()), Some(0));
    }

    #[test]
    fn memory_is_bounded_however_long_it_runs() {
        let history = after(10_000);
        assert!(history.seconds.moments.len() <= 62);
        assert!(history.fives.moments.len() <= 62);
        assert!(history.minutes.moments.len() <= 62);
        assert!(history.series().last_hour.len() <= 61);
    }

    #[test]
    fn a_series_adds_up_to_its_window() {
        let history = after(4_000);
        let series = history.series();
        assert_eq!(series.last_five_minutes.len(), 60);
        assert_eq!(series.last_hour.len(), 60);
        for sample in &series.last_five_minutes {
            assert_eq!(
                (sample.requests, sample.hits, sample.bypasses),
                (20, 15, 0),
                "{sample:?}"
            );
        }
        let order = series
            .last_hour
            .windows(2)
            .all(|two| two[0].at_ms < two[1].at_ms);
        assert!(order, "the oldest comes first");
    }

    #[test]
    fn latencies_of_a_step_are_those_that_came_in_it() {
        let mut history = History::new();
        let slow = |count| Reading {
            outcomes: OutcomeCounts::default(),
            latencies: vec![100, count],
        };
        history.note(at(0), &slow(0));
        history.note(at(5_000), &slow(7));
        history.note(at(10_000), &slow(7));
        let [first, second] = &history.series().last_five_minutes[..] else {
            panic!("two steps");
        };
        let bucket = Histogram {
            buckets: vec![(1, 1)],
        };
        assert_eq!(first.p50_seconds, bucket.quantile(0.5));
        assert_eq!(second.p50_seconds, None);
    }

    #[test]
    fn a_clock_that_stands_still_divides_by_nothing() {
        let mut history = History::new();
        history.note(at(0), &reading(0, 0));
        let windows = history.windows(at(0), &reading(5, 0).outcomes);
        let window = windows.last_minute.expect("there is one");
        assert_eq!(
            (window.requests_per_second, window.covered_seconds),
            (0.0, 0.0)
        );
    }
}
