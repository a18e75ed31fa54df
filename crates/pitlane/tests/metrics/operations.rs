//! The dashboard and the alerts of the manual name nothing that isn't told.

mod promql;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use promql::{Matcher, Query};

use crate::contract::PROMISED;

/// Labels that Prometheus adds to every series.
const ADDED: [&str; 2] = ["job", "instance"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operations")
}

fn read(path: &str) -> String {
    fs::read_to_string(folder().join(path)).unwrap()
}

/// The alerts: names, and queries.
fn alerts() -> Vec<(String, String)> {
    let text = read("prometheus/pitlane-alerts.yml");
    let lines: Vec<&str> = text.lines().collect();
    let mut alerts = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if let Some(name) = line.trim().strip_prefix("- alert: ") {
            let (said, rest) = lines[at + 1].split_once("expr: ").unwrap();
            let expression = if rest == "|" {
                let deeper = |line: &&&str| line.starts_with(&format!("{said}  "));
                let block = lines[at + 2..].iter().take_while(deeper);
                block.copied().collect::<Vec<_>>().join("\n")
            } else {
                rest.to_owned()
            };
            alerts.push((name.to_owned(), expression));
        }
    }
    assert!(alerts.len() >= 8, "{alerts:?}");
    alerts
}

/// The panels of the dashboard: titles, and queries.
fn panels() -> Vec<(String, Vec<String>)> {
    let dashboard: Value = serde_json::from_str(&read("grafana/pitlane.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let shown = panels.iter().filter(|panel| panel["type"] != "row");
    let panel = |panel: &Value| {
        let targets = panel["targets"].as_array().unwrap().iter();
        let queries = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
        (
            panel["title"].as_str().unwrap().to_owned(),
            queries.collect(),
        )
    };
    shown.map(panel).collect()
}

/// Every query there is, with where it stands.
fn queries() -> Vec<(String, String)> {
    let panels = panels().into_iter().flat_map(|(title, queries)| {
        let queries = queries.into_iter();
        queries.map(move |query| (title.clone(), query))
    });
    alerts().into_iter().chain(panels).collect()
}

/// The values that a label can have by the reference, which other tests compare with the code;
/// `None` where anybody may choose them.
fn values(metric: &str, label: &str) -> Option<BTreeSet<String>> {
    let page = read("../reference/metrics.md");
    let (_, section) = page.split_once(&format!("\n## `{metric}`\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let (_, said) = section.split_once(&format!("\n- `{label}`:")).unwrap();
    let said = said.split("\n- `").next().unwrap();
    let mut values: BTreeSet<String> = if said.contains("(#reasons)") {
        let (_, table) = page.split_once("\n## Reasons\n").unwrap();
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.filter_map(|row| Some(row.split('`').next()?.to_owned()))
            .collect()
    } else {
        BTreeSet::new()
    };
    values.extend(said.split('`').skip(1).step_by(2).map(str::to_owned));
    let is_free = label == "cache" || label == "route";
    (!is_free).then_some(values)
}

/// What is told under that name: a histogram is told in three parts.
fn told(name: &str) -> Option<(&'static str, BTreeSet<&'static str>)> {
    PROMISED.iter().find_map(|(metric, labels, _)| {
        let mut labels: BTreeSet<&str> = labels.iter().copied().chain(ADDED).collect();
        if name == *metric {
            return (!is_histogram(metric)).then_some((*metric, labels));
        }
        let part = name.strip_prefix(metric).filter(|_| is_histogram(metric))?;
        if part == "_bucket" {
            labels.insert("le");
        }
        let known = ["_bucket", "_sum", "_count"].contains(&part);
        known.then_some((*metric, labels))
    })
}

fn is_histogram(metric: &str) -> bool {
    let row = format!("| `{metric}` | histogram |");
    read("../reference/metrics.md").contains(&row)
}

fn check(place: &str, text: &str) -> Result<(), String> {
    let query = Query::read(text)?;
    if query.selectors.is_empty() {
        return Err(format!("{place}: no metric in {text}"));
    }
    let mut grouped: BTreeSet<&str> = query.grouped.iter().map(String::as_str).collect();
    for selector in &query.selectors {
        let name = &selector.metric;
        let (metric, labels) = told(name).ok_or(format!("{place}: nobody tells {name}"))?;
        grouped.retain(|label| !labels.contains(label));
        for Matcher {
            label,
            values: named,
        } in &selector.matchers
        {
            if !labels.contains(label.as_str()) {
                return Err(format!("{place}: {name} has no label {label}"));
            }
            if ADDED.contains(&label.as_str()) || label == "le" {
                continue;
            }
            let Some(known) = values(metric, label) else {
                continue;
            };
            let strange = named.iter().find(|value| !known.contains(*value));
            if let Some(value) = strange {
                return Err(format!("{place}: {name} is never {label}={value}"));
            }
        }
    }
    if let Some(label) = grouped.first() {
        return Err(format!("{place}: grouped by {label}, which nothing has"));
    }
    Ok(())
}

#[test]
fn every_metric_label_and_value_that_is_asked_for_is_told() {
    for (place, query) in queries() {
        check(&place, &query).unwrap();
    }
}

#[test]
fn what_nobody_tells_is_found_out() {
    for (query, says) in [
        ("rate(pitlane_request_total[5m])", "nobody tells"),
        ("pitlane_fill_seconds > 1", "nobody tells"),
        ("pitlane_log_queue_count", "nobody tells"),
        ("pitlane_breaker_state{cache=\"api\"}", "has no label cache"),
        (
            "pitlane_requests_total{outcome=~\"hit|hits\"}",
            "is never outcome=hits",
        ),
        (
            "pitlane_requests_total{reason!=\"cookies\"}",
            "is never reason=cookies",
        ),
        ("sum by (tier) (pitlane_requests_total)", "grouped by tier"),
        ("summ(pitlane_log_queue)", "summ"),
        ("1 > 0", "no metric"),
    ] {
        let error = check("a test", query).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn every_panel_asks_for_something_and_every_metric_is_shown() {
    let panels = panels();
    assert!(panels.len() >= 15);
    let mut shown = BTreeSet::new();
    for (title, queries) in &panels {
        assert!(!queries.is_empty(), "{title} asks for nothing");
        for query in queries {
            let query = Query::read(query).unwrap();
            let names = query.selectors.iter().filter_map(|one| told(&one.metric));
            shown.extend(names.map(|(metric, _)| metric));
        }
    }
    let promised: BTreeSet<_> = PROMISED.iter().map(|(name, ..)| *name).collect();
    assert_eq!(shown, promised);
}

#[test]
fn the_dashboard_finds_its_way_to_any_data_source_and_its_panels_lie_apart() {
    let dashboard: Value = serde_json::from_str(&read("grafana/pitlane.json")).unwrap();
    let mut ids = BTreeSet::new();
    let mut places = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let at = &panel["gridPos"];
        let number = |name: &str| at[name].as_u64().unwrap();
        for x in number("x")..number("x") + number("w") {
            assert!(x < 24, "{at}");
            for y in number("y")..number("y") + number("h") {
                assert!(places.insert((x, y)), "two panels at {x}, {y}");
            }
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}");
            assert!(panel["description"].as_str().unwrap().ends_with('.'));
        }
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<_> = variables.iter().map(|one| one["name"].as_str()).collect();
    let expected = ["datasource", "job", "instance", "cache"];
    assert_eq!(names, expected.map(Some));
}

#[test]
fn every_alert_has_a_history_that_proves_it_and_a_page_that_says_what_to_do() {
    let (histories, manual) = (
        read("prometheus/pitlane-alerts.test.yml"),
        read("monitoring.md"),
    );
    for (name, _) in alerts() {
        let asked = format!("alertname: {name}\n        exp_alerts:\n");
        assert!(histories.contains(&asked), "{name} never fires in a test");
        let quiet = format!("alertname: {name}\n        exp_alerts: []\n");
        assert!(
            histories.contains(&quiet),
            "{name} is never quiet in a test"
        );
        assert!(manual.contains(&format!("\n### {name}\n")), "{name}");
    }
}

#[test]
fn prometheus_takes_the_rules_and_they_fire_as_their_histories_say() {
    promtool(&["check", "rules", "pitlane-alerts.yml"]);
    promtool(&["test", "rules", "pitlane-alerts.test.yml"]);
}

#[test]
fn prometheus_takes_every_query_of_the_dashboard() {
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    for (number, (_, query)) in queries().iter().enumerate() {
        let query = query.replace("$__rate_interval", "5m").replace('\n', " ");
        rules += &format!("      - record: query:{number}\n        expr: >-\n          {query}\n");
    }
    let file = std::env::temp_dir().join(format!("pitlane-queries-{}.yml", std::process::id()));
    fs::write(&file, rules).unwrap();
    let checked = run(&["check", "rules", file.to_str().unwrap()]);
    fs::remove_file(&file).unwrap();
    assert_well(&checked);
}

fn promtool(arguments: &[&str]) {
    assert_well(&run(arguments));
}

fn run(arguments: &[&str]) -> Output {
    let promtool = Command::new("promtool")
        .args(arguments)
        .current_dir(folder().join("prometheus"))
        .output();
    promtool.expect("promtool, of Debian's package prometheus: `cargo xtask test` installs it")
}

#[track_caller]
fn assert_well(output: &Output) {
    let (said, error) = (&output.stdout, &output.stderr);
    let said = [said.as_slice(), error.as_slice()].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}
