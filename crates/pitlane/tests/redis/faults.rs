//! What trouble with Redis costs a page: one budget at most, and never its correctness.

use std::time::Duration;

use pitlane::{Claim, Key, RemoteLookup};
use pitlane_core::codec::{Compression, Frame, Limits, decode, encode};
use pitlane_testkit::{Fault, FaultProxy, Origin, RedisReply, RedisServer};

use crate::nodes::{Node, until};

const MINUTE: Duration = Duration::from_secs(60);
const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("cache-tag", "club")];

fn count(node: &Node, wanted: RemoteLookup) -> u64 {
    let lookups = node.cache().remote_lookups();
    let found = lookups.iter().find(|(lookup, _)| *lookup == wanted);
    found.map_or(0, |(_, count)| *count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_entry_is_a_miss_and_is_deleted() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let a = Node::joined(&redis, &origin).await;
    let b = Node::joined(&redis, &origin).await;
    a.get("/x").await;
    a.until_stored(&redis, 1).await;
    // One bit in the middle.
    let flip = "local k = redis.call('KEYS', 'pitlane:default:*')[1] \
                local at = math.floor(redis.call('STRLEN', k) / 2) \
                local b = string.byte(redis.call('GETRANGE', k, at, at)) \
                redis.call('SETRANGE', k, at, string.char(b >= 128 and b - 128 or b + 128)) \
                return 1";
    redis.run(&["EVAL", flip, "0"]);
    let answer = b.get("/x").await;
    assert_eq!(answer.text(), "/x 2");
    assert_eq!(count(&b, RemoteLookup::Corrupt), 1);
    // B's own answer replaces it, or nothing does.
    until("it is whole again", || {
        redis
            .run(&[
                "EVAL",
                "return #redis.call('KEYS', 'pitlane:default:*')",
                "0",
            ])
            .integer()
            == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_ten_cached_queries_loses_one_budget_to_a_redis_that_hangs() {
    let redis = RedisServer::start();
    let proxy = FaultProxy::start(redis.address()).await;
    let budget = Duration::from_millis(400);
    let builder = pitlane::Caches::builder()
        .redis(proxy.url())
        .redis_budget(budget);
    let origin = Origin::counting(&[]);
    let node = Node::start(builder, &origin).await;
    node.until_joined().await;
    let page = Key::new("page");
    let Claim::Fill(fill) = node.cache().claim(&page).await else {
        panic!("nothing is there");
    };
    let cache = node.cache();
    proxy.set(Fault::Blackhole);
    let began = tokio::time::Instant::now();
    let inside = fill.run(async {
        for n in 0..10 {
            let Claim::Fill(fill) = cache.claim(&Key::new("query").child(n)).await else {
                panic!("nothing is there");
            };
            fill.store(&b"row"[..], MINUTE);
        }
    });
    inside.await;
    let lost = began.elapsed();
    // Ten budgets would be four seconds.
    assert!(lost < budget * 4, "{lost:?}");
    let skipped = count(&node, RemoteLookup::Skipped);
    assert!(skipped >= 9, "{skipped} of ten were skipped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_never_waits_for_what_it_writes_to_redis() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let node = Node::joined(&redis, &origin).await;
    // The look for the page is skipped at once when the circuit is open, and the write as well.
    redis.freeze();
    node.get("/warm").await;
    for n in 0..20 {
        assert_eq!(node.get(&format!("/x{n}")).await.status, 200);
    }
    redis.thaw();
    node.until_joined().await;
    node.get("/after").await;
    node.until_stored(&redis, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_appends_what_is_owed() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let a = Node::joined(&redis, &origin).await;
    let b = Node::joined(&redis, &origin).await;
    b.get("/x").await;
    assert_eq!(b.get("/x").await.detail(), "fresh");
    drop(a.caches.owe(["club"]));
    assert!(a.caches.shutdown(Duration::from_secs(10)).await);
    assert_eq!(a.caches.log_status().map(|log| log.owed), Some(0));
    let mut text = String::new();
    for _ in 0..1000 {
        text = b.get("/x").await.text().to_owned();
        if text == "/x 2" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(text, "/x 2");
}

/// Changes the one entry in Redis as somebody would who can write there: the checksum is right.
fn forge(redis: &RedisServer, change: impl FnOnce(&mut Vec<u8>)) {
    let keys = redis.run(&["KEYS", "pitlane:default:*"]);
    let RedisReply::Array(keys) = keys else {
        panic!("no keys: {keys:?}");
    };
    let key = keys.first().expect("an entry").text().to_owned();
    let stored = redis.run(&["GET", &key]);
    let RedisReply::Bulk(stored) = stored else {
        panic!("no entry: {stored:?}");
    };
    let entry = decode(&stored.into(), &Limits::default()).expect("an entry");
    let mut head = entry.head.to_vec();
    change(&mut head);
    let frame = Frame {
        position: entry.position,
        stored_at: entry.stored_at,
        cost: entry.cost,
        kind: entry.kind,
        key: &entry.key,
        ids: &entry.ids,
        names: &entry.names,
        head: &head,
        body: &entry.body,
    };
    let forged = encode(&frame, Compression::None).expect("a frame");
    let set: [&[u8]; 3] = [b"SET", key.as_bytes(), &forged];
    redis.cli().run(&set).expect("Redis is there");
}

fn replace(head: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let at = head.windows(from.len()).position(|window| window == from);
    let at = at.expect("the value is there");
    for (there, byte) in head.iter_mut().skip(at).zip(to) {
        *there = *byte;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_header_that_would_split_an_answer_is_refused_and_deleted() {
    let headers: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("x-own", "one-two-three")];
    for evil in [
        &b"one\r\nb: three"[..],
        b"one\ntwo-three",
        b"one\0two-three",
        b"one\rtwo-three",
    ] {
        let redis = RedisServer::start();
        let origin = Origin::counting(headers);
        let a = Node::joined(&redis, &origin).await;
        let b = Node::joined(&redis, &origin).await;
        a.get("/x").await;
        a.until_stored(&redis, 1).await;
        forge(&redis, |head| replace(head, b"one-two-three", evil));
        let answer = b.get("/x").await;
        assert_eq!(
            (answer.text(), answer.header("x-own")),
            ("/x 2", "one-two-three")
        );
        assert_eq!(
            count(&b, RemoteLookup::Corrupt),
            1,
            "{}",
            evil.escape_ascii()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_of_another_shape_is_refused_and_never_half_believed() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let a = Node::joined(&redis, &origin).await;
    let b = Node::joined(&redis, &origin).await;
    type Change = fn(&mut Vec<u8>);
    let changes: [(&str, Change); 5] = [
        ("a byte too many", |head| head.push(0)),
        ("a byte too few", |head| {
            head.pop();
        }),
        ("a flag that is none", |head| head[1] = 9),
        ("no status", |head| head[34..36].fill(0)),
        ("a length that is too long", |head| head[36..40].fill(0xff)),
    ];
    for (n, (what, change)) in changes.into_iter().enumerate() {
        redis.run(&[
            "EVAL",
            "for _, k in ipairs(redis.call('KEYS', 'pitlane:default:*')) do \
                             redis.call('DEL', k) end return 1",
            "0",
        ]);
        let path = format!("/x{n}");
        a.get(&path).await;
        a.until_stored(&redis, 1).await;
        forge(&redis, change);
        let answer = b.get(&path).await;
        assert_ne!(answer.detail(), "remote", "{what}");
        assert_eq!(answer.status, 200, "{what}");
        assert_eq!(count(&b, RemoteLookup::Corrupt), n as u64 + 1, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_whom_the_page_cache_passes_by_loses_one_budget_as_well() {
    let redis = RedisServer::start();
    let proxy = FaultProxy::start(redis.address()).await;
    let budget = Duration::from_millis(400);
    let builder = pitlane::Caches::builder()
        .redis(proxy.url())
        .redis_budget(budget);
    let caches = builder.build().unwrap();
    crate::nodes::until_joined(&caches).await;
    let cache = caches.get("default").unwrap();
    let inside = cache.clone();
    let origin = Origin::new(move |_, _| {
        let cache = inside.clone();
        async move {
            for n in 0..10 {
                let _ = cache.read(&Key::new("query").child(n)).await;
            }
            Origin::reply(&[], "page")
        }
    });
    let layer = pitlane::AnonymousCacheLayer::new(&cache);
    let server = pitlane_testkit::Server::start(tower::Layer::layer(&layer, origin)).await;
    let client = pitlane_testkit::Client::new(pitlane_testkit::Protocol::Http1);
    proxy.set(Fault::Blackhole);
    let began = tokio::time::Instant::now();
    let page = client
        .get(&server.url("/"), &[("cookie", "session=1")])
        .await;
    let lost = began.elapsed();
    assert_eq!((page.detail(), page.text()), ("cookie", "page"));
    assert!(lost < budget * 4, "{lost:?}");
}
