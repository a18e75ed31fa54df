//! What all servers count, as rows of tables.

use pitlane::stats::{CacheStats, CacheUse, FleetStats, NodeStats, RedisServerStats, Windows};

use crate::text;

pub(crate) const CACHE_HEADER: [&str; 9] = [
    "CACHE", "REQUESTS", "HITS", "MISSES", "BYPASSED", "RATIO", "1 MIN", "MEMORY", "EVICTED",
];
pub(crate) const NODE_HEADER: [&str; 8] = [
    "SERVER",
    "UP",
    "REQUESTS",
    "PER S",
    "LOG LAG",
    "OWED",
    "LOG POSITION",
    "BREAKER",
];

/// Each cache of those that are wanted, and all of them together.
pub(crate) fn caches(fleet: &FleetStats) -> Vec<[String; 9]> {
    let of = |cache: &CacheStats| row(&cache.name, &cache.windows, &cache.memory);
    let mut rows: Vec<_> = fleet.caches.iter().map(of).collect();
    rows.push(row("all", &fleet.totals.windows, &fleet.totals.memory));
    rows
}

fn row(name: &str, windows: &Windows, memory: &CacheUse) -> [String; 9] {
    let all = &windows.since_start;
    let minute = windows.last_minute.as_ref();
    let counts = &all.outcomes;
    let evicted: u64 = memory.evictions.iter().map(|tally| tally.count).sum();
    [
        text::harmless(name),
        counts.total().to_string(),
        counts.from_cache().to_string(),
        counts.miss.to_string(),
        counts.bypass.to_string(),
        ratio(all.hit_ratio),
        ratio(minute.and_then(|minute| minute.hit_ratio)),
        format!("{} in {}", text::size(memory.bytes), memory.entries),
        evicted.to_string(),
    ]
}

pub(crate) fn nodes(fleet: &FleetStats) -> Vec<[String; 8]> {
    fleet.nodes.iter().map(node).collect()
}

fn node(node: &NodeStats) -> [String; 8] {
    let windows = &node.totals.windows;
    let recent = windows.last_minute.as_ref().unwrap_or(&windows.since_start);
    let log = &node.log;
    let breakers = node.redis.iter().flat_map(|redis| &redis.breakers);
    let breakers = breakers.map(|breaker| format!("{} {}", breaker.side, breaker.state));
    let position = log.position.as_deref().unwrap_or("-");
    [
        text::harmless(name(node)),
        text::span(node.uptime_seconds),
        windows.since_start.outcomes.total().to_string(),
        format!("{:.1}", recent.requests_per_second),
        text::span(log.lag_seconds),
        log.queue.to_string(),
        text::harmless(position),
        text::harmless(&breakers.collect::<Vec<_>>().join(", ")),
    ]
}

fn name(node: &NodeStats) -> &str {
    node.name.as_deref().unwrap_or(&node.node)
}

/// What the servers say of Redis itself; the one who asked last is believed.
pub(crate) fn redis(fleet: &FleetStats) -> String {
    let servers = fleet.nodes.iter().filter_map(|node| node.redis.as_ref());
    let newest = servers.clone().filter_map(|redis| redis.server.as_ref());
    match newest.max_by_key(|server| server.asked_ms) {
        Some(server) => memory(server),
        None => {
            let why = servers
                .filter_map(|redis| redis.unavailable.as_deref())
                .next();
            let why = why.map_or_else(String::new, |why| format!(": {}", text::harmless(why)));
            format!("Redis: memory unknown{why}")
        }
    }
}

/// What a user without the permission to ask can't see is unknown.
fn memory(server: &RedisServerStats) -> String {
    let known = |text: Option<String>| text.unwrap_or_else(|| "?".to_owned());
    let size = |bytes: Option<u64>| known(bytes.map(text::size));
    let limit = match server.max_memory_bytes {
        Some(0) => "no limit".to_owned(),
        limit => size(limit),
    };
    let keys = server.databases.iter();
    let keys = keys.map(|database| format!("{} in {}", database.keys, database.database));
    format!(
        "Redis {}: {} of {limit} ({}), {} evicted, keys {}",
        known(server.version.as_deref().map(text::harmless)),
        size(server.used_memory_bytes),
        known(server.eviction_policy.as_deref().map(text::harmless)),
        known(server.evicted_keys.map(|keys| keys.to_string())),
        keys.collect::<Vec<_>>().join(", ")
    )
}

/// What the cache saved the handlers.
pub(crate) fn saved(fleet: &FleetStats) -> String {
    let saved = &fleet.totals.saved;
    format!(
        "saved: {} and {} of handlers' time",
        text::count(saved.handler_calls, "call", "calls"),
        text::span(saved.handler_seconds)
    )
}

pub(crate) fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0))
}
