//! `GET api/events`: what happens, as it happens (server-sent events).
//!
//! `stats` comes at once and then every two seconds, with what `GET api/stats` says; `breaker`
//! when a side of the circuit to Redis opens or closes; `invalidation` for each one on any node.

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
/// As many invalidations are told of at once.
const TOLD: u32 = 16;
/// How long a browser waits before it connects again, in milliseconds.
const RETRY: &str = "retry: 3000\n\n";
/// So many events may wait for a slow reader; then the stream waits for it.
const WAITING: usize = 4;

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
        for one in news(&caches, &mut seen).await {
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

/// What was invalidated since the last look, the oldest first; nothing at the first one.
async fn news(caches: &Caches, seen: &mut Option<String>) -> Vec<RecentInvalidation> {
    let asking = tokio::time::timeout(PATIENCE, caches.recent_invalidations(TOLD)).await;
    let Ok(Ok(recent)) = asking else {
        return Vec::new();
    };
    let last = recent.first();
    let last = last.map_or_else(String::new, |one| one.position.clone());
    let Some(before) = seen.replace(last) else {
        return Vec::new();
    };
    let new = recent.into_iter().take_while(|one| one.position != before);
    let mut new: Vec<_> = new.collect();
    new.reverse();
    new
}

/// JSON of one line, so that no value can end the event or begin another.
fn push(text: &mut String, event: &str, value: &impl Serialize) {
    if let Ok(json) = serde_json::to_string(value) {
        text.push_str(&format!("event: {event}\ndata: {json}\n\n"));
    }
}
