//! Lets the hash forget what no entry can be old enough for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::{ClusterHash, CustomCommand, Expiration, SetOptions, Value};
use pitlane_core::LogId;
use tokio::time::sleep;

use super::link::{Link, random};
use super::wire;
use crate::{Failure, Side};

/// How often somebody looks.
const INTERVAL: Duration = Duration::from_secs(600);
/// A pause after each step, so that the walk takes no more than 100 commands a second.
const PAUSE: Duration = Duration::from_millis(20);
const STEP: u32 = 500;

pub(super) async fn clean(link: Arc<Link>) {
    // Nodes that start together don't come together.
    sleep(INTERVAL.mul_f64(0.1 + 0.9 * fraction())).await;
    loop {
        if claim(&link).await.unwrap_or(false)
            && let Err(failure) = sweep(&link).await
        {
            tracing::debug!(%failure, "the hash of the log was not cleaned");
        }
        sleep(INTERVAL).await;
    }
}

/// One walk over the hash.
pub(super) async fn sweep(link: &Link) -> Result<(), Failure> {
    let Some(cutoff) = cutoff(link).await? else {
        return Ok(());
    };
    let mut cursor = String::from("0");
    loop {
        let (next, fields) = scan(link, cursor).await?;
        if let Some(watermark) = link.log.watermark().filter(|_| !fields.is_empty()) {
            let forget = link.calls.forget(watermark.incarnation(), cutoff, fields);
            if forget.await.is_err() {
                return Ok(());
            }
        }
        if next == "0" {
            return Ok(());
        }
        cursor = next;
        sleep(PAUSE).await;
    }
}

/// What lies at or before it can go: older than the longest life of an entry or, when the hash is
/// too full, in the older half of its time.
async fn cutoff(link: &Link) -> Result<Option<LogId>, Failure> {
    let Some(watermark) = link.log.watermark() else {
        return Ok(None);
    };
    let Ok(rows) = link.calls.rows(watermark.incarnation(), &[]).await else {
        return Ok(None);
    };
    let tail = watermark.id().millis;
    let retention = link.settings.retention.as_millis() as u64;
    let now = link.server_time();
    let mut millis = now.saturating_sub(retention);
    if length(link).await? > link.settings.max_tags {
        let middle = rows.floor.millis.midpoint(tail);
        millis = millis.max(middle);
    }
    Ok(Some(LogId {
        millis,
        sequence: 0,
    }))
}

/// Whether this node does it this time.
async fn claim(link: &Link) -> Result<bool, Failure> {
    let key = format!("{}:janitor", link.calls.names.last);
    let half = INTERVAL.as_millis() as i64 / 2;
    let send = move |client: fred::clients::Client| async move {
        let mine = SetOptions::NX;
        let set = client.set::<Option<String>, _, _>(
            key,
            "1",
            Some(Expiration::PX(half)),
            Some(mine),
            false,
        );
        set.await
    };
    let answer = link
        .calls
        .database
        .run(Side::Write, "log.janitor", send)
        .await?;
    Ok(answer.is_some())
}

async fn length(link: &Link) -> Result<u64, Failure> {
    custom(link, "HLEN", vec![link.calls.names.last.clone().into()])
        .await
        .map(|value| value.as_u64().unwrap_or(0))
}

async fn scan(link: &Link, cursor: String) -> Result<(String, Vec<Bytes>), Failure> {
    let arguments = vec![
        link.calls.names.last.clone().into(),
        cursor.into(),
        "COUNT".into(),
        STEP.to_string().into(),
    ];
    let answer = custom(link, "HSCAN", arguments).await?;
    let mut parts = wire::array(answer).unwrap_or_default().into_iter();
    let next = parts.next().and_then(wire::bytes).unwrap_or_default();
    let next = String::from_utf8(next.to_vec()).unwrap_or_else(|_| "0".to_owned());
    let pairs = parts.next().and_then(wire::array).unwrap_or_default();
    // Names and values take turns.
    let fields = pairs.into_iter().step_by(2).filter_map(wire::bytes);
    let next = if next.is_empty() {
        "0".to_owned()
    } else {
        next
    };
    Ok((next, fields.filter(|field| field.len() == 17).collect()))
}

async fn custom(link: &Link, name: &'static str, arguments: Vec<Value>) -> Result<Value, Failure> {
    let send = move |client: fred::clients::Client| async move {
        let command = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
        client.custom::<Value, Value>(command, arguments).await
    };
    link.calls
        .database
        .run(Side::Read, "log.janitor", send)
        .await
}

#[expect(clippy::cast_precision_loss, reason = "any fraction will do")]
fn fraction() -> f64 {
    random() as f64 / u64::MAX as f64
}
