//! Where entries live in Redis, and who shares them.

use std::time::Duration;

use pitlane::{Cache, Caches, Claim, Key};
use pitlane_testkit::RedisServer;

use crate::nodes::{caches, until, until_joined};

const MINUTE: Duration = Duration::from_secs(60);

async fn put(cache: &Cache, value: &'static [u8]) {
    let Claim::Fill(fill) = cache.claim(&Key::new("k")).await else {
        panic!("it is there already");
    };
    fill.store(value, MINUTE);
}

async fn found(cache: &Cache) -> Option<Vec<u8>> {
    let value = cache.read(&Key::new("k")).await;
    value.map(|value| value.bytes().to_vec())
}

fn in_database(redis: &RedisServer, database: u8, pattern: &str) -> i64 {
    let script = "redis.call('SELECT', ARGV[1]) return #redis.call('KEYS', ARGV[2])";
    let database = database.to_string();
    redis
        .run(&["EVAL", script, "0", &database, pattern])
        .integer()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn named_caches_live_in_their_databases_and_the_log_with_the_default_one() {
    let redis = RedisServer::start();
    let text = "namespace = \"site\"\n[caches.default]\ndatabase = 2\n[caches.api]\ndatabase = 4\n";
    let node = caches(&redis)
        .config(text, "test")
        .unwrap()
        .build()
        .unwrap();
    until_joined(&node).await;
    put(&node.get("default").unwrap(), b"page").await;
    put(&node.get("api").unwrap(), b"json").await;
    until("both are stored", || {
        in_database(&redis, 2, "site:default:*") == 1 && in_database(&redis, 4, "site:api:*") == 1
    })
    .await;
    for key in ["{site}:log", "{site}:last", "{site}:tail"] {
        assert_eq!(in_database(&redis, 2, key), 1, "{key}");
    }
    assert_eq!(in_database(&redis, 4, "{site}:l*"), 0);
    assert_eq!(in_database(&redis, 0, "site:*"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespaces_versions_and_names_never_meet() {
    let redis = RedisServer::start();
    let build = |text: &str| {
        caches(&redis)
            .config(text, "test")
            .unwrap()
            .build()
            .unwrap()
    };
    let one = build("namespace = \"one\"\n[caches.default]\n[caches.zzz]");
    until_joined(&one).await;
    let cache = one.get("default").unwrap();
    put(&cache, b"one").await;
    until("it is stored", || {
        in_database(&redis, 0, "one:default:*") == 1
    })
    .await;
    for text in [
        "namespace = \"two\"\n[caches.default]\n[caches.zzz]",
        "namespace = \"one\"\n[caches.default]\nversion = 2\n[caches.zzz]",
    ] {
        let other = build(text);
        until_joined(&other).await;
        let other = other.get("default").unwrap();
        let looked = other.remote_lookups();
        assert_eq!(found(&other).await, None, "{text} {looked:?}");
    }
    assert_eq!(found(&one.get("zzz").unwrap()).await, None);
    // The same name is the same cache whatever other caches a node has.
    let fewer = build("namespace = \"one\"\n[caches.aaa]\n[caches.default]");
    until_joined(&fewer).await;
    let same = fewer.get("default").unwrap();
    let mut value = None;
    for _ in 0..500 {
        value = found(&same).await;
        if value.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(value.as_deref(), Some(&b"one"[..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_expire_in_redis_no_later_than_they_could_be_used() {
    let redis = RedisServer::start();
    let node = caches(&redis).build().unwrap();
    until_joined(&node).await;
    put(&node.get("default").unwrap(), b"x").await;
    until("it is stored", || {
        in_database(&redis, 0, "pitlane:default:*") == 1
    })
    .await;
    let ttl = redis
        .run(&[
            "EVAL",
            "return redis.call('PTTL', redis.call('KEYS', 'pitlane:default:*')[1])",
            "0",
        ])
        .integer();
    assert!((50_000..=60_000).contains(&ttl), "{ttl}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_are_compressed_and_come_back_as_they_were() {
    let redis = RedisServer::start();
    for compression in ["none", "lz4"] {
        let text = format!(
            "namespace = \"{compression}\"\n[caches.default]\ncompression = \"{compression}\""
        );
        let build = || {
            caches(&redis)
                .config(&text, "test")
                .unwrap()
                .build()
                .unwrap()
        };
        let (a, b) = (build(), build());
        until_joined(&a).await;
        until_joined(&b).await;
        let text: Vec<u8> = b"all work and no play ".repeat(1000);
        let Claim::Fill(fill) = a.get("default").unwrap().claim(&Key::new("k")).await else {
            panic!("it is there already");
        };
        fill.store(text.clone(), MINUTE);
        let pattern = format!("{compression}:default:*");
        until("it is stored", || in_database(&redis, 0, &pattern) == 1).await;
        let script = "return redis.call('STRLEN', redis.call('KEYS', ARGV[1])[1])";
        let size = redis.run(&["EVAL", script, "0", &pattern]).integer();
        let is_small = size < 2_000;
        assert_eq!(is_small, compression == "lz4", "{compression}: {size}");
        let mut value = None;
        for _ in 0..500 {
            value = found(&b.get("default").unwrap()).await;
            if value.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(value, Some(text));
    }
}

#[tokio::test]
async fn caches_that_share_a_place_and_names_that_are_none_are_refused() {
    let build = |text: &str| {
        let builder = Caches::builder().redis("redis://127.0.0.1:1/2");
        let built = builder
            .config(text, "test")
            .and_then(pitlane::CachesBuilder::build);
        built.map(drop).unwrap_err().to_string()
    };
    // One is told its database, and the other lives in the URL's.
    let text = "[caches.a]\n[caches.b]\ndatabase = 2\nprefix = \"a\"";
    assert!(build(text).contains("share database 2"), "{}", build(text));
    let refused = Caches::builder()
        .redis("http://user:hunter2@x")
        .build()
        .unwrap_err();
    assert!(
        !format!("{refused} {refused:?}").contains("hunter2"),
        "{refused}"
    );
}

#[test]
fn redis_without_a_runtime_is_a_clear_error() {
    let error = Caches::builder()
        .redis("redis://127.0.0.1:1")
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("runtime"), "{error}");
}
