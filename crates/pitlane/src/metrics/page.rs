//! The reference of all metrics, made from the code: what the page says beside it is wrong.

use std::{fs, path::Path};

use pitlane_core::{Outcome, Reason};
use pitlane_redis::{Side, metrics_reference as remote};

use super::{
    Eviction,
    invalidations::{APPLIED, KINDS, QUEUED},
    ledger::{memory_outcome, remote_outcome},
    measure::{DROPPED, ERROR, METHODS, NO_OUTCOME, OTHER_METHOD},
    running::FillOutcome,
    spec::{self, Kind, Metric},
};
use crate::{cache::RemoteLookup, stats::Trouble};

/// Behind this line nothing is written by hand.
const MARK: &str = "<!-- From here on `cargo test -p pitlane --features metrics,redis --lib \
                    page` compares every line with the code. -->\n";

#[test]
fn the_reference_says_what_the_code_tells() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/metrics.md");
    let page = fs::read_to_string(&path).unwrap();
    let (by_hand, made) = page.split_once(MARK).expect("the mark");
    let expected = reference();
    if std::env::var_os("WRITE_REFERENCE").is_some() {
        fs::write(&path, format!("{by_hand}{MARK}{expected}")).unwrap();
    } else {
        let lines = made.lines().zip(expected.lines());
        let differing = lines.filter(|(said, is)| said != is).collect::<Vec<_>>();
        assert!(
            made == expected,
            "not so in docs/reference/metrics.md: {differing:#?}; WRITE_REFERENCE=1 writes it"
        );
    }
}

fn reference() -> String {
    let mut page = String::from("\n| metric | type | unit | labels |\n| --- | --- | --- | --- |\n");
    for (name, kind, unit, labels, _) in all() {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = labels.join(", ");
        page += &format!(
            "| `{name}` | {kind} | {unit} | {labels} |
"
        );
    }
    for (name, _, _, labels, help) in all() {
        page += &format!("\n## `{name}`\n\n{help}\n");
        for (place, label) in labels.iter().enumerate() {
            let gap = if place == 0 { "\n" } else { "" };
            let line = format!("{gap}- `{label}`: {}\n", values(name, label));
            // A list of its own begins on the next line.
            page += &line.replace(": \n", ":\n");
        }
    }
    page.push_str("\n## Reasons\n\n| `reason` | |\n| --- | --- |\n");
    for reason in Reason::ALL {
        page += &format!("| `{}` | {} |\n", reason.as_str(), reason.explain());
    }
    page
}

type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
);

/// All metrics, the Redis client's own among them, in order of their names.
fn all() -> Vec<Row> {
    let row = |metric: &Metric| -> Row {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        (
            metric.name,
            kind,
            metric.unit.as_str(),
            metric.labels,
            metric.help,
        )
    };
    let mut rows: Vec<Row> = spec::ALL.iter().map(row).collect();
    let unit = spec::FILL_SECONDS.unit.as_str();
    let labels: &[&str] = &remote::LABELS;
    rows.push((
        remote::REMOTE_SECONDS,
        "histogram",
        unit,
        labels,
        remote::HELP,
    ));
    rows.sort_unstable_by_key(|(name, ..)| *name);
    rows
}

fn values(metric: &str, label: &str) -> String {
    let metric = metric.trim_start_matches("pitlane_");
    match (metric, label) {
        (_, "cache") => "the cache's name.".to_owned(),
        (_, "route") => {
            "what `route_label` says, the first 512 of it; `other` beyond; `unmatched` where it says \
             nothing."
                .to_owned()
        }
        ("requests_total", "outcome") => list(Outcome::ALL.iter().map(|one| one.as_str())),
        ("requests_total" | "revalidations_total", "reason") => {
            "one of the [reasons](#reasons).".to_owned()
        }
        ("lookups_total", "tier") => list(["memory", "remote"]),
        ("entries" | "bytes", "tier") => {
            "`memory`. What is in Redis is Redis's to count.".to_owned()
        }
        ("lookups_total", "outcome") => {
            let memory = Reason::ALL.iter().map(|reason| memory_outcome(*reason));
            let remote = RemoteLookup::ALL.into_iter().map(remote_outcome);
            let used: Vec<&str> = memory.chain(remote).collect();
            let known = ["hit", "miss", "unusable", "error"];
            assert!(used.iter().all(|outcome| known.contains(outcome)));
            list(known)
        }
        ("lookups_total", "reason") => {
            let remote = list(RemoteLookup::ALL.iter().map(|one| one.as_str()));
            format!("of memory one of the [reasons](#reasons), of Redis {remote}")
        }
        ("fills_total" | "fill_seconds", _) => list(FillOutcome::ALL.iter().map(|one| one.as_str())),
        ("breaker_state", _) => list([Side::Read, Side::Write].iter().map(|side| side.as_str())),
        ("invalidations_total", "kind") => list(KINDS.iter().map(|kind| kind.as_str())),
        ("invalidations_total", _) => list([APPLIED, QUEUED]),
        ("evictions_total", _) => told(Eviction::ALL.map(|why| (why.as_str(), why.explain()))),
        ("errors_total", _) => told(Trouble::ALL.map(|one| (one.as_str(), one.explain()))),
        ("remote_seconds", "operation") => list(remote::OPERATIONS),
        ("remote_seconds", _) => list(remote::OUTCOMES),
        (_, "method") => list(METHODS.into_iter().chain([OTHER_METHOD])),
        (_, "status") => format!(
            "the number; `{ERROR}` for an error of the inner service, `{DROPPED}` where nobody waited \
             for the answer."
        ),
        (_, "outcome") => {
            let outcomes = Outcome::ALL.iter().map(|one| one.as_str());
            list(outcomes.chain([NO_OUTCOME]))
        }
        unknown => panic!("nobody says what {unknown:?} can be"),
    }
}

fn list<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let values: Vec<String> = values
        .into_iter()
        .map(|value| format!("`{value}`"))
        .collect();
    format!("{}.", values.join(", "))
}

fn told<const N: usize>(values: [(&str, &str); N]) -> String {
    values
        .map(|(value, told)| format!("\n  - `{value}`: {told}"))
        .concat()
}
