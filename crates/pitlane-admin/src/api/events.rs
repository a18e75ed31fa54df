//! `GET api/events`: what happens, as it happens (server-sent events).
//!
//! `stats` comes at once and then every two seconds, with what `GET api/stats` says; `breaker`
//! when a side of the circuit to Redis opens or closes; `invalidation` for each one on any node, or
//! for the latest 256 of them, and then `skipped` before these.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http_body_util::channel::{Channel, Sender};
use pitlane::Caches;
use pitlane::manage::RecentInvalidation;
use pitlane_redis::{CircuitBrokenRedis, Side};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::MissedTickBehavior;

use super::stats::Stats;
use crate::admin::Shared;
use crate::failure::Failure;

/// How often the numbers are sent.
const EVERY: Duration = Duration::from_secs(2);
/// How long a reader that has stopped reading is waited for, and Redis.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many invalidations are looked at, and where that does not go back to the last look, so many:
/// no more are told of at once.
const LOOKS: [u32; 2] = [16, 256];
/// How long a browser waits before it connects again, in milliseconds.
const RETRY: &str = "retry: 3000\n\n";
/// So many events may wait for a slow reader; then the stream waits for it.
const WAITING: usize = 4;

/// There were more invalidations than those that are told of: how many is not known.
#[derive(Debug, Serialize)]
struct Skipped {
    told: usize,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Breaker {
    read: &'static str,
    write: &'static str,
}

impl Breaker {
    fn of(redis: &CircuitBrokenRedis) -> Self {
        Self {
            read: redis.state(Side::Read).as_str(),
            write: redis.state(Side::Write).as_str(),
        }
    }
}

/// A stream that lasts until its reader leaves, or `is_welcome` says no: whoever signs out sees
/// no more.
pub(crate) fn stream(
    shared: &Shared,
    is_welcome: impl Fn() -> bool + Send + 'static,
) -> Result<Response, Failure> {
    let permit = Arc::clone(&shared.streams).try_acquire_owned();
    let permit = permit.map_err(|_| Failure::TooManyStreams)?;
    let (sender, body) = Channel::<Bytes>::new(WAITING);
    let telling = tell(shared.caches.clone(), sender, is_welcome, permit);
    let stopping = shared.stopping.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = telling => {}
            () = end(stopping) => {}
        }
    });
    let mut response = Response::new(Body::new(body));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

/// When the server is to end, if anybody tells.
async fn end(stopping: Option<watch::Receiver<bool>>) {
    match stopping {
        // Nobody is left who could say so: then it is over as well.
        Some(mut stopping) => drop(stopping.wait_for(|stopping| *stopping).await),
        None => std::future::pending().await,
    }
}

async fn tell(
    caches: Caches,
    mut sender: Sender<Bytes>,
    is_welcome: impl Fn() -> bool + Send + 'static,
    permit: OwnedSemaphorePermit,
) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut breaker = None;
    let mut seen = None;
    let mut text = RETRY.to_owned();
    loop {
        ticks.tick().await;
        if !is_welcome() {
            break;
        }
        let now = caches.redis().map(Breaker::of);
        if now != breaker {
            push(&mut text, "breaker", &now);
            breaker = now;
        }
        let (new, is_all) = news(&caches, &mut seen).await;
        if !is_all {
            push(&mut text, "skipped", &Skipped { told: new.len() });
        }
        for one in new {
            push(&mut text, "invalidation", &one);
        }
        push(&mut text, "stats", &Stats::of(&caches));
        // The reader has left, or has stopped reading: nobody else is told by this task.
        let sent = sender.send_data(std::mem::take(&mut text).into());
        if !matches!(tokio::time::timeout(PATIENCE, sent).await, Ok(Ok(()))) {
            break;
        }
    }
    drop(permit);
}

/// What was invalidated since the last look, the oldest first, and whether that is all of it;
/// nothing at the first one.
async fn news(caches: &Caches, seen: &mut Option<String>) -> (Vec<RecentInvalidation>, bool) {
    for look in LOOKS {
        let asking = tokio::time::timeout(PATIENCE, caches.recent_invalidations(look)).await;
        let Ok(Ok(recent)) = asking else {
            break;
        };
        let is_long = recent.len() >= look as usize;
        let last = recent.first().map(|one| one.position.clone());
        let Some(before) = seen.as_ref() else {
            *seen = Some(last.unwrap_or_default());
            break;
        };
        let known = recent.iter().position(|one| one.position == *before);
        let is_all = known.is_some() || !is_long;
        if is_all || LOOKS.last() == Some(&look) {
            *seen = Some(last.unwrap_or_default());
            let new = recent.into_iter().take(known.unwrap_or(usize::MAX));
            let mut new: Vec<_> = new.collect();
            new.reverse();
            return (new, is_all);
        }
    }
    (Vec::new(), true)
}

/// JSON of one line, so that no value can end the event or begin another.
fn push(text: &mut String, event: &str, value: &impl Serialize) {
    if let Ok(json) = serde_json::to_string(value) {
        text.push_str(&format!("event: {event}\ndata: {json}\n\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn invalidate(caches: &Caches, range: std::ops::Range<u32>) {
        for number in range {
            let _ = caches.invalidate([format!("tag:{number}")]).await.unwrap();
        }
    }

    #[tokio::test]
    async fn every_invalidation_is_told_of_unless_there_are_more_than_anybody_reads() {
        let caches = Caches::builder().cache("pages").build().unwrap();
        let mut seen = None;
        invalidate(&caches, 0..1).await;
        for (many, told, is_all) in [
            (3, 0, true),
            (0, 0, true),
            (16, 16, true),
            (100, 100, true),
            (300, 256, false),
            (1, 1, true),
        ] {
            invalidate(&caches, 0..many).await;
            let (new, all) = news(&caches, &mut seen).await;
            assert_eq!((new.len(), all), (told, is_all), "of {many}");
            assert!(new.is_sorted_by_key(|one| one.at_ms), "the oldest is first");
            if let Some(last) = new.last() {
                assert_eq!(seen.as_deref(), Some(&*last.position));
            }
        }
    }
}
