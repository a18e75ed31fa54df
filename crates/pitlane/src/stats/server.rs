//! What is known of Redis: nothing at all without the feature.

use super::{node::Told, view::RedisStats};
use crate::cache::Caches;

#[cfg(not(feature = "redis"))]
pub(super) fn redis(_: &Caches, _: Told) -> Option<RedisStats> {
    None
}

#[cfg(feature = "redis")]
pub(super) fn redis(caches: &Caches, told: Told) -> Option<RedisStats> {
    use pitlane_redis::Side;

    let redis = caches.redis()?;
    let breakers = [Side::Read, Side::Write].map(|side| breaker(side, redis));
    Some(RedisStats {
        breakers: breakers.into(),
        in_flight: redis.in_flight() as u64,
        write_bytes: redis.write_bytes() as u64,
        server: told.server,
        unavailable: told.unavailable,
    })
}

#[cfg(feature = "redis")]
fn breaker(
    side: pitlane_redis::Side,
    redis: &pitlane_redis::CircuitBrokenRedis,
) -> super::BreakerStats {
    let snapshot = redis.snapshot(side);
    super::BreakerStats {
        side: side.as_str().to_owned(),
        state: snapshot.state.as_str().to_owned(),
        failures_in_a_row: u64::from(snapshot.failures_in_a_row),
        failures: snapshot.failures,
        calls: snapshot.calls,
        openings: snapshot.openings,
    }
}

#[cfg(feature = "redis")]
pub(super) use info::{ask, read};

#[cfg(feature = "redis")]
mod info {
    use std::time::Duration;

    use pitlane_core::Timestamp;
    use pitlane_redis::{
        Database, Failure, Side,
        fred::{
            clients::Client,
            interfaces::ClientLike,
            types::{ClusterHash, CustomCommand, Value},
        },
    };

    use super::super::place::permitted;
    use super::super::view::{DatabaseStats, RedisServerStats};

    /// No server's answer is as long.
    const MAX_LENGTH: usize = 64 << 10;
    const MAX_DATABASES: usize = 256;

    /// Asks the server what it says of itself; `None` if the user may not.
    pub(in crate::stats) async fn ask(database: &Database) -> Result<Option<String>, Failure> {
        let ask = |client: Client| async move {
            // One by one: Redis 6 takes one section at a time.
            let mut told = String::new();
            for section in ["server", "memory", "stats", "keyspace"] {
                let command = CustomCommand::new_static("INFO", ClusterHash::Random, false);
                let answer = permitted(client.custom::<Value, &str>(command, vec![section]).await)?;
                let Some(text) = answer.map(|answer| answer.into_string().unwrap_or_default())
                else {
                    return Ok(None);
                };
                told.push_str(&text);
            }
            Ok(Some(told))
        };
        let limit = Duration::from_millis(250);
        database.run_within(Side::Read, "info", limit, ask).await
    }

    /// Reads it. Whatever it says, this ends, and is bounded.
    pub(in crate::stats) fn read(told: &str, asked: Timestamp) -> RedisServerStats {
        let mut stats = RedisServerStats {
            asked_ms: asked.as_millis(),
            ..RedisServerStats::default()
        };
        let told = told.get(..MAX_LENGTH).unwrap_or(told);
        for (name, value) in told.lines().filter_map(|line| line.trim().split_once(':')) {
            let text = || Some(value.chars().take(64).filter(|c| !c.is_control()).collect());
            match name {
                "redis_version" => stats.version = text(),
                "maxmemory_policy" => stats.eviction_policy = text(),
                "used_memory" => stats.used_memory_bytes = value.parse().ok(),
                "maxmemory" => stats.max_memory_bytes = value.parse().ok(),
                "evicted_keys" => stats.evicted_keys = value.parse().ok(),
                _ => stats.databases.extend(
                    database(name, value).filter(|_| stats.databases.len() < MAX_DATABASES),
                ),
            }
        }
        stats
    }

    /// `db2:keys=17,expires=3,avg_ttl=0`
    fn database(name: &str, value: &str) -> Option<DatabaseStats> {
        let database = name.strip_prefix("db")?.parse().ok()?;
        let mut stats = DatabaseStats {
            database,
            ..DatabaseStats::default()
        };
        for (name, count) in value.split(',').filter_map(|part| part.split_once('=')) {
            match name {
                "keys" => stats.keys = count.parse().ok()?,
                "expires" => stats.expiring = count.parse().ok()?,
                _ => {}
            }
        }
        Some(stats)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn of(told: &str) -> RedisServerStats {
            read(told, Timestamp::from_millis(7))
        }

        #[test]
        fn what_a_server_says_is_read() {
            let told = "# Server\r\nredis_version:7.0.15\r\n# Memory\r\nused_memory:1048576\r\n\
                        maxmemory:0\r\nmaxmemory_policy:noeviction\r\nevicted_keys:3\r\n\
                        # Keyspace\r\ndb2:keys=17,expires=5,avg_ttl=0\r\ndb15:keys=1,expires=0\r\n";
            let stats = of(told);
            assert_eq!(stats.version.as_deref(), Some("7.0.15"));
            assert_eq!(stats.used_memory_bytes, Some(1 << 20));
            assert_eq!(stats.max_memory_bytes, Some(0));
            assert_eq!(stats.eviction_policy.as_deref(), Some("noeviction"));
            assert_eq!(stats.evicted_keys, Some(3));
            let databases: Vec<_> = stats
                .databases
                .iter()
                .map(|one| (one.database, one.keys, one.expiring))
                .collect();
            assert_eq!(databases, [(2, 17, 5), (15, 1, 0)]);
        }

        #[test]
        fn what_a_server_does_not_say_is_unknown() {
            for told in [
                "",
                "used_memory:much",
                "db999:keys=1",
                "db1:keys=-1",
                "::::\n:",
            ] {
                let stats = of(told);
                assert_eq!(stats.used_memory_bytes, None, "{told:?}");
                assert_eq!(stats.databases, [], "{told:?}");
            }
            let many = "db1:keys=1\n".repeat(10_000);
            assert_eq!(of(&many).databases.len(), MAX_DATABASES);
        }
    }
}
