//! What the log remembers of tags for those who join later.

use std::time::Duration;

use pitlane_core::{LogId, Position, Remembered, Tag, Timestamp, Uplink};
use pitlane_testkit::{RedisReply, RedisServer};

use crate::keys::{LAST, LOG, TAIL, array};
use crate::node::{Node, Remote};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_joins_later_asks_the_hash_for_what_is_below_its_horizon() {
    let server = RedisServer::start();
    let a = Node::joined(&server).await;
    let old = a.basis().position;
    let club = a.applied("club").await;
    a.applied("team").await;
    let b = Node::joined(&server).await;
    assert_eq!(b.answer(old, "club").await, Remote::Unusable);
    assert_eq!(b.answer(club, "club").await, Remote::Fresh);
    assert_eq!(b.answer(club, "team").await, Remote::Unusable);
    assert_eq!(b.answer(old, "driver").await, Remote::Fresh);
}

/// The same for one who followed, and for one who has to ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_soft_mark_hides_no_hard_one_and_ends_nothing_itself() {
    let server = RedisServer::start();
    let a = Node::joined(&server).await;
    let b = Node::joined(&server).await;
    let old = a.basis().position;
    let hard = a.applied("club").await;
    let soft = a.softly("club").await;
    let only_soft = a.softly("team").await;
    let late = Node::joined(&server).await;
    for node in [&a, &b, &late] {
        assert_eq!(node.answer(old, "club").await, Remote::Unusable);
        assert_eq!(node.answer(hard, "club").await, Remote::Stale);
        assert_eq!(node.answer(soft, "club").await, Remote::Fresh);
        assert_eq!(node.answer(soft, "team").await, Remote::Stale);
        assert_eq!(node.answer(only_soft, "team").await, Remote::Fresh);
    }
}

/// A node that joined again while the answer was on its way has forgotten what it read between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_the_hash_from_before_a_new_join_is_worth_nothing() {
    let server = RedisServer::start();
    let a = Node::joined(&server).await;
    let old = a.basis().position;
    a.applied("team").await;
    let b = Node::joined(&server).await;
    let (ids, epoch) = ([b.id("club")], b.log.epoch());
    server.freeze();
    let ask = {
        let (link, ids) = (b.link.clone(), ids);
        tokio::spawn(async move { link.ask(&ids).await })
    };
    // Sent, as far as this process is concerned.
    tokio::time::sleep(Duration::from_millis(50)).await;
    b.log.join(b.watermark(), Timestamp::from_millis(0));
    server.thaw();
    let asked = ask.await.expect("no panic");
    assert!(asked.is_err(), "what was learned belongs to another epoch");
    let remembered = Remembered {
        epoch,
        incarnation: b.life(),
        floor: LogId::ZERO,
        tags: vec![(ids[0], LogId::ZERO, LogId::ZERO)],
    };
    assert!(!b.log.learn(&remembered));
    assert_eq!(b.answer(old, "club").await, Remote::Fresh, "asked anew");
}

/// An answer that was asked for before a record came says less than the record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_the_hash_takes_nothing_back() {
    let server = RedisServer::start();
    let a = Node::joined(&server).await;
    let old = a.basis();
    let hard = a.applied("club").await;
    a.softly("club").await;
    let remembered = Remembered {
        epoch: a.log.epoch(),
        incarnation: a.life(),
        floor: LogId::ZERO,
        tags: vec![(a.id("club"), LogId::ZERO, LogId::ZERO)],
    };
    assert!(a.log.learn(&remembered));
    assert!(!a.serves(&old, "club"));
    assert_eq!(a.answer(old.position, "club").await, Remote::Unusable);
    assert_eq!(a.answer(hard, "club").await, Remote::Stale);
}

/// No entry lives longer than no time at all, so everything that has passed can go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_janitor_drops_raises_the_floor_below_which_nothing_is_usable() {
    let server = RedisServer::start();
    let a = Node::start(&server.url(), |builder| builder.retention(Duration::ZERO));
    a.until(|a| a.link.is_ready()).await;
    let old = a.basis().position;
    a.applied("club").await;
    let team = a.applied("team").await;
    let floor = || server.run(&["HGET", LAST, "f"]).text().to_owned();
    let rows = || server.run(&["HLEN", LAST]).integer();
    assert_eq!(rows(), 5);
    until_gone(&a, &server, 3).await;
    assert_eq!(floor(), team.id.to_string());
    let late = Node::joined(&server).await;
    assert_eq!(late.answer(old, "club").await, Remote::Unusable);
    assert_eq!(late.answer(old, "driver").await, Remote::Unusable);
    assert_eq!(late.answer(team, "club").await, Remote::Fresh);
}

/// Cleans until so many fields are left.
async fn until_gone(node: &Node, server: &RedisServer, left: i64) {
    for _ in 0..1000 {
        node.link.clean_now().await.expect("Redis is there");
        if server.run(&["HLEN", LAST]).integer() <= left {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nothing was dropped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_janitor_leaves_what_an_entry_may_still_be_as_old_as() {
    let server = RedisServer::start();
    let a = Node::start(&server.url(), |builder| {
        builder.retention(Duration::from_secs(3600))
    });
    a.until(|a| a.link.is_ready()).await;
    let old = a.basis().position;
    a.applied("club").await;
    a.link.clean_now().await.expect("Redis is there");
    let late = Node::joined(&server).await;
    assert_eq!(late.answer(old, "club").await, Remote::Unusable);
    assert_eq!(late.answer(old, "driver").await, Remote::Fresh);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_janitor_goes_by_the_servers_clock_and_not_by_the_nodes() {
    let server = RedisServer::start();
    let year = Duration::from_secs(365 * 24 * 3600);
    let ahead = move || Timestamp::from(std::time::SystemTime::now() + year);
    let a = Node::start_with(&server.url(), Duration::from_secs(2), ahead, |builder| {
        builder.retention(Duration::from_secs(3600))
    });
    a.until(|a| a.link.is_ready()).await;
    let old = a.basis().position;
    a.applied("club").await;
    a.link.clean_now().await.expect("Redis is there");
    let late = Node::joined(&server).await;
    assert_eq!(late.answer(old, "driver").await, Remote::Fresh);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hash_that_is_too_full_forgets_the_older_half_of_its_time() {
    let server = RedisServer::start();
    let a = Node::start(&server.url(), |builder| builder.max_tags(10));
    a.until(|a| a.link.is_ready()).await;
    let old = a.basis().position;
    for round in 0..20 {
        a.applied(&format!("club:{round}")).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let last = a.applied("last").await;
    a.link.clean_now().await.expect("Redis is there");
    let rows = server.run(&["HLEN", LAST]).integer();
    assert!((4..23).contains(&rows), "{rows} rows are left");
    let late = Node::joined(&server).await;
    assert_eq!(late.answer(old, "club:0").await, Remote::Unusable);
    assert_eq!(late.answer(old, "last").await, Remote::Unusable);
    assert_eq!(late.answer(last, "club:0").await, Remote::Fresh);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_no_position_costs_misses_and_is_swept_away() {
    let server = RedisServer::start();
    let a = Node::joined(&server).await;
    let old = a.basis().position;
    let number = a.id("club").to_bytes();
    let field = [b"h", &number[..]].concat();
    server.run(&[b"HSET", LAST.as_bytes(), &field, b"yesterday"]);
    let last = a.applied("team").await;
    let late = Node::joined(&server).await;
    assert_ne!(late.remote(old, "club").await, Remote::Fresh);
    a.link.clean_now().await.expect("Redis is there");
    assert_eq!(
        server.run(&[b"HGET", LAST.as_bytes(), &field]),
        RedisReply::Nil
    );
    assert_eq!(server.run(&["HGET", LAST, "f"]).text(), last.id.to_string());
    let late = Node::joined(&server).await;
    assert_eq!(late.answer(old, "club").await, Remote::Unusable);
    assert_eq!(late.answer(last, "club").await, Remote::Fresh);
}

/// Enough for a large site: it says what the memory of Redis has to hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_invalidated_tags_take_some_megabytes_and_no_more() {
    let server = RedisServer::start();
    let a = Node::joined(&server).await;
    let b = Node::joined(&server).await;
    let old = b.basis().position;
    for part in 0..25 {
        let tags: Vec<Tag> = (0..4000)
            .map(|n| Tag::new(format!("club:{}:members", part * 4000 + n)))
            .collect();
        let record = pitlane_core::Record::of(a.log.tags(), &tags, false);
        a.link.append(record).await.expect("Redis is there");
    }
    assert_eq!(server.run(&["HLEN", LAST]).integer(), 100_003);
    let usage = |key: &str| {
        server
            .run(&["MEMORY", "USAGE", key, "SAMPLES", "0"])
            .integer()
    };
    let (log, last, tail) = (usage(LOG), usage(LAST), usage(TAIL));
    #[expect(clippy::print_stdout, reason = "figures for people")]
    {
        println!("100,000 tags in 25 records: stream {log}, hash {last}, tail {tail} bytes");
    }
    assert!(log < 6 << 20, "the stream takes {log} bytes");
    assert!(last < 16 << 20, "the hash takes {last} bytes");
    assert!(tail < 1 << 10, "the tail takes {tail} bytes");
    // More than a node remembers by itself, so that it has to ask.
    assert_eq!(b.answer(old, "club:0:members").await, Remote::Unusable);
    assert_eq!(b.answer(old, "club:99999:members").await, Remote::Unusable);
    assert_eq!(b.answer(old, "club:100000:members").await, Remote::Fresh);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_is_bounded_and_the_hash_keeps_what_was_trimmed() {
    let server = RedisServer::start();
    let a = Node::start(&server.url(), |builder| builder.max_length(200));
    a.until(|a| a.link.is_ready()).await;
    let old = a.basis().position;
    for round in 0..1000 {
        a.applied(&format!("club:{}", round % 10)).await;
    }
    let length = server.run(&["XLEN", LOG]).integer();
    assert!((200..500).contains(&length), "{length} records");
    let records = array(server.run(&["XRANGE", LOG, "-", "+", "COUNT", "1"]));
    let first: LogId = array(records[0].clone())[0].text().parse().unwrap();
    assert!(first > old.id);
    let late = Node::joined(&server).await;
    let trimmed = Position { id: first, ..old };
    assert_eq!(late.answer(old, "club:3").await, Remote::Unusable);
    assert_eq!(late.answer(trimmed, "team").await, Remote::Fresh);
}
