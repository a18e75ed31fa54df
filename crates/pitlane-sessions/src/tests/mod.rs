//! Nodes over a simulated Redis.

mod races;
mod redis;
mod world;

use std::collections::HashMap;
use std::time::Duration;

use pitlane::Clock;
use serde_json::json;
use time::OffsetDateTime;
use tower_sessions_core::session::{Id, Record};

use self::redis::Redis;
use crate::node::Node;

const LONGEST: Duration = Duration::from_secs(100_000);

fn clock() -> Clock {
    Clock::manual(pitlane::Timestamp::from_millis(1_700_000_000_000))
}

fn node(redis: &Redis, number: usize, clock: &Clock) -> Node {
    let way = Box::new(redis.way(number));
    Node::new(Some(way), clock.clone(), LONGEST, 1 << 20)
}

/// What is saved as number so, for half as long as it may live.
fn record(id: Id, save: u32, clock: &Clock) -> Record {
    let expires = clock.now().plus(LONGEST / 2).as_millis();
    let expires = OffsetDateTime::from_unix_timestamp_nanos(i128::from(expires) * 1_000_000);
    Record {
        id,
        data: HashMap::from([("save".to_owned(), json!(save))]),
        expiry_date: expires.unwrap(),
    }
}

fn save_of(record: &Record) -> u32 {
    record.data["save"].as_u64().unwrap().try_into().unwrap()
}
