//! Somebody else writes to the log's keys. Whatever is there, nothing panics, nothing stale is
//! served, and in the end the log goes on.

use pitlane_core::{Logged, Timestamp, Uplink, Watermark};
use pitlane_testkit::RedisServer;

use crate::keys::{Copy, LAST, LOG, TAIL, forge, life, name};
use crate::node::{Node, Remote};

async fn goes_on(server: &RedisServer, a: &Node, b: &Node) {
    a.until_paid().await;
    b.until_paid().await;
    b.until(|b| b.life() == a.life()).await;
    let fresh = b.basis();
    let position = loop {
        // The keeper may just be at work.
        if let Some(position) = a.invalidate("team").await {
            break position;
        }
        a.until_paid().await;
    };
    assert_eq!(b.answer(fresh.position, "team").await, Remote::Unusable);
    assert_eq!(b.answer(position, "team").await, Remote::Fresh);
    let late = Node::joined(server).await;
    assert_eq!(late.answer(fresh.position, "team").await, Remote::Unusable);
    assert_eq!(late.answer(position, "team").await, Remote::Fresh);
}

/// A record that can't be read (by an older version, say) is a gap: it costs what is in memory,
/// on each node once, and not what is in Redis.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cant_be_read_is_a_gap_and_no_new_life() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    for record in ["", "\u{2}later format", "\u{1}cut"] {
        b.link.confirm().await.expect("Redis is there");
        let mark = b.watermark();
        let (i, n) = (life(mark), name(0xfeed));
        let before = [a.basis(), b.basis()];
        forge(
            &server,
            &["i", &i, "n", &n, "p", &name(mark.nonce), "r", record],
        );
        for (node, before) in [&a, &b].into_iter().zip(&before) {
            node.until(|node| node.watermark().nonce == 0xfeed).await;
            assert!(!node.serves(before, "other"), "{record:?}");
            assert_eq!(node.life(), mark.incarnation(), "{record:?}");
        }
        let remote = b.answer(before[1].position, "other").await;
        assert_eq!(remote, Remote::Fresh, "the hash still knows");
        goes_on(&server, &a, &b).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_does_not_follow_the_last_one_is_a_gap() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    let before = b.basis();
    let (i, n) = (life(b.watermark()), name(0xfeed));
    let record = String::from_utf8(a.record("x").encode());
    // Only its link is wrong.
    let record = record.unwrap_or_else(|_| "\u{1}\0\0\0\0\0\0\0\0".to_owned());
    forge(
        &server,
        &["i", &i, "n", &n, "p", &name(0xbad), "r", &record],
    );
    b.until(|b| b.watermark().nonce == 0xfeed).await;
    assert!(!b.serves(&before, "other"));
    assert_eq!(b.link.status().gaps, 1);
    goes_on(&server, &a, &b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_record_of_the_log_at_its_end_begins_it_anew() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    for fields in [
        &["what", "ever"][..],
        &["i", "LIFE"],
        &["i", "LIFE", "n", "short", "p", "", "r", ""],
        &["i", "LIFE", "n", "'..os.exit()--000", "p", "", "r", ""],
        &[
            "i",
            "0123456789abcdef",
            "n",
            "0123456789abcdef",
            "p",
            "",
            "r",
            "",
        ],
    ] {
        let (known, before) = (a.life(), a.basis());
        let life = life(a.watermark());
        let fields: Vec<&str> = fields
            .iter()
            .map(|field| if *field == "LIFE" { &*life } else { field })
            .collect();
        forge(&server, &fields);
        for node in [&a, &b] {
            node.until_other_life(known).await;
            let remote = node.answer(before.position, "other").await;
            assert_eq!(remote, Remote::Unusable, "{fields:?}");
        }
        goes_on(&server, &a, &b).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hash_without_a_floor_or_with_another_incarnation_begins_the_log_anew() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    for damage in [
        &["HDEL", LAST, "f"][..],
        &["HSET", LAST, "f", "low"],
        &["HDEL", LAST, "i"],
        &["HSET", LAST, "i", "0123456789abcdef"],
        &["HSET", LAST, "i", "no incarnation"],
    ] {
        let known = a.life();
        server.run(damage);
        for node in [&a, &b] {
            node.until_other_life(known).await;
        }
        goes_on(&server, &a, &b).await;
    }
}

/// Stream and hash agree on something that no node ever wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_log_of_a_life_that_nobody_began_is_replaced() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    for other in ["no incarnation !", "0123456789abcdef"] {
        let known = a.life();
        server.run(&["HSET", LAST, "i", other]);
        forge(&server, &["i", other, "n", &name(1), "p", "", "r", ""]);
        for node in [&a, &b] {
            node.until_other_life(known).await;
            assert_ne!(name(node.life().as_u64()), other);
        }
        goes_on(&server, &a, &b).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_can_give_no_further_id_begins_anew() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    let known = a.life();
    let last = format!("{}-{}", u64::MAX, u64::MAX);
    let (i, p) = (life(a.watermark()), name(a.watermark().nonce));
    let record = "\u{1}\0\0\0\0\0\0\0\0";
    server.run(&[
        "XADD",
        LOG,
        &last,
        "i",
        &i,
        "n",
        &name(7),
        "p",
        &p,
        "r",
        record,
    ]);
    let before = b.basis();
    let _ = a.invalidate("club").await;
    for node in [&a, &b] {
        node.until_other_life(known).await;
    }
    assert!(!b.serves(&before, "club"));
    goes_on(&server, &a, &b).await;
    assert_eq!(a.log.debts(), 0);
}

/// It names an earlier life, whose script the server knows; or nothing at all. No other node is
/// there to put it right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_tail_misleads_nobody_who_joins() {
    let server = RedisServer::start();
    let a = Node::joined(&server).await;
    let known = a.life();
    let old = crate::keys::tail(&server);
    server.run(&["DEL", LAST]);
    a.until_other_life(known).await;
    let life = a.life();
    drop(a);
    for damage in [
        &["SET", TAIL, &old][..],
        &["SET", TAIL, "what is this"],
        &["LPUSH", TAIL, "a list"],
        &["DEL", TAIL],
    ] {
        server.run(&["DEL", TAIL]);
        server.run(damage);
        let late = Node::joined(&server).await;
        assert_eq!(late.life(), life, "{damage:?}");
    }
    let late = Node::joined(&server).await;
    goes_on(&server, &late, &Node::joined(&server).await).await;
}

/// An append was acknowledged, and then the log lost it before this node had read so far.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_own_record_that_the_log_does_not_have_begins_it_anew() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    let (known, before) = (a.life(), b.basis());
    let mark = a.watermark();
    let lost = Logged {
        at: Watermark::new(known, mark.id().next(), 0xfeed),
        previous: 0xbad,
        record: a.record("club"),
    };
    assert!(a.log.appended(&lost, None, Timestamp::from_millis(0)));
    assert!(b.serves(&before, "club"), "nobody else knows of it");
    // The log goes past it.
    let _ = b.invalidate("driver").await;
    for node in [&a, &b] {
        node.until_other_life(known).await;
        let remote = node.answer(before.position, "club").await;
        assert_eq!(remote, Remote::Unusable);
    }
    goes_on(&server, &a, &b).await;
}

/// The server is the same process, but its data is from before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_put_back_to_an_earlier_state_begins_anew() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    for appended in [0, 1, 5] {
        let known = a.life();
        let before = a.basis();
        let copy = Copy::take(&server);
        a.applied("club").await;
        let after = a.basis();
        copy.restore(&server);
        for round in 0..appended {
            // Somebody goes on before the loss is noticed, or not.
            let _ = b.invalidate(&format!("driver:{round}")).await;
        }
        for node in [&a, &b] {
            node.until_other_life(known).await;
            for old in [before, after] {
                assert!(!node.serves(&old, "club"));
                let remote = node.answer(old.position, "club").await;
                assert_eq!(remote, Remote::Unusable);
            }
        }
        let late = Node::joined(&server).await;
        let remote = late.answer(before.position, "club").await;
        assert_eq!(remote, Remote::Unusable);
        goes_on(&server, &a, &b).await;
    }
}

/// Two logs in one process: the state of an earlier life comes back, and the server knows the
/// script of that life as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_life_that_comes_back_is_not_joined_again() {
    let server = RedisServer::start();
    let a = Node::joined(&server).await;
    let (earlier, before) = (a.life(), a.basis());
    let copy = Copy::take(&server);
    server.run(&["DEL", LAST]);
    a.until_other_life(earlier).await;
    // Knows the second life only.
    let b = Node::joined(&server).await;
    let second = b.life();
    a.applied("club").await;
    drop(a);
    copy.restore(&server);
    b.until_other_life(second).await;
    assert_ne!(b.life(), earlier);
    assert_eq!(b.answer(before.position, "club").await, Remote::Unusable);
    goes_on(&server, &b, &Node::joined(&server).await).await;
}
