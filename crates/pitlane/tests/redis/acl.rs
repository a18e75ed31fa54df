//! The Redis user that the manual tells operators to make: enough for everything, and no more.

use std::collections::BTreeSet;
use std::time::Duration;

use pitlane::{Caches, Claim, Key, RemoteLookup, Wrote};
use pitlane_testkit::{Origin, RedisReply, RedisServer};

use crate::nodes::{Node, until, until_joined};

const MANUAL: &str = include_str!("../../../../docs/operations/redis.md");
const MINUTE: Duration = Duration::from_secs(60);
const CACHES: &str = "namespace = \"site\"\n[caches.default]\ndatabase = 2\n[caches.sessions]\n\
                      kind = \"store\"\ndatabase = 1\n";

/// What only the walk of the janitor needs, which begins minutes after the start, and at last what
/// only nodes that keep statistics need.
const NOT_YET: [&[&str]; 5] = [
    &["hget", "{site}:last", "h0123456789abcdef"],
    &["hlen", "{site}:last"],
    &["hscan", "{site}:last", "0"],
    &["hdel", "{site}:last", "h0123456789abcdef"],
    &["pexpire", "{site}:nodes", "1000"],
];

/// What follows `ACL SETUSER` in the manual.
pub(crate) fn rules() -> &'static str {
    let mut lines = MANUAL.lines().map(str::trim);
    let line = lines.find_map(|line| line.strip_prefix("ACL SETUSER "));
    line.expect("the manual has the line")
}

/// The commands that the manual permits, without their signs.
fn permitted() -> BTreeSet<String> {
    let words = rules().split(' ').filter_map(|word| word.strip_prefix('+'));
    words.map(str::to_owned).collect()
}

/// A server where nobody but the manual's user may do anything of ours. The test itself comes in
/// as the default user.
fn server(rules: &str) -> RedisServer {
    RedisServer::builder().config("user", rules).start()
}

async fn node(redis: &RedisServer) -> Node {
    let url = format!("redis://pitlane:PASSWORD@{}/2", redis.address());
    let builder = Caches::builder()
        .redis(url)
        .redis_budget(Duration::from_secs(2))
        .config(CACHES, "test")
        .expect("it is configured");
    let origin = Origin::counting(&[("cache-control", "max-age=60"), ("cache-tag", "club:42")]);
    Node::start(builder, &origin).await
}

/// What the server refused to anybody.
fn refused(redis: &RedisServer) -> RedisReply {
    redis.run(&["ACL", "LOG"])
}

fn used(redis: &RedisServer) -> BTreeSet<String> {
    let statistics = redis.run(&["INFO", "commandstats"]);
    let lines = statistics.text().lines().map(str::trim);
    let commands = lines.filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next());
    commands.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_user_of_the_manual_may_do_everything_and_nothing_more() {
    let redis = server(rules());
    redis.run(&["CONFIG", "RESETSTAT"]);
    let a = node(&redis).await;
    until_joined(&a.caches).await;
    pages(&redis, &a).await;
    values(&redis, &a).await;
    records(&a).await;
    clears(&redis, &a).await;
    assert_eq!(refused(&redis), RedisReply::Array(Vec::new()));
    a.caches.redis().unwrap().shutdown().await;
    // What is permitted is used, or will be.
    let later = NOT_YET.map(|words| words[0].to_owned());
    let used = used(&redis);
    let idle: Vec<_> = permitted()
        .into_iter()
        .filter(|name| !used.contains(name) && !later.contains(name))
        .collect();
    assert!(idle.is_empty(), "permitted and never used: {idle:?}");
    for words in NOT_YET {
        let words: Vec<&str> = ["ACL", "DRYRUN", "pitlane"]
            .iter()
            .chain(words)
            .copied()
            .collect();
        assert_eq!(redis.run(&words).text(), "OK", "{words:?}");
    }
}

/// A page that another node finds, and that a write ends.
async fn pages(redis: &RedisServer, a: &Node) {
    a.get("/x").await;
    let stored = || {
        redis.run(&[
            "EVAL",
            "redis.call('SELECT', 2) return #redis.call('KEYS', 'site:default:*')",
            "0",
        ])
    };
    until("the page is in Redis", || stored().integer() >= 1).await;
    // It has to ask the hash: it joined after the page was stored.
    let b = node(redis).await;
    until_joined(&b.caches).await;
    assert_eq!(b.get("/x").await.detail(), "remote");
    let _ = b
        .caches
        .invalidate(["club:42"])
        .await
        .expect("Redis answers");
    assert_eq!(b.get("/x").await.text(), "/x 1");
}

/// Everything in the cache is spoiled, the page along with two values; what is read is deleted.
async fn values(redis: &RedisServer, a: &Node) {
    let cache = a.cache();
    let (good, bad) = (Key::new("good"), Key::new("bad"));
    for key in [&good, &bad] {
        let Claim::Fill(fill) = cache.claim(key).await else {
            panic!("{key} is there");
        };
        fill.store(vec![7; 100], MINUTE);
    }
    let spoil = "redis.call('SELECT', 2) local all = redis.call('KEYS', 'site:default:*') \
                 for _, key in ipairs(all) do redis.call('SETRANGE', key, 40, 'spoiled') end \
                 return #all";
    let there = || redis.run(&["EVAL", spoil, "0"]).integer() >= 3;
    until("the values are in Redis", there).await;
    let b = node(redis).await;
    until_joined(&b.caches).await;
    assert!(b.cache().read(&bad).await.is_none());
    let corrupt = (RemoteLookup::Corrupt, 1);
    assert!(b.cache().remote_lookups().contains(&corrupt));
}

async fn records(a: &Node) {
    let records = a
        .caches
        .get("sessions")
        .expect("it is configured")
        .records()
        .expect("Redis answers");
    let key = Key::new("one");
    assert_eq!(
        records
            .create(&key, b"1", MINUTE)
            .await
            .expect("Redis answers"),
        Wrote::Yes
    );
    assert_eq!(
        records
            .replace(&key, b"2", MINUTE)
            .await
            .expect("Redis answers"),
        Wrote::Yes
    );
    records
        .write(&key, b"3", MINUTE)
        .await
        .expect("Redis answers");
    assert_eq!(
        &*records
            .read(&key)
            .await
            .expect("Redis answers")
            .expect("a record"),
        b"3"
    );
    records.delete(&key).await.expect("Redis answers");
    let _ = a.caches.clear("sessions").await.expect("Redis answers");
}

async fn clears(redis: &RedisServer, a: &Node) {
    let _ = a.caches.clear("default").await.expect("Redis answers");
    let left = || {
        redis.run(&[
            "EVAL",
            "redis.call('SELECT', 2) return #redis.call('KEYS', 'site:default:*')",
            "0",
        ])
    };
    until("the walk gave everything back", || left().integer() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_not_permitted_shows_in_the_servers_log_and_fails_no_page() {
    let redis = server(&rules().replace(" +evalsha", ""));
    let node = node(&redis).await;
    let noticed = || refused(&redis) != RedisReply::Array(Vec::new());
    until("the server refused something", noticed).await;
    // Pages are served all the same.
    assert_eq!(node.get("/x").await.text(), "/x 1");
}

#[test]
fn the_user_reaches_no_other_keys_and_no_dangerous_commands() {
    let redis = server(rules());
    let dry = |words: &[&str]| {
        let all: Vec<&str> = ["ACL", "DRYRUN", "pitlane"]
            .iter()
            .chain(words)
            .copied()
            .collect();
        redis.run(&all)
    };
    for words in [
        &["get", "site:default:x"][..],
        &["get", "{site}:tail"],
        &["set", "{site}:probe", "1"],
    ] {
        assert_eq!(dry(words).text(), "OK", "{words:?}");
    }
    for words in [
        &["get", "other:default:x"][..],
        &["get", "{other}:tail"],
        &["set", "celery", "1"],
        &["keys", "*"],
        &["flushall"],
        &["config", "get", "*"],
        &["debug", "sleep", "1"],
    ] {
        assert_ne!(dry(words).text(), "OK", "{words:?}");
    }
}
