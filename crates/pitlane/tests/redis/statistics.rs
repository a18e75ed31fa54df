//! What nodes tell each other of themselves.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::time::Duration;

use pitlane::{
    Caches, ErrorKind,
    stats::{FleetStats, StatsKeeper, StatsOptions},
};
use pitlane_testkit::{Origin, RedisReply, RedisServer};

use crate::nodes::{Node, caches, until};

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];
const DEADLINE: Duration = Duration::from_secs(10);
const MANUAL: &str = include_str!("../../../../docs/operations/redis.md");

fn often(name: &str) -> StatsOptions {
    let often = Duration::from_millis(100);
    StatsOptions::new().name(name).publish_every(often)
}

async fn node(redis: &RedisServer, origin: &Origin, name: &str) -> (Node, StatsKeeper) {
    let node = Node::joined(redis, origin).await;
    let keeper = node.caches.keep_stats(often(name));
    (node, keeper)
}

/// A process that serves nothing, such as the command line.
fn reader(redis: &RedisServer) -> Caches {
    caches(redis).build().unwrap()
}

/// Waits until the fleet, as `caches` reads it, is as it should be.
#[track_caller]
fn until_fleet(
    caches: &Caches,
    what: &str,
    met: impl Fn(&FleetStats) -> bool,
) -> impl Future<Output = FleetStats> {
    let at = std::panic::Location::caller();
    let what = what.to_owned();
    let caches = caches.clone();
    async move {
        let mut last = None;
        let wait = async {
            loop {
                last = Some(caches.fleet_stats().await);
                if let Some(Ok(fleet)) = &last
                    && met(fleet)
                {
                    return fleet.clone();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(DEADLINE, wait).await {
            Ok(fleet) => fleet,
            Err(_) => panic!("not within 10 s: {what} (at {at}): {last:#?}"),
        }
    }
}

fn names(fleet: &FleetStats) -> Vec<&str> {
    fleet
        .nodes
        .iter()
        .filter_map(|node| node.name.as_deref())
        .collect()
}

fn requests(fleet: &FleetStats) -> u64 {
    fleet.totals.windows.since_start.outcomes.total()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_the_fleet_finds_every_request_of_every_node() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let (a, _a) = node(&redis, &origin, "a").await;
    let (b, _b) = node(&redis, &origin, "b").await;
    for _ in 0..7 {
        a.get("/x").await;
    }
    a.until_stored(&redis, 1).await;
    for _ in 0..5 {
        b.get("/x").await;
    }
    let outside = reader(&redis);
    let fleet = until_fleet(&outside, "all are counted", |fleet| requests(fleet) == 12).await;
    assert_eq!(names(&fleet), ["a", "b"]);
    assert_eq!(fleet.unreadable, []);
    let outcomes = fleet.totals.windows.since_start.outcomes;
    assert_eq!((outcomes.miss, outcomes.hit), (1, 11));
    let [cache] = &fleet.caches[..] else {
        panic!("one cache: {:?}", fleet.caches)
    };
    assert_eq!(cache.reasons.iter().map(|one| one.count).sum::<u64>(), 12);
    assert_eq!(
        cache.top_by_hits.iter().map(|one| one.count).sum::<u64>(),
        11
    );
    for node in &fleet.nodes {
        assert!(
            node.log.shared && node.log.ready && node.log.position.is_some(),
            "{node:?}"
        );
        let breakers = &node.redis.as_ref().unwrap().breakers;
        assert!(
            breakers.iter().all(|one| one.state == "closed"),
            "{breakers:?}"
        );
    }
    // Who keeps statistics itself is there as it is now.
    a.get("/x").await;
    assert_eq!(
        a.caches.fleet_stats().await.unwrap().nodes[0].caches[0]
            .windows
            .since_start
            .outcomes
            .total(),
        8
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_ends_is_gone_and_one_that_dies_is_forgotten() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let (_a, keeper_a) = node(&redis, &origin, "a").await;
    let (b, keeper_b) = node(&redis, &origin, "b").await;
    let (_c, _keeper_c) = node(&redis, &origin, "c").await;
    let outside = reader(&redis);
    until_fleet(&outside, "all are there", |fleet| {
        names(fleet) == ["a", "b", "c"]
    })
    .await;
    keeper_a.end().await;
    // Nothing is waited for: it has left when it says so.
    assert_eq!(names(&outside.fleet_stats().await.unwrap()), ["b", "c"]);
    drop(keeper_b);
    until_fleet(&outside, "b has left", |fleet| names(fleet) == ["c"]).await;
    let left = redis.run(&["KEYS", "{pitlane}:node:*"]);
    assert!(
        matches!(&left, RedisReply::Array(keys) if keys.len() == 1),
        "{left:?}"
    );
    // What a node that dies leaves behind expires by itself.
    let key = format!(
        "{{pitlane}}:node:{}",
        outside.fleet_stats().await.unwrap().nodes[0].node
    );
    let life = redis.run(&["PTTL", &key]).integer();
    assert!((1..=300).contains(&life), "{life}");
    drop(b);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_else_is_written_there_is_named_and_harms_nobody() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let (_a, _keeper) = node(&redis, &origin, "a").await;
    let large = format!("{{\"format\":1,\"x\":\"{}\"}}", "x".repeat(300 << 10));
    let hostile = [
        ("newer", r#"{"format":99,"version":"9.9.9","numbers":7}"#),
        ("garbage", "\u{1}\u{2}\u{3}"),
        ("large", &large),
        ("deep", &"[".repeat(100_000)),
        ("liar", r#"{"format":1,"version":"0","numbers":{}}"#),
    ];
    // Otherwise they would be taken off the list soon.
    let now = redis
        .run(&["EVAL", "return redis.call('TIME')[1]", "0"])
        .text()
        .to_owned()
        + "000";
    for (id, value) in hostile {
        redis.run(&["SET", &format!("{{pitlane}}:node:{id}"), value]);
        redis.run(&["HSET", "{pitlane}:nodes", id, &now]);
    }
    redis.run(&["HSET", "{pitlane}:nodes", "gone", "0"]);
    redis.run(&["LPUSH", "{pitlane}:node:list", "x"]);
    redis.run(&["HSET", "{pitlane}:nodes", "list", "no number"]);
    let outside = reader(&redis);
    let fleet = until_fleet(&outside, "a is there", |fleet| names(fleet) == ["a"]).await;
    let unreadable: Vec<_> = fleet.unreadable.iter().map(|node| &*node.node).collect();
    assert_eq!(unreadable, ["deep", "garbage", "large", "liar", "newer"]);
    assert_eq!(fleet.unreadable[4].version.as_deref(), Some("9.9.9"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_the_fleet_is_an_error_that_says_so() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let (a, _keeper) = node(&redis, &origin, "a").await;
    redis.kill();
    let outside = reader(&redis);
    for caches in [&outside, &a.caches] {
        let asked = tokio::time::timeout(DEADLINE, caches.fleet_stats()).await;
        let error = asked.expect("it ends").expect_err("there is none");
        assert_eq!(error.kind(), ErrorKind::Redis);
        assert!(
            error
                .to_string()
                .starts_with("the nodes' numbers can't be read: "),
            "{error}"
        );
    }
    // The node itself goes on, and knows that it is not heard.
    a.get("/x").await;
    until("a failure is counted", || {
        a.caches
            .node_stats()
            .published
            .is_some_and(|told| told.failed > 0)
    })
    .await;
    redis.restart();
    let fleet = until_fleet(&outside, "a is back", |fleet| requests(fleet) == 1).await;
    assert_eq!(names(&fleet), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_says_how_it_is() {
    let redis = RedisServer::start();
    let (a, _keeper) = node(&redis, &Origin::counting(FRESH), "a").await;
    let told = || a.caches.node_stats().redis.and_then(|redis| redis.server);
    until("the server was asked", || told().is_some()).await;
    let server = told().unwrap();
    assert!(
        server
            .used_memory_bytes
            .is_some_and(|bytes| bytes > 100_000),
        "{server:?}"
    );
    assert_eq!(server.eviction_policy.as_deref(), Some("noeviction"));
    assert!(
        server.databases.iter().any(|one| one.keys > 0),
        "{server:?}"
    );
}

/// A server with the user of the manual, whose rules are changed.
fn server(change: impl Fn(&str) -> String) -> RedisServer {
    let mut lines = MANUAL.lines().map(str::trim);
    let line = lines
        .find_map(|line| line.strip_prefix("ACL SETUSER "))
        .unwrap();
    RedisServer::builder().config("user", &change(line)).start()
}

fn of_user(redis: &RedisServer) -> Caches {
    let url = format!("redis://pitlane:PASSWORD@{}/2", redis.address());
    let builder = Caches::builder().namespace("site").redis(url);
    builder
        .redis_budget(Duration::from_secs(2))
        .build()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_of_the_manual_may_tell_and_read() {
    let redis = server(str::to_owned);
    let caches = of_user(&redis);
    let keeper = caches.keep_stats(often("a"));
    let outside = of_user(&redis);
    until_fleet(&outside, "a is there", |fleet| names(fleet) == ["a"]).await;
    until("the server was asked", || {
        caches
            .node_stats()
            .redis
            .is_some_and(|redis| redis.server.is_some())
    })
    .await;
    keeper.end().await;
    assert_eq!(redis.run(&["ACL", "LOG"]), RedisReply::Array(Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_statistics_may_not_do_opens_no_circuit() {
    let keys = "~{site}:log ~{site}:last* ~{site}:tail ~{site}:probe";
    let redis = server(|rules| rules.replace("~{site}:*", keys).replace("+info ", ""));
    let caches = of_user(&redis);
    let _keeper = caches.keep_stats(often("a"));
    let numbers = || caches.node_stats();
    until("several snapshots were refused", || {
        numbers().published.is_some_and(|told| told.failed > 3)
    })
    .await;
    until("the server said nothing", || {
        let why = numbers().redis.and_then(|redis| redis.unavailable);
        why.is_some_and(|why| why.contains("may not"))
    })
    .await;
    let redis_stats = numbers().redis.unwrap();
    assert_eq!(redis_stats.server, None);
    // A circuit is open until Redis was first seen.
    let openings = || -> u64 {
        let breakers = numbers().redis.unwrap().breakers;
        assert!(
            breakers.iter().all(|one| one.state == "closed"),
            "{breakers:?}"
        );
        breakers.iter().map(|one| one.openings).sum()
    };
    let (before, refused) = (openings(), numbers().published.unwrap().failed);
    until("more were refused", || {
        numbers()
            .published
            .is_some_and(|told| told.failed > refused + 5)
    })
    .await;
    assert_eq!(openings(), before);
    let error = caches.fleet_stats().await.expect_err("it may not look");
    assert!(error.to_string().contains("may not"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keeper_keeps_no_registry_alive() {
    let redis = RedisServer::start();
    let clients = || {
        let list = redis.run(&["CLIENT", "LIST"]);
        list.text().lines().count()
    };
    let before = clients();
    let (a, keeper) = node(&redis, &Origin::counting(FRESH), "a").await;
    assert!(clients() > before);
    drop(a);
    until("its connections are closed", || clients() == before).await;
    drop(keeper);
}
