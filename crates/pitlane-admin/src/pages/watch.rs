//! The pages that show what happens.

use std::time::Duration;

use axum::response::Response;
use minijinja::{Value, context};
use pitlane::manage::RecentInvalidation;
use pitlane::stats::{NodeStats, OutcomeCounts, Sample, Series, Window};
use pitlane::{Caches, Outcome};

use super::required;
use super::shell::Shell;
use crate::asked::Asked;
use crate::failure::Failure;
use crate::view::{Chart, Line, Scale, Stretch, bar, told};

/// How long a page waits for what other processes have to say.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How many invalidations the overview shows, and the page about them.
const FEW: u32 = 5;
const MANY: u32 = 100;

pub(super) async fn overview(shell: Shell<'_>, asked: &Asked) -> Result<Response, Failure> {
    let span = Span::read(asked.parameters(&["span"])?.get("span"))?;
    let caches = &shell.shared.caches;
    let node = caches.node_stats();
    let windows = &node.totals.windows;
    let (window, window_text) = match span.window(windows) {
        Some(window) => (window, format!("in the last {}", span.text())),
        None => (&windows.since_start, "since the start".to_owned()),
    };
    let series = &node.totals.series;
    let samples = span.samples(series);
    // In its first minute an hour has no sample of its own.
    let latest = (series.last_five_minutes.iter().rev())
        .chain(series.last_hour.iter().rev())
        .find(|sample| sample.p50_seconds.is_some());
    let stretch = span.stretch(&shell);
    let more = context! {
        span => span.name(),
        span_text => span.text(),
        step_text => span.step(),
        window => told(window),
        window_text => window_text,
        latest => told(latest.cloned().unwrap_or_default()),
        outcomes => outcomes(&window.outcomes),
        ratio => ratio(samples, stretch),
        latency => latency(samples, stretch),
        ..recent(caches, FEW).await
    };
    shell.page(
        "overview",
        "Overview",
        "overview.html",
        of_node(&node, more),
    )
}

pub(super) fn caches(shell: Shell<'_>) -> Result<Response, Failure> {
    let node = shell.shared.caches.node_stats();
    shell.page(
        "caches",
        "Caches",
        "caches.html",
        of_node(&node, context! {}),
    )
}

pub(super) fn cache(shell: Shell<'_>, asked: &Asked) -> Result<Response, Failure> {
    let query = asked.parameters(&["name"])?;
    let name = required(&query, "name")?;
    let node = shell.shared.caches.node_stats();
    let found = node.caches.iter().find(|cache| cache.name == name);
    let cache = found.ok_or_else(|| unknown(&shell.shared.caches, name))?;
    let span = Span::Minutes;
    let more = context! {
        cache => told(cache),
        outcomes => outcomes(&cache.windows.since_start.outcomes),
        ratio => ratio(span.samples(&cache.series), span.stretch(&shell)),
        span_text => span.text(),
        step_text => span.step(),
    };
    shell.page("caches", name, "cache.html", more)
}

pub(super) fn routes(shell: Shell<'_>) -> Result<Response, Failure> {
    let node = shell.shared.caches.node_stats();
    let title = "Routes and reasons";
    shell.page("routes", title, "routes.html", of_node(&node, context! {}))
}

pub(super) async fn activity(shell: Shell<'_>) -> Result<Response, Failure> {
    let caches = &shell.shared.caches;
    let (node, recent) = (caches.node_stats(), recent(caches, MANY).await);
    shell.page(
        "activity",
        "Activity",
        "activity.html",
        of_node(&node, recent),
    )
}

pub(super) fn redis(shell: Shell<'_>) -> Result<Response, Failure> {
    let node = shell.shared.caches.node_stats();
    let title = "Redis and the log";
    shell.page("redis", title, "redis.html", of_node(&node, context! {}))
}

/// Where the others can't be heard, what this node knows of itself is better than nothing.
pub(super) async fn nodes(shell: Shell<'_>) -> Result<Response, Failure> {
    let caches = &shell.shared.caches;
    let node = caches.node_stats();
    let more = match in_time(caches.fleet_stats()).await {
        Ok(fleet) => {
            context! { nodes => told(fleet.nodes), unreadable => told(fleet.unreadable), problem => () }
        }
        Err(problem) => {
            context! { nodes => told([&node]), unreadable => Vec::<()>::new(), problem => problem }
        }
    };
    shell.page("nodes", "Nodes", "nodes.html", of_node(&node, more))
}

/// Waits for so long and no longer, and says in a sentence what went wrong.
pub(super) async fn in_time<T>(
    asking: impl Future<Output = Result<T, pitlane::Error>>,
) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => answer.map_err(|error| format!("{error}.")),
        Err(_) => Err("Redis did not answer in time.".to_owned()),
    }
}

/// An error that lists the caches there are.
pub(super) fn unknown(caches: &Caches, name: &str) -> Failure {
    let error = caches.get(name).err();
    Failure::Unknown(error.map_or_else(String::new, |error| error.to_string()))
}

fn of_node(node: &NodeStats, more: Value) -> Value {
    context! { node => told(node), ..more }
}

async fn recent(caches: &Caches, limit: u32) -> Value {
    let (invalidations, note): (Vec<RecentInvalidation>, _) =
        match in_time(caches.recent_invalidations(limit)).await {
            Ok(recent) => (recent, "Nothing was invalidated yet.".to_owned()),
            Err(problem) => (Vec::new(), problem),
        };
    context! {
        invalidations => told(invalidations),
        invalidations_note => note,
        items_shown => if limit == FEW { 3 } else { 32 },
    }
}

fn outcomes(counts: &OutcomeCounts) -> Value {
    let parts = Outcome::ALL.map(|outcome| (outcome.as_str(), counts.of(outcome)));
    told(bar(parts))
}

/// Hits of all requests but those that the cache had no part in.
fn ratio(samples: &[Sample], stretch: Stretch) -> Value {
    let ratio = |sample: &Sample| {
        let of = sample.requests.saturating_sub(sample.bypasses);
        (of > 0).then(|| share(sample.hits, of))
    };
    let line = Line {
        label: "from the cache",
        class: "hit",
        values: samples.iter().map(ratio).collect(),
    };
    told(Chart::new(
        Scale::Share,
        stretch,
        &moments(samples),
        &[line],
    ))
}

fn latency(samples: &[Sample], stretch: Stretch) -> Value {
    let lines = [
        Line {
            label: "half within",
            class: "p50",
            values: samples.iter().map(|sample| sample.p50_seconds).collect(),
        },
        Line {
            label: "99 of 100 within",
            class: "p99",
            values: samples.iter().map(|sample| sample.p99_seconds).collect(),
        },
    ];
    told(Chart::new(
        Scale::Seconds,
        stretch,
        &moments(samples),
        &lines,
    ))
}

fn moments(samples: &[Sample]) -> Vec<u64> {
    samples.iter().map(|sample| sample.at_ms).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a picture needs no more digits")]
fn share(part: u64, of: u64) -> f64 {
    part as f64 / of as f64
}

/// How far back charts go.
#[derive(Clone, Copy, Debug)]
enum Span {
    Minutes,
    Hour,
}

impl Span {
    fn read(text: &str) -> Result<Self, Failure> {
        match text {
            "" | "minutes" => Ok(Self::Minutes),
            "hour" => Ok(Self::Hour),
            _ => Err(Failure::Query("span is minutes or hour".to_owned())),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Minutes => "minutes",
            Self::Hour => "hour",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Minutes => "5 minutes",
            Self::Hour => "hour",
        }
    }

    /// How long one sample is.
    const fn step(self) -> &'static str {
        match self {
            Self::Minutes => "5 seconds",
            Self::Hour => "minute",
        }
    }

    /// From then until now.
    fn stretch(self, shell: &Shell<'_>) -> Stretch {
        let span = match self {
            Self::Minutes => 5 * 60_000,
            Self::Hour => 60 * 60_000,
        };
        let to_ms = shell.shared.clock.now().as_millis();
        Stretch {
            from_ms: to_ms.saturating_sub(span),
            to_ms,
        }
    }

    const fn window(self, windows: &pitlane::stats::Windows) -> Option<&Window> {
        match self {
            Self::Minutes => windows.last_five_minutes.as_ref(),
            Self::Hour => windows.last_hour.as_ref(),
        }
    }

    fn samples(self, series: &Series) -> &[Sample] {
        match self {
            Self::Minutes => &series.last_five_minutes,
            Self::Hour => &series.last_hour,
        }
    }
}
