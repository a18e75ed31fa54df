//! `pitlane warm`: asks a server for pages before visitors do.

mod pages;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::arguments::{Place, Warm};
use crate::client::{Base, Client, Page, parse_header};
use crate::failure::Failure;
use crate::output::Output;
use crate::text;

/// A page is no longer, in bytes.
const LONGEST_PAGE: usize = 64 << 20;
/// How many pages that failed are named.
const NAMED: usize = 20;

#[derive(Default, Serialize)]
struct Document {
    requested: u64,
    /// Answered from a cache.
    hits: u64,
    /// Answered by the handler, and stored.
    stored: u64,
    /// Answered, and neither: what a cache has no part in.
    not_stored: u64,
    failed: u64,
    seconds: f64,
    /// The first 20 that failed.
    failures: Vec<Failed>,
    /// What of the list is no page.
    not_understood: u64,
}

#[derive(Serialize)]
struct Failed {
    page: String,
    why: String,
}

/// What became of one page.
enum Fate {
    Hit,
    Stored,
    NotStored,
    Failed(String),
}

pub(crate) async fn run(place: &Place, output: &Output, arguments: &Warm) -> Result<(), Failure> {
    let target = Base::parse("--target", &arguments.target)?;
    let headers = arguments.headers.iter().map(|text| parse_header(text));
    let headers = headers.collect::<Result<Vec<_>, _>>()?;
    let client = Client::new();
    let wanted = pages::wanted(place, arguments, &client, &target).await?;
    let began = Instant::now();
    let mut document = Document {
        not_understood: wanted.not_understood,
        ..Document::default()
    };
    let bar = progress(wanted.pages.len());
    let asking = Asking {
        client,
        target,
        headers,
    };
    ask_all(&asking, wanted.pages, arguments, |page, fate| {
        document.note(&page, fate);
        bar.inc(1);
    })
    .await;
    bar.finish_and_clear();
    document.seconds = began.elapsed().as_secs_f64();
    output.give(&document, |out| {
        writeln!(
            out,
            "{} in {}: {} stored, {} there already, {} not stored, {} failed",
            text::count(document.requested, "page", "pages"),
            text::span(document.seconds),
            document.stored,
            document.hits,
            document.not_stored,
            document.failed
        )?;
        for failed in &document.failures {
            writeln!(out, "{}: {}", failed.page, failed.why)?;
        }
        if document.not_understood > 0 {
            writeln!(
                out,
                "{} no page",
                text::count(document.not_understood, "line is", "lines are")
            )?;
        }
        Ok(())
    })?;
    if document.failed > 0 {
        let (failed, all) = (document.failed, document.requested);
        return Err(Failure::failed(format!("{failed} of {all} pages failed")));
    }
    Ok(())
}

/// Shown on standard error, and only where that is a terminal.
fn progress(pages: usize) -> ProgressBar {
    let bar = ProgressBar::new(pages as u64);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

#[derive(Clone)]
struct Asking {
    client: Client,
    target: Base,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Begins at most `rate` requests a second, and has at most `concurrency` of them on their way.
async fn ask_all(
    asking: &Asking,
    pages: Vec<Page>,
    arguments: &Warm,
    mut done: impl FnMut(Page, Fate),
) {
    let mut ticks = interval(Duration::from_secs(1) / arguments.rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let limit = usize::try_from(arguments.concurrency).unwrap_or(1);
    let mut running = JoinSet::new();
    for page in pages {
        while running.len() >= limit {
            finish(&mut running, &mut done).await;
        }
        ticks.tick().await;
        let asking = asking.clone();
        running.spawn(async move {
            let fate = asking.ask(&page).await;
            (page, fate)
        });
    }
    while !running.is_empty() {
        finish(&mut running, &mut done).await;
    }
}

async fn finish(running: &mut JoinSet<(Page, Fate)>, done: &mut impl FnMut(Page, Fate)) {
    if let Some(Ok((page, fate))) = running.join_next().await {
        done(page, fate);
    }
}

impl Asking {
    async fn ask(&self, page: &Page) -> Fate {
        let Some(request) = page.request(&self.target, &self.headers) else {
            return Fate::Failed("it can't be asked for".to_owned());
        };
        match self.client.send(request, LONGEST_PAGE).await {
            Ok(answer) => fate(&answer),
            Err(why) => Fate::Failed(why),
        }
    }
}

/// What the caches on the way say of an answer (RFC 9211).
fn fate(answer: &Response<Bytes>) -> Fate {
    let status = answer.status();
    if status.is_client_error() || status.is_server_error() {
        return Fate::Failed(format!("it is answered with {status}"));
    }
    let said = answer.headers().get_all("cache-status").iter();
    let said: Vec<&str> = said.filter_map(|value| value.to_str().ok()).collect();
    let parameters = || {
        said.iter()
            .flat_map(|value| value.split([';', ',']))
            .map(str::trim)
    };
    if parameters().any(|parameter| parameter == "hit") {
        Fate::Hit
    } else if parameters().any(|parameter| parameter == "stored") {
        Fate::Stored
    } else {
        Fate::NotStored
    }
}

impl Document {
    fn note(&mut self, page: &Page, fate: Fate) {
        self.requested += 1;
        match fate {
            Fate::Hit => self.hits += 1,
            Fate::Stored => self.stored += 1,
            Fate::NotStored => self.not_stored += 1,
            Fate::Failed(why) => {
                self.failed += 1;
                if self.failures.len() < NAMED {
                    self.failures.push(Failed {
                        page: text::harmless(&page.shown()),
                        why: text::harmless(&why),
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, said: &[&str], expected: &str) {
        let mut answer = Response::builder().status(status);
        for value in said {
            answer = answer.header("cache-status", *value);
        }
        let found = match fate(&answer.body(Bytes::new()).unwrap()) {
            Fate::Hit => "hit",
            Fate::Stored => "stored",
            Fate::NotStored => "not stored",
            Fate::Failed(_) => "failed",
        };
        assert_eq!(found, expected, "{status} {said:?}");
    }

    #[test]
    fn what_caches_say_is_counted() {
        check(200, &["pitlane; hit; ttl=5"], "hit");
        check(200, &["pitlane; fwd=uri-miss; stored"], "stored");
        check(
            200,
            &["origin; fwd=miss", "pitlane; fwd=uri-miss; stored"],
            "stored",
        );
        check(200, &["pitlane; fwd=bypass; detail=cookie"], "not stored");
        check(200, &["x; detail=hit-for-miss"], "not stored");
        check(200, &[], "not stored");
        check(503, &["pitlane; fwd=miss"], "failed");
        check(404, &["pitlane; hit"], "failed");
        check(301, &["pitlane; fwd=miss; stored"], "stored");
    }
}
