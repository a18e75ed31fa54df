//! `pitlane test`: whether each cache works.

use std::rc::Rc;

use pitlane::manage::CheckReport;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;
use crate::text;

#[derive(Serialize)]
struct Document {
    ok: bool,
    caches: Vec<CheckReport>,
}

pub(crate) async fn run(session: Rc<Session>, output: &Output) -> Result<(), Failure> {
    let mut caches = Vec::new();
    for cache in session.chosen() {
        caches.push(session.caches.check(cache.name()).await?);
    }
    let ok = caches.iter().all(|report| report.ok);
    let document = Document { ok, caches };
    output.give(&document, |out| {
        for report in &document.caches {
            writeln!(out, "{}", report.cache)?;
            for step in &report.steps {
                let time = step.seconds.map(text::span).unwrap_or_default();
                let detail = text::harmless(step.detail.as_deref().unwrap_or_default());
                let line = format!(
                    "  {:<7} {:<14} {time:>9}  {detail}",
                    step.name, step.outcome
                );
                writeln!(out, "{}", line.trim_end())?;
            }
        }
        Ok(())
    })?;
    match document.caches.iter().find_map(trouble) {
        Some(trouble) => Err(Failure::failed(trouble + &session.why())),
        None => Ok(()),
    }
}

fn trouble(report: &CheckReport) -> Option<String> {
    let step = report.steps.iter().find(|step| step.outcome == "failed")?;
    let detail = step.detail.as_deref().unwrap_or_default();
    Some(format!(
        "the cache {} failed at {}: {detail}",
        report.cache, step.name
    ))
}
