//! The background work that keeps a node in the log: joining, the heartbeat, catching up, paying
//! what is owed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pitlane_core::{Caught, Incarnation, Watermark};
use tokio::time::{sleep, timeout};

use super::calls::{Batch, Checked, Expected, Refused};
use super::link::{BATCH, Link, fresh_incarnation, random};

/// After so many steps without an end a node lets the next heartbeat go on.
const MAX_STEPS: usize = 64;

/// Nobody knows whether the log was reached.
#[derive(Debug)]
pub(super) struct Unknown;

/// Keeps the node in the log, for ever.
pub(super) async fn keep(link: Arc<Link>) {
    loop {
        if beat(&link).await.is_ok() {
            link.recovered();
        } else {
            link.failed();
        }
        let _ = timeout(link.settings.heartbeat, link.wake.notified()).await;
    }
}

/// One round: afterwards the node has read everything and owes nothing.
async fn beat(link: &Link) -> Result<(), Unknown> {
    let Some(watermark) = link.log.watermark() else {
        join(link, None).await?;
        return pay(link).await;
    };
    let began = link.now();
    match link.calls.check(watermark.incarnation()).await {
        Ok(checked) => {
            link.learn_time(checked.time, began);
            let lost = !checked.tail.covers(&watermark);
            let known = link.log.watermark();
            if lost || known.is_none_or(|known| !known.covers(&checked.tail)) {
                catch_up(link, checked.tail, lost).await?;
            }
            link.confirmed(began);
        }
        Err(refused) => rejoin(link, watermark.incarnation(), refused).await?,
    }
    pay(link).await
}

/// Brings the node up to `tail` at least, together with whoever else wants that. `lost` says that
/// the tail lies before what the node had read already.
pub(super) async fn catch_up(link: &Link, tail: Watermark, lost: bool) -> Result<(), Unknown> {
    let _turn = link.catching.lock().await;
    for _ in 0..MAX_STEPS {
        let Some(before) = link.log.watermark() else {
            return Err(Unknown);
        };
        if before.covers(&tail) && !lost {
            return Ok(());
        }
        let batch = link
            .calls
            .records(before.incarnation(), before.id(), BATCH)
            .await;
        match batch {
            Ok(batch) => {
                if advance(link, before, &batch).await? {
                    return Ok(());
                }
            }
            Err(refused) => {
                rejoin(link, before.incarnation(), refused).await?;
                return Ok(());
            }
        }
    }
    Err(Unknown)
}

/// Applies what was read after `before`. Says whether the node has reached the tail.
async fn advance(link: &Link, before: Watermark, batch: &Batch) -> Result<bool, Unknown> {
    let caught = link.log.follow(&batch.records);
    let now = link.log.watermark().ok_or(Unknown)?;
    if caught == Caught::Up && now.covers(&batch.tail) && batch.tail.covers(&before) {
        if link.log.has_lost_own(batch.first) {
            renew(link, Expected::This(before.incarnation())).await?;
        }
        return Ok(true);
    }
    if now != before {
        // Somebody else went on meanwhile, or this was only a part.
        return Ok(false);
    }
    if batch.first > before.id() && batch.tail.covers(&before) {
        // Trimmed: what was in between is not known, which costs what is in memory.
        link.gaps.fetch_add(1, Ordering::Relaxed);
        tracing::debug!("missed records of the invalidation log; joining again");
        link.log.join(batch.tail, link.now());
        link.joined.notify_waiters();
        return Ok(true);
    }
    // The record that the node had read last is not there: the server lost the end of the log.
    renew(link, Expected::This(before.incarnation())).await?;
    Ok(true)
}

/// Finds the log's present life after the one that was known turned out to be over.
async fn rejoin(link: &Link, known: Incarnation, refused: Refused) -> Result<(), Unknown> {
    match refused {
        Refused::Failed(failure) => {
            tracing::debug!(%failure, "the invalidation log did not answer");
            Err(Unknown)
        }
        Refused::Other(other) => join(link, Some(other)).await,
        Refused::Over => renew(link, Expected::This(known)).await,
    }
}

/// Joins the log as it is; begins it if there is none.
async fn join(link: &Link, hint: Option<Incarnation>) -> Result<(), Unknown> {
    let hint = match hint {
        Some(hint) => Some(hint),
        None => link.calls.hint().await.map_err(|_| Unknown)?,
    };
    let Some(incarnation) = hint else {
        return renew(link, Expected::Nothing).await;
    };
    let began = link.now();
    match link.calls.check(incarnation).await {
        Ok(checked) => {
            joined(link, checked, began);
            Ok(())
        }
        Err(Refused::Over) => renew(link, Expected::This(incarnation)).await,
        // It changed just now: the next round sees what it is.
        Err(_) => Err(Unknown),
    }
}

/// Begins a new life of the log in place of `expected`, unless somebody else did so meanwhile:
/// then the node joins theirs.
async fn renew(link: &Link, expected: Expected) -> Result<(), Unknown> {
    let mut expected = expected;
    for _ in 0..MAX_STEPS {
        let began = link.now();
        let refused = match link
            .calls
            .renew(fresh_incarnation(), expected, random())
            .await
        {
            Ok(checked) => {
                tracing::info!("began a new life of the invalidation log");
                joined(link, checked, began);
                return Ok(());
            }
            Err(Refused::Other(other)) => match link.calls.check(other).await {
                Ok(checked) => {
                    joined(link, checked, began);
                    return Ok(());
                }
                Err(Refused::Over) => {
                    expected = Expected::This(other);
                    continue;
                }
                Err(refused) => refused,
            },
            Err(refused) => refused,
        };
        if !matches!(refused, Refused::Other(_)) {
            return Err(Unknown);
        }
    }
    Err(Unknown)
}

fn joined(link: &Link, checked: Checked, began: pitlane_core::Timestamp) {
    link.learn_time(checked.time, began);
    link.log.join(checked.tail, link.now());
    link.incarnations.fetch_add(1, Ordering::Relaxed);
    link.confirmed(began);
    link.joined.notify_waiters();
}

/// Appends what the node owes, oldest first.
async fn pay(link: &Link) -> Result<(), Unknown> {
    if link.log.has_overflowed() {
        let until = link.log.begin_renewal();
        let renewed = renew(link, Expected::Whatever).await;
        link.log.end_renewal(until, renewed.is_ok());
        renewed?;
    }
    while let Some(debt) = link.log.debt() {
        let watermark = link.log.watermark().ok_or(Unknown)?;
        let record = (*debt.record).clone();
        let appended = link
            .calls
            .append(watermark.incarnation(), random(), record)
            .await;
        match appended {
            Ok(logged) => {
                if !link.log.appended(&logged, Some(debt.local), link.now()) {
                    return Err(Unknown);
                }
                if link
                    .log
                    .watermark()
                    .is_none_or(|known| !known.covers(&logged.at))
                {
                    catch_up(link, logged.at, false).await?;
                }
            }
            Err(refused) => rejoin(link, watermark.incarnation(), refused).await?,
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
        sleep(std::time::Duration::from_millis(1)).await;
    }
}
