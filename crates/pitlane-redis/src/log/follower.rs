//! Reads records as they come, with a reading that blocks, on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use fred::interfaces::StreamsInterface;
use fred::types::Value;
use pitlane_core::{Caught, Logged, Watermark};
use tokio::time::{Instant, sleep};

use super::eviction;
use super::keeper::until_joined;
use super::link::{BATCH, Link};
use super::wire;
use crate::Dedicated;

/// How long one reading waits for a record.
const BLOCK: Duration = Duration::from_secs(1);
/// When the answer to it counts as lost.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// A pause after a failure: the heartbeat, which has another connection, finds what is missed.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn follow(link: Arc<Link>, connection: Dedicated) {
    until_joined(&link).await;
    eviction::warn(&connection).await;
    loop {
        let before = until_joined(&link).await;
        let began = Instant::now();
        let caught = match read(&link, &connection, before).await {
            Some(records) => link.log.follow(&records),
            None => Caught::Gap,
        };
        if caught == Caught::Gap {
            link.wake.notify_one();
        }
        if link.log.watermark() != Some(before) {
            link.moved();
        } else if caught == Caught::Gap || began.elapsed() < BLOCK / 2 {
            // An answer that came at once and brought nothing would come at once again.
            sleep(PAUSE).await;
        }
    }
}

/// The records after `watermark`; none when nothing came, `None` when something went wrong.
async fn read(link: &Link, connection: &Dedicated, watermark: Watermark) -> Option<Vec<Logged>> {
    let key = link.calls.names.log.clone();
    let after = watermark.id().to_string();
    let block = BLOCK.as_millis() as u64;
    let send = move |client: fred::clients::Client| async move {
        let read = client.xread::<Value, _, _>(Some(u64::from(BATCH)), Some(block), key, after);
        read.await
    };
    let answer = connection.run(PATIENCE, send).await.ok()?;
    let entries = wire::read(answer)?;
    entries.into_iter().map(wire::logged).collect()
}
