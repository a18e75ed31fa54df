//! The background work that keeps a node in the log: joining, the heartbeat, catching up, paying
//! what is owed.
//!
//! Nobody else joins, renews or catches up: requests only ask for it and look what became of it,
//! so that a request that is dropped, or never polled again, holds up nothing.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pitlane_core::{Caught, Incarnation, Timestamp, Watermark};
use tokio::time::{sleep, timeout};

use super::calls::{Batch, Checked, Expected, Life, Refused};
use super::link::{BATCH, Link, fresh_incarnation, random};

/// After so many steps without an end a node lets the next heartbeat go on.
const MAX_STEPS: usize = 64;
/// A node that is not in touch with the log tries again after this, if not sooner.
const RETRY: Duration = Duration::from_millis(100);
/// No pause is shorter, whatever is configured.
const LEAST: Duration = Duration::from_millis(1);

/// Nobody knows whether the log was reached.
#[derive(Debug)]
pub(super) struct Unknown;

/// Keeps the node in the log, for ever.
pub(super) async fn keep(link: Arc<Link>) {
    let heartbeat = link.settings.heartbeat.max(LEAST);
    loop {
        let pause = if watched(&link).await.is_ok() {
            link.recovered();
            heartbeat
        } else {
            link.failed();
            heartbeat.min(RETRY)
        };
        link.moved();
        let _ = timeout(pause, link.wake.notified()).await;
    }
}

/// One round. While it takes long somebody has to notice that there is no word from the log.
async fn watched(link: &Link) -> Result<(), Unknown> {
    let gap = link.settings.gap.max(LEAST);
    let mut beat = pin!(beat(link));
    loop {
        match timeout(gap, &mut beat).await {
            Ok(done) => return done,
            Err(_) => link.look_at_lag(),
        }
    }
}

/// One round: afterwards the node has read everything and owes nothing.
async fn beat(link: &Link) -> Result<(), Unknown> {
    if link.log.watermark().is_some() {
        catch_up(link).await?;
    } else {
        join(link).await?;
    }
    pay(link).await
}

/// Brings the node up to the log's tail.
async fn catch_up(link: &Link) -> Result<(), Unknown> {
    for _ in 0..MAX_STEPS {
        let before = link.log.watermark().ok_or(Unknown)?;
        let began = link.now();
        let (life, after) = (before.incarnation(), before.id());
        match link.calls.records(life, after, BATCH).await {
            Ok(batch) => {
                if advance(link, before, &batch, began).await? {
                    return Ok(());
                }
            }
            Err(refused) => return rejoin(link, life, refused).await,
        }
    }
    Err(Unknown)
}

/// Applies what was read after `before`. Says whether the node has reached the tail.
async fn advance(
    link: &Link,
    before: Watermark,
    batch: &Batch,
    began: Timestamp,
) -> Result<bool, Unknown> {
    link.learn_time(batch.checked.time, began);
    let tail = batch.checked.tail;
    let caught = link.log.follow(&batch.records);
    link.moved();
    let now = link.log.watermark().ok_or(Unknown)?;
    if caught == Caught::Up && now.covers(&tail) && tail.covers(&before) {
        if link.log.has_lost_own(batch.first) {
            settle(link, Next::Renew(Expected::This(before.incarnation()))).await?;
        }
        link.confirmed(began);
        return Ok(true);
    }
    if now != before {
        // Somebody else went on meanwhile, or this was only a part.
        return Ok(false);
    }
    let is_there = batch.known == Some(before.nonce);
    let is_trimmed = batch.first > before.id();
    if tail.covers(&before) && (is_there || is_trimmed) {
        // What comes next is gone, or can't be read: not knowing it costs what is in memory.
        link.gaps.fetch_add(1, Ordering::Relaxed);
        tracing::debug!("missed records of the invalidation log; joining again");
        joined(link, &batch.checked, began);
        return Ok(true);
    }
    // The record that the node had read last is not there: the server lost the end of the log.
    settle(link, Next::Renew(Expected::This(before.incarnation()))).await?;
    Ok(true)
}

/// Finds the log's present life after the one that was known turned out to be over.
async fn rejoin(link: &Link, known: Incarnation, refused: Refused) -> Result<(), Unknown> {
    match refused {
        Refused::Failed(failure) => {
            tracing::debug!(%failure, "the invalidation log did not answer");
            Err(Unknown)
        }
        Refused::Other(life) => settle(link, enter(link, &life)).await,
        Refused::Over => settle(link, Next::Renew(Expected::This(known))).await,
    }
}

/// Joins the log as it is; begins it if there is none and that is wanted.
async fn join(link: &Link) -> Result<(), Unknown> {
    let hint = link.calls.hint().await.map_err(|_| Unknown)?;
    if hint.is_none() && link.settings.only_join {
        return Err(Unknown);
    }
    let next = hint.map_or(Next::Renew(Expected::Nothing), Next::Check);
    settle(link, next).await
}

/// A step on the way into the log.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// See whether this life goes on, and join it.
    Check(Incarnation),
    /// Begin a new life in place of this, unless somebody else did so meanwhile.
    Renew(Expected),
}

/// Joins the log's present life, or begins one.
async fn settle(link: &Link, mut next: Next) -> Result<(), Unknown> {
    for _ in 0..MAX_STEPS {
        let began = link.now();
        let answer = match next {
            Next::Check(incarnation) => link.calls.check(incarnation).await,
            Next::Renew(expected) => {
                let renewal = link.calls.renew(fresh_incarnation(), expected, known(link));
                renewal.await
            }
        };
        next = match (answer, next) {
            (Ok(checked), _) => {
                link.incarnations.fetch_add(1, Ordering::Relaxed);
                joined(link, &checked, began);
                return Ok(());
            }
            (Err(Refused::Other(life)), _) => enter(link, &life),
            (Err(Refused::Over), Next::Check(incarnation)) => {
                Next::Renew(Expected::This(incarnation))
            }
            (Err(Refused::Over | Refused::Failed(_)), _) => return Err(Unknown),
        };
    }
    Err(Unknown)
}

/// How to enter a life of the log that somebody else began. Only one that came after the life
/// that this node knew may be joined: a server that was left behind still has an earlier one.
fn enter(link: &Link, life: &Life) -> Next {
    let follows = |known| known == life.incarnation || life.older.contains(&known);
    if known(link).is_none_or(follows) {
        Next::Check(life.incarnation)
    } else {
        Next::Renew(Expected::This(life.incarnation))
    }
}

fn known(link: &Link) -> Option<Incarnation> {
    link.log.watermark().map(|known| known.incarnation())
}

fn joined(link: &Link, checked: &Checked, began: Timestamp) {
    link.learn_time(checked.time, began);
    link.log.join(checked.tail, link.now());
    link.confirmed(began);
    link.joined.notify_waiters();
    link.moved();
}

/// Appends what the node owes, oldest first.
async fn pay(link: &Link) -> Result<(), Unknown> {
    let _turn = link.paying.lock().await;
    if link.log.has_overflowed() {
        let until = link.log.begin_renewal();
        let renewed = settle(link, Next::Renew(Expected::Whatever)).await;
        link.log.end_renewal(until, renewed.is_ok());
        renewed?;
    }
    let mut refusals = 0;
    while let Some(debt) = link.log.debt() {
        let life = known(link).ok_or(Unknown)?;
        let record = (*debt.record).clone();
        match link.calls.append(life, random(), record).await {
            Ok(logged) => {
                if !link.log.appended(&logged, Some(debt.local), link.now()) {
                    return Err(Unknown);
                }
                let known = link.log.watermark();
                if known.is_none_or(|known| !known.covers(&logged.at)) {
                    catch_up(link).await?;
                }
            }
            Err(_) if refusals == MAX_STEPS => return Err(Unknown),
            Err(refused) => {
                refusals += 1;
                rejoin(link, life, refused).await?;
            }
        }
    }
    Ok(())
}

/// Waits until the node has joined.
pub(super) async fn until_joined(link: &Link) -> Watermark {
    loop {
        let joined = link.joined.notified();
        if let Some(watermark) = link.log.watermark() {
            return watermark;
        }
        let _ = timeout(link.settings.heartbeat, joined).await;
        sleep(LEAST).await;
    }
}
