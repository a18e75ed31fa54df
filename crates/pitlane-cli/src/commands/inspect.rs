//! `pitlane inspect`: one entry, and whether a hit would use it.

use std::io::{self, Write};
use std::rc::Rc;

use pitlane::manage::{EntryView, StoredView, printable};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;
use crate::text;

#[derive(Serialize)]
struct Document {
    entries: Vec<EntryView>,
}

pub(crate) async fn run(
    session: Rc<Session>,
    output: &Output,
    wanted: &str,
) -> Result<(), Failure> {
    let mut entries = Vec::new();
    for cache in session.chosen() {
        entries.extend(session.caches.entry(cache.name(), wanted).await?);
    }
    if entries.is_empty() {
        let names: Vec<&str> = session.chosen().iter().map(pitlane::Cache::name).collect();
        let wanted = printable(wanted);
        return Err(Failure::failed(format!(
            "nothing is called {wanted} in {}",
            names.join(", ")
        )));
    }
    let document = Document { entries };
    output.give(&document, |out| {
        for entry in &document.entries {
            show(out, entry)?;
        }
        Ok(())
    })
}

fn show(out: &mut dyn Write, entry: &EntryView) -> io::Result<()> {
    writeln!(out, "{}", entry.name)?;
    let mut line = |name: &str, value: &str| writeln!(out, "  {name:<11} {value}");
    line("cache", &entry.cache)?;
    line("kind", entry.kind.as_str())?;
    if let Some(key) = &entry.redis_key {
        line("redis key", key)?;
    }
    if let Some(stored) = &entry.redis {
        show_stored(&mut line, stored)?;
    }
    for other in &entry.others {
        line("also", other)?;
    }
    Ok(())
}

fn show_stored(
    line: &mut dyn FnMut(&str, &str) -> io::Result<()>,
    stored: &StoredView,
) -> io::Result<()> {
    let verdict = &stored.verdict;
    let usable = if verdict.usable { "yes" } else { "no" };
    let reason = verdict.reason.as_deref().unwrap_or(&verdict.state);
    line("usable", &format!("{usable} ({reason})"))?;
    line("", &verdict.sentence)?;
    if let Some(position) = &stored.position {
        let life = if stored.incarnation_is_current {
            ""
        } else {
            " (of another life of the log)"
        };
        line("position", &format!("{position}{life}"))?;
    }
    for (name, seconds) in [
        ("age", stored.age_seconds),
        ("lifetime", stored.lifetime_seconds),
        ("stale for", stored.stale_while_revalidate_seconds),
        ("on error", stored.stale_if_error_seconds),
        ("cost", stored.cost_seconds),
    ] {
        // A window of no time is none.
        if let Some(seconds) = seconds.filter(|seconds| *seconds != 0.0) {
            line(name, &text::span(seconds))?;
        }
    }
    let mut size = text::size(stored.bytes);
    if let (Some(body), Some(compression)) = (stored.body_bytes, &stored.compression) {
        size = format!("{size} in Redis, body {} ({compression})", text::size(body));
    }
    line("size", &size)?;
    for tag in &stored.tags {
        line("tag", &format!("{} {}", tag.kind, tag.name))?;
    }
    for name in &stored.vary {
        line("varies on", name)?;
    }
    if let Some(status) = stored.status {
        line("status", &status.to_string())?;
    }
    for header in &stored.headers {
        let value = header.value.as_deref().unwrap_or("(hidden)");
        line("header", &format!("{}: {value}", header.name))?;
    }
    Ok(())
}
