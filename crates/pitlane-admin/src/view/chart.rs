//! Charts as SVG, made on the server: paths in a box of [`WIDTH`] by [`HEIGHT`] that the page
//! stretches. Words stand beside the box and not in it, so that they keep their size on a phone.

use serde::Serialize;

use super::filters::{share, span};

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 160.0;

/// What a chart's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From 0 to 1.
    Share,
    /// Seconds, on a logarithmic scale in whole powers of ten.
    Seconds,
}

/// One line of a chart; a moment without a number is a gap in it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) label: &'static str,
    /// The class that gives it its colour.
    pub(crate) class: &'static str,
    pub(crate) values: Vec<Option<f64>>,
}

/// What the template draws.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Chart {
    /// Whether there is nothing to draw.
    is_empty: bool,
    width: f64,
    height: f64,
    lines: Vec<Drawn>,
    /// From the top to the bottom.
    ticks: Vec<Tick>,
    /// The same numbers for those who read a table, the latest first.
    rows: Vec<Row>,
}

#[derive(Clone, Debug, Serialize)]
struct Drawn {
    label: &'static str,
    class: &'static str,
    path: String,
    /// The first line's area down to the ground; empty for the others.
    area: String,
    /// The last number of the line.
    last: String,
}

#[derive(Clone, Debug, Serialize)]
struct Tick {
    y: f64,
    label: String,
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    at_ms: u64,
    values: Vec<String>,
}

/// What a chart is wide: from a moment to another, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
}

impl Stretch {
    /// Where a moment is between its ends, from 0 to 1.
    fn place(self, at_ms: u64) -> f64 {
        let whole = self.to_ms.saturating_sub(self.from_ms).max(1);
        (float(at_ms.saturating_sub(self.from_ms)) / float(whole)).min(1.0)
    }
}

impl Chart {
    /// A chart of lines over the same moments, the oldest first.
    pub(crate) fn new(scale: Scale, stretch: Stretch, moments: &[u64], lines: &[Line]) -> Self {
        let places: Vec<f64> = moments.iter().map(|at| stretch.place(*at)).collect();
        let numbers = || {
            lines
                .iter()
                .flat_map(|line| line.values.iter().flatten().copied())
        };
        let range = scale.range(numbers());
        let drawn = lines.iter().enumerate().map(|(at, line)| {
            let points = points(line, &places, range, scale);
            Drawn {
                label: line.label,
                class: line.class,
                area: if at == 0 {
                    area(&points)
                } else {
                    String::new()
                },
                path: path(&points),
                last: scale.text(line.values.iter().rev().flatten().next().copied()),
            }
        });
        let rows = moments.iter().enumerate().rev().map(|(at, at_ms)| Row {
            at_ms: *at_ms,
            values: lines
                .iter()
                .map(|line| scale.text(line.values.get(at).copied().flatten()))
                .collect(),
        });
        Self {
            is_empty: numbers().next().is_none(),
            width: WIDTH,
            height: HEIGHT,
            lines: drawn.collect(),
            ticks: scale.ticks(range),
            rows: rows.collect(),
        }
    }
}

impl Scale {
    /// The lowest and the highest position, before it is spread over the height.
    fn range(self, numbers: impl Iterator<Item = f64>) -> (f64, f64) {
        if self == Self::Share {
            return (0.0, 1.0);
        }
        let places = numbers.map(|number| self.place(number));
        let (low, high) = places.fold((f64::MAX, f64::MIN), |(low, high), place| {
            (low.min(place), high.max(place))
        });
        if low > high {
            return (-6.0, 0.0);
        }
        (low.floor(), high.ceil().max(low.floor() + 1.0))
    }

    fn place(self, number: f64) -> f64 {
        match self {
            Self::Share => number.clamp(0.0, 1.0),
            // Nothing that we measure is shorter than a nanosecond.
            Self::Seconds => number.max(1e-9).log10(),
        }
    }

    fn ticks(self, (low, high): (f64, f64)) -> Vec<Tick> {
        let step = match self {
            Self::Share => 0.25,
            Self::Seconds => ((high - low) / 4.0).ceil().max(1.0),
        };
        let mut ticks = Vec::new();
        let mut place = low;
        while place <= high + 1e-9 {
            let label = match self {
                Self::Share => share(place),
                Self::Seconds => span(10_f64.powf(place)),
            };
            let y = HEIGHT * (1.0 - (place - low) / (high - low));
            ticks.push(Tick { y, label });
            place += step;
        }
        ticks.reverse();
        ticks
    }

    fn text(self, number: Option<f64>) -> String {
        match (self, number) {
            (_, None) => "–".to_owned(),
            (Self::Share, Some(number)) => share(number),
            (Self::Seconds, Some(number)) => span(number),
        }
    }
}

/// Runs of neighbouring points.
fn points(line: &Line, places: &[f64], range: (f64, f64), scale: Scale) -> Vec<Vec<(f64, f64)>> {
    let (low, high) = range;
    let mut runs = vec![Vec::new()];
    for (place, value) in places.iter().zip(&line.values) {
        match (value, runs.last_mut()) {
            (Some(value), Some(run)) => {
                let height = (scale.place(*value) - low) / (high - low);
                run.push((WIDTH * place, HEIGHT * (1.0 - height)));
            }
            (None, Some(run)) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

fn path(runs: &[Vec<(f64, f64)>]) -> String {
    let mut path = String::new();
    for run in runs {
        for (at, (x, y)) in run.iter().enumerate() {
            let command = if at == 0 { 'M' } else { 'L' };
            path.push_str(&format!("{command}{x:.1} {y:.1}"));
        }
        // A moment without neighbours is a dot: a line of no length with round ends.
        if run.len() == 1 {
            path.push_str("h.01");
        }
    }
    path
}

fn area(runs: &[Vec<(f64, f64)>]) -> String {
    let mut area = String::new();
    for run in runs {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        area.push_str(&format!("M{:.1} {HEIGHT}", first.0));
        for (x, y) in run {
            area.push_str(&format!("L{x:.1} {y:.1}"));
        }
        area.push_str(&format!("L{:.1} {HEIGHT}Z", last.0));
    }
    area
}

/// One part of a bar.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Part {
    label: String,
    count: u64,
    share: f64,
    /// Where it begins and how wide it is, of 100.
    x: f64,
    width: f64,
}

/// The parts of a whole, side by side. Empty where the whole is.
pub(crate) fn bar<'a>(parts: impl IntoIterator<Item = (&'a str, u64)>) -> Vec<Part> {
    let parts: Vec<_> = parts.into_iter().collect();
    let whole: f64 = parts.iter().map(|(_, count)| float(*count)).sum();
    if whole == 0.0 {
        return Vec::new();
    }
    let mut x = 0.0;
    let place = |(label, count): (&str, u64)| {
        let share = float(count) / whole;
        let part = Part {
            label: label.to_owned(),
            count,
            share,
            x,
            width: 100.0 * share,
        };
        x += part.width;
        part
    };
    parts.into_iter().map(place).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a picture needs no more digits")]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn stretch(from_ms: u64, to_ms: u64) -> Stretch {
        Stretch { from_ms, to_ms }
    }

    fn line(values: &[Option<f64>]) -> Line {
        Line {
            label: "hits",
            class: "hit",
            values: values.to_vec(),
        }
    }

    #[test]
    fn a_share_runs_from_the_ground_to_the_top() {
        let lines = [line(&[Some(0.0), Some(1.0), Some(0.5)])];
        let chart = Chart::new(Scale::Share, stretch(1, 3), &[1, 2, 3], &lines);
        let [drawn] = &chart.lines[..] else { panic!() };
        assert_eq!(drawn.path, "M0.0 160.0L300.0 0.0L600.0 80.0");
        assert_eq!(drawn.last, "50.0\u{a0}%");
        assert_eq!(chart.ticks.len(), 5);
        assert_eq!(chart.ticks[0].label, "100\u{a0}%");
        assert_eq!(chart.rows[0].values, ["50.0\u{a0}%"]);
    }

    #[test]
    fn what_is_known_for_a_short_time_stands_at_the_end() {
        let lines = [line(&[Some(0.0), Some(1.0)])];
        let chart = Chart::new(Scale::Share, stretch(1000, 4000), &[3000, 4000], &lines);
        assert_eq!(chart.lines[0].path, "M400.0 160.0L600.0 0.0");
        let early = Chart::new(Scale::Share, stretch(3500, 4000), &[3000, 4100], &lines);
        assert_eq!(early.lines[0].path, "M0.0 160.0L600.0 0.0");
    }

    #[test]
    fn a_moment_without_a_number_is_a_gap_and_a_lonely_one_a_dot() {
        let lines = [line(&[Some(1.0), None, Some(0.0), Some(0.0)])];
        let chart = Chart::new(Scale::Share, stretch(1, 4), &[1, 2, 3, 4], &lines);
        assert_eq!(chart.lines[0].path, "M0.0 0.0h.01M400.0 160.0L600.0 160.0");
        assert_eq!(chart.lines[0].area.matches('Z').count(), 2);
    }

    #[test]
    fn seconds_are_spread_over_whole_powers_of_ten() {
        let lines = [line(&[Some(0.000_05), Some(0.02)])];
        let chart = Chart::new(Scale::Seconds, stretch(1, 2), &[1, 2], &lines);
        let labels: Vec<_> = chart.ticks.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(
            labels,
            [
                "100\u{a0}ms",
                "10\u{a0}ms",
                "1\u{a0}ms",
                "100\u{a0}µs",
                "10\u{a0}µs"
            ]
        );
    }

    #[test]
    fn no_number_at_all_is_an_empty_chart_and_no_division_by_it() {
        for scale in [Scale::Share, Scale::Seconds] {
            for values in [&[][..], &[None], &[None, None]] {
                let moments: Vec<u64> = (0..values.len() as u64).collect();
                let chart = Chart::new(scale, stretch(0, 9), &moments, &[line(values)]);
                assert!(chart.is_empty);
                assert_eq!(chart.lines[0].path, "");
            }
        }
        let zero = Chart::new(Scale::Seconds, stretch(1, 1), &[1], &[line(&[Some(0.0)])]);
        assert!(!zero.lines[0].path.contains("NaN"), "{zero:?}");
    }

    #[test]
    fn the_parts_of_a_bar_fill_it() {
        let parts = bar([("hit", 3), ("miss", 1)]);
        assert_eq!(parts[1].x, 75.0);
        assert_eq!(parts[1].width, 25.0);
        assert!(bar([("hit", 0)]).is_empty());
    }
}
