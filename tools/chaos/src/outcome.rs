use std::fmt::Write;
use std::time::Duration;

use crate::fault::Fault;
use crate::load::{Load, Phase, WORKERS};
use crate::rows::NODES;
use crate::scenario::Recovery;
use crate::tally::{Kind, Tally};

/// The bars.
const HITS: f64 = 0.5;
const RECOVERY: Duration = Duration::from_millis(2500);
const MEMORY: u64 = 32 << 20;
const THROUGHPUT: f64 = 0.95;

/// What one fault cost.
#[derive(Clone, Debug)]
#[must_use]
pub struct Outcome {
    fault: Fault,
    answers: u64,
    wrong: u64,
    example: Option<String>,
    hung: u64,
    slow: (u64, u64),
    slow_raw: u64,
    slowest: [String; 2],
    longest: Duration,
    hits_before: f64,
    throughput: f64,
    alone: f64,
    recoveries: Vec<Option<Recovery>>,
    memory: u64,
    openings: u64,
    failed: u64,
}

impl Outcome {
    pub(crate) fn new(fault: Fault, load: &Load) -> Self {
        let tallies = [Phase::Warm, Phase::Fault, Phase::After].map(|phase| load.tally(phase));
        let sum = |count: fn(&Tally) -> u64| tallies.iter().map(|tally| count(tally)).sum();
        let during = load.tally(Phase::Fault);
        Self {
            fault,
            answers: sum(Tally::total),
            wrong: sum(Tally::wrongs),
            example: tallies.iter().find_map(|tally| tally.example()),
            hung: sum(|tally| tally.count(Kind::Hung)),
            slow: during.slow(),
            slow_raw: during.slow_raw(),
            slowest: during.slowest(),
            longest: during.longest(),
            hits_before: 0.0,
            throughput: 0.0,
            alone: 0.0,
            recoveries: Vec::new(),
            memory: 0,
            openings: 0,
            failed: 0,
        }
    }

    pub(crate) const fn hits_before(mut self, ratio: f64) -> Self {
        self.hits_before = ratio;
        self
    }

    pub(crate) const fn throughput(mut self, rate: f64, alone: f64) -> Self {
        self.throughput = rate;
        self.alone = alone;
        self
    }

    pub(crate) fn recoveries(mut self, recoveries: Vec<Option<Recovery>>) -> Self {
        self.recoveries = recoveries;
        self
    }

    pub(crate) const fn memory(mut self, grown: u64) -> Self {
        self.memory = grown;
        self
    }

    pub(crate) const fn breaker(mut self, openings: u64, failed: u64) -> Self {
        self.openings = openings;
        self.failed = failed;
        self
    }

    /// Which fault it was.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        self.fault
    }

    /// How many requests were made in all.
    #[must_use]
    pub const fn answers(&self) -> u64 {
        self.answers
    }

    /// How many answers were wrong, or missing.
    #[must_use]
    pub const fn wrong(&self) -> u64 {
        self.wrong
    }

    /// The first wrong answer, in words.
    #[must_use]
    pub fn example(&self) -> Option<&str> {
        self.example.as_deref()
    }

    /// How many requests had no answer after five seconds.
    #[must_use]
    pub const fn hung(&self) -> u64 {
        self.hung
    }

    /// The part of the reads that caches answered before the fault; 0 when none came from Redis
    /// that should have.
    #[must_use]
    pub const fn hit_ratio(&self) -> f64 {
        self.hits_before
    }

    /// How often the fault ended, and how often hits from Redis came again within 20 seconds.
    #[must_use]
    pub fn recovered(&self) -> (usize, usize) {
        let back = self.recoveries.iter().flatten().count();
        (self.recoveries.len(), back)
    }

    /// The bars that were missed, each as a sentence.
    #[must_use]
    pub fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        let mut bar = |is_met: bool, sentence: String| {
            if !is_met {
                missed.push(sentence);
            }
        };
        let example = self.example().unwrap_or("no example");
        bar(
            self.hits_before >= HITS,
            format!("only {:.0} % hits before", 100.0 * self.hits_before),
        );
        bar(
            self.wrong == 0,
            format!("{} wrong answers; the first: {example}", self.wrong),
        );
        bar(self.hung == 0, format!("{} requests hung", self.hung));
        bar(
            self.slow.0 <= self.in_flight(),
            format!(
                "{} slow requests before the breaker opened, and {} were in flight at most; {}",
                self.slow.0,
                self.in_flight(),
                self.slowest[0]
            ),
        );
        bar(
            self.slow.1 == 0,
            format!(
                "{} slow requests after the breaker opened; {}",
                self.slow.1, self.slowest[1]
            ),
        );
        bar(
            self.in_time() == self.recoveries.len(),
            format!(
                "recovered in time {} times; closed and hitting after {}",
                self.times(),
                self.late()
            ),
        );
        bar(
            self.memory <= MEMORY,
            format!("grew by {:.1} MiB", mib(self.memory)),
        );
        bar(
            self.share() >= THROUGHPUT,
            format!("{:.1} % of the throughput", 100.0 * self.share()),
        );
        missed
    }

    /// How many requests can have been in flight whenever a breaker opened. Where none did, it
    /// could have, once on each node.
    fn in_flight(&self) -> u64 {
        self.openings.max(NODES as u64) * (WORKERS / NODES) as u64
    }

    fn in_time(&self) -> usize {
        let times = self.recoveries.iter().flatten();
        times.filter(|one| one.whole <= RECOVERY).count()
    }

    fn times(&self) -> String {
        format!("{}/{}", self.in_time(), self.recoveries.len())
    }

    /// The slowest recovery; a dash if one didn't come.
    fn slowest(&self) -> String {
        let all: Option<Vec<Recovery>> = self.recoveries.iter().copied().collect();
        let slowest = all.and_then(|all| all.iter().map(|one| one.whole).max());
        slowest.map_or("-".to_owned(), |time| format!("{:.2}", time.as_secs_f64()))
    }

    /// The recoveries that were late, each as when the circuits were closed and when hits came.
    fn late(&self) -> String {
        let is_late = |one: &&Option<Recovery>| one.is_none_or(|one| one.whole > RECOVERY);
        let late = self.recoveries.iter().filter(is_late);
        let words = late.map(|one| match one {
            Some(Recovery { well, whole }) => format!("{well:.2?} and {whole:.2?}"),
            None => "never".to_owned(),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    fn share(&self) -> f64 {
        self.throughput / self.alone.max(f64::MIN_POSITIVE)
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// All outcomes as one table, and below it what was missed.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "{:<17}{:>6}{:>9}{:>7}{:>11}{:>7}{:>6}{:>9}{:>7}{:>8}{:>8}{:>8}{:>7}{:>9}\n",
        "fault",
        "hits",
        "answers",
        "wrong",
        "slow/most",
        "after",
        "hung",
        "in time",
        "worst",
        "grown",
        "rate",
        "failed",
        "raw",
        "longest"
    );
    let units = [
        "before", "", "", "begun", "open", "> 5 s", "<= 2.5 s", "s", "MiB", "%", "looks", "slow",
        "ms",
    ];
    let widths = [6, 9, 7, 11, 7, 6, 9, 7, 8, 8, 8, 7, 9];
    let _ = write!(text, "{:<17}", "");
    for (unit, width) in units.iter().zip(widths) {
        let _ = write!(text, "{unit:>width$}");
    }
    text.push('\n');
    for outcome in outcomes {
        row(&mut text, outcome);
    }
    for outcome in outcomes {
        for sentence in outcome.missed() {
            let _ = writeln!(text, "MISSED {}: {sentence}", outcome.fault);
        }
    }
    text
}

fn row(text: &mut String, outcome: &Outcome) {
    let verdict = if outcome.missed().is_empty() {
        ""
    } else {
        "  MISSED"
    };
    let _ = writeln!(
        text,
        "{:<17}{:>5.0}%{:>9}{:>7}{:>11}{:>7}{:>6}{:>9}{:>7}{:>8.1}{:>8.1}{:>8}{:>7}{:>9.1}{verdict}",
        outcome.fault,
        100.0 * outcome.hits_before,
        outcome.answers,
        outcome.wrong,
        format!("{}/{}", outcome.slow.0, outcome.in_flight()),
        outcome.slow.1,
        outcome.hung,
        outcome.times(),
        outcome.slowest(),
        mib(outcome.memory),
        100.0 * outcome.share(),
        outcome.failed,
        outcome.slow_raw,
        outcome.longest.as_secs_f64() * 1000.0,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(whole: Duration) -> Recovery {
        let well = Duration::from_secs(1);
        Recovery { well, whole }
    }

    fn good() -> Outcome {
        Outcome {
            fault: Fault::Frozen,
            answers: 1000,
            wrong: 0,
            example: None,
            hung: 0,
            slow: (64, 0),
            slow_raw: 70,
            slowest: ["s".to_owned(), "t".to_owned()],
            longest: Duration::from_millis(52),
            hits_before: 0.5,
            throughput: 95.0,
            alone: 100.0,
            recoveries: vec![Some(back(RECOVERY)); 20],
            memory: MEMORY,
            openings: 2,
            failed: 60,
        }
    }

    #[track_caller]
    fn check(change: impl Fn(&mut Outcome), expected: &str) {
        let mut outcome = good();
        change(&mut outcome);
        assert_eq!(outcome.missed(), [expected]);
        assert!(table(&[outcome]).contains(&format!("MISSED frozen: {expected}")));
    }

    #[test]
    fn exactly_at_each_bar_nothing_is_missed() {
        assert!(good().missed().is_empty());
        assert!(!table(&[good()]).contains("MISSED"));
    }

    #[test]
    fn each_bar_is_missed_by_a_little_and_named() {
        check(|one| one.hits_before = 0.49, "only 49 % hits before");
        check(
            |one| one.wrong = 1,
            "1 wrong answers; the first: no example",
        );
        check(|one| one.hung = 1, "1 requests hung");
        let sentence =
            "65 slow requests before the breaker opened, and 64 were in flight at most; s";
        check(|one| one.slow.0 = 65, sentence);
        let sentence = "1 slow requests after the breaker opened; t";
        check(|one| one.slow.1 = 1, sentence);
        let late = Some(back(RECOVERY + Duration::from_millis(10)));
        let sentence = "recovered in time 19/20 times; closed and hitting after 1.00s and 2.51s";
        check(|one| one.recoveries[7] = late, sentence);
        let sentence = "recovered in time 19/20 times; closed and hitting after never";
        check(|one| one.recoveries[7] = None, sentence);
        check(|one| one.memory = 33 << 20, "grew by 33.0 MiB");
        check(|one| one.throughput = 94.9, "94.9 % of the throughput");
    }
}
