use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// How many rounds are taken in turns; the median counts.
const ROUNDS: usize = 31;
const ROUND: Duration = Duration::from_millis(20);

/// One thing to measure.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) work: Box<dyn FnMut()>,
}

/// Nanoseconds a call for each case: medians of rounds taken in turns, so that whatever else
/// the machine does hits all cases alike.
pub(crate) fn in_turns(cases: &mut [Case]) -> Vec<f64> {
    rounds(cases).into_iter().map(median).collect()
}

/// The same with the least of all rounds beside each median, as `(least, median)`: where they are far
/// apart, something else was at work.
pub(crate) fn least_and_median(cases: &mut [Case]) -> Vec<(f64, f64)> {
    let least = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
    rounds(cases)
        .into_iter()
        .map(|times| (least(&times), median(times)))
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is about time")]
fn rounds(cases: &mut [Case]) -> Vec<Vec<f64>> {
    let calls: Vec<u32> = cases
        .iter_mut()
        .map(|case| calibrate(&mut case.work))
        .collect();
    let mut times = vec![Vec::with_capacity(ROUNDS); cases.len()];
    for _ in 0..ROUNDS {
        for ((case, calls), times) in cases.iter_mut().zip(&calls).zip(&mut times) {
            let start = Instant::now();
            for _ in 0..*calls {
                (case.work)();
            }
            times.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(*calls));
        }
    }
    times
}

/// How many calls fill a round.
#[expect(clippy::disallowed_methods, reason = "a benchmark is about time")]
fn calibrate(work: &mut dyn FnMut()) -> u32 {
    let mut calls = 16;
    loop {
        let start = Instant::now();
        for _ in 0..calls {
            work();
        }
        if start.elapsed() > ROUND || calls > 1 << 28 {
            return calls;
        }
        calls *= 2;
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Allocations of one call, when it is warm.
pub(crate) fn allocations(work: &mut dyn FnMut()) -> u64 {
    for _ in 0..64 {
        work();
    }
    allocation_counter::measure(work).count_total
}

/// Nanoseconds of processor time that the calling thread has used so far: other work on the
/// machine does not lengthen it, and waiting for another thread's cache lines does.
pub(crate) fn thread_nanoseconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Seconds of processor time that a process has used so far, in all its threads. Where a machine
/// is busy with other work this says more than the time that passed.
pub(crate) fn processor_seconds(pid: u32) -> f64 {
    // Linux counts in hundredths of a second, whatever its own clock does.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = fields.split_ascii_whitespace().skip(11).take(2);
    ticks
        .filter_map(|field| field.parse::<f64>().ok())
        .sum::<f64>()
        / TICKS
}
