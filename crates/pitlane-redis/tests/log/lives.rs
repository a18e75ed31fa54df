//! The server is another process than it was: restarted, or promoted in the place of one.

use std::time::Duration;

use pitlane_core::Uplink;
use pitlane_testkit::RedisServer;

use crate::keys::{self, first};
use crate::node::{DEADLINE, Node, Remote};
use crate::switch::Switch;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_process_is_another_life_of_the_log_even_with_all_its_data() {
    let server = RedisServer::builder().append_only().start();
    restarted(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lost_its_data_begins_the_log_anew() {
    restarted(RedisServer::start()).await;
}

async fn restarted(server: RedisServer) {
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    let (known, before) = (a.life(), a.basis());
    a.applied("club").await;
    let after = a.basis();
    server.restart();
    for node in [&a, &b] {
        node.until_other_life(known).await;
        assert!(!node.serves(&after, "team"));
        for old in [before, after] {
            let remote = node.answer(old.position, "team").await;
            assert_eq!(remote, Remote::Unusable);
        }
    }
    a.until_paid().await;
    b.until(|b| b.life() == a.life()).await;
    let fresh = a.basis().position;
    assert_eq!(a.answer(fresh, "team").await, Remote::Fresh);
    // The new server may not know of what was acknowledged a moment ago: it is appended again.
    let first = first(&server, fresh);
    let late = Node::joined(&server).await;
    for node in [&a, &b, &late] {
        assert_eq!(node.answer(first, "team").await, Remote::Fresh);
        assert_eq!(node.answer(first, "club").await, Remote::Unusable);
    }
}

/// The clock of the server that lost its log was ahead: what it gave out looks later than all
/// that the next life will ever have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_of_another_life_are_unusable_even_where_they_look_later() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    let mark = a.watermark();
    let later = format!("{}-0", mark.id().millis + 1_000_000_000);
    let (i, n, p) = (keys::life(mark), keys::name(7), keys::name(mark.nonce));
    let record = ["i", &i, "n", &n, "p", &p, "r", "\u{1}\0\0\0\0\0\0\0\0"];
    let command: Vec<&str> = ["XADD", keys::LOG, &later]
        .into_iter()
        .chain(record)
        .collect();
    server.run(&command);
    for node in [&a, &b] {
        node.until(|node| node.watermark().nonce == 7).await;
    }
    let before = a.basis();
    assert_eq!(b.answer(before.position, "club").await, Remote::Fresh);
    server.run(&["FLUSHALL"]);
    for node in [&a, &b] {
        node.until_other_life(mark.incarnation()).await;
        assert!(node.basis().position.id < before.position.id);
        assert!(!node.serves(&before, "club"));
        let remote = node.answer(before.position, "club").await;
        assert_eq!(remote, Remote::Unusable);
    }
}

/// A primary with a replica that has everything, and what leads to the primary.
async fn pair() -> (RedisServer, RedisServer, Switch) {
    let (primary, replica) = (RedisServer::start(), RedisServer::start());
    let (host, port) = (primary.address().ip(), primary.port());
    replica.run(&["REPLICAOF", &host.to_string(), &port.to_string()]);
    let switch = Switch::to(primary.address());
    until("the replica is in touch", || {
        let info = replica.run(&["INFO", "replication"]);
        info.text().contains("master_link_status:up")
    })
    .await;
    (primary, replica, switch)
}

async fn until(what: &str, met: impl Fn() -> bool) {
    let wait = async {
        while !met() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(DEADLINE, wait).await;
    assert!(waited.is_ok(), "waited 10 s until {what}");
}

/// Waits until both have the same records.
async fn caught_up(primary: &RedisServer, replica: &RedisServer) {
    until("the replica has everything", || {
        let length = |server: &RedisServer| crate::keys::length(server);
        length(primary) == length(replica)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_replica_that_lags_is_another_life_and_is_told_again_what_it_lost() {
    let (primary, replica, switch) = pair().await;
    let a = Node::joined_at(&switch.url()).await;
    let b = Node::joined_at(&switch.url()).await;
    let (known, before) = (a.life(), a.basis());
    a.applied("team").await;
    caught_up(&primary, &replica).await;
    // From here on it lags for ever, and the old primary goes on for a while.
    replica.run(&["REPLICAOF", "NO", "ONE"]);
    a.applied("club").await;
    assert_eq!(b.answer(before.position, "club").await, Remote::Unusable);
    switch.turn(replica.address());
    for node in [&a, &b] {
        node.until_other_life(known).await;
        for name in ["club", "team", "other"] {
            let remote = node.answer(before.position, name).await;
            assert_eq!(remote, Remote::Unusable, "{name}");
            assert!(!node.serves(&before, name));
        }
    }
    a.until_paid().await;
    b.until(|b| b.life() == a.life()).await;
    let first = first(&replica, a.basis().position);
    let late = Node::joined_at(&switch.url()).await;
    for node in [&a, &b, &late] {
        assert_eq!(node.answer(first, "club").await, Remote::Unusable);
        assert_eq!(node.answer(first, "other").await, Remote::Fresh);
    }
}

/// The old primary was never demoted: it still has the earlier life, whole, and its script.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_was_left_behind_is_not_believed_when_it_comes_back() {
    let (primary, replica, switch) = pair().await;
    let a = Node::joined_at(&switch.url()).await;
    let (earlier, before) = (a.life(), a.basis());
    replica.run(&["REPLICAOF", "NO", "ONE"]);
    switch.turn(replica.address());
    a.until_other_life(earlier).await;
    // This one never knew the earlier life.
    let b = Node::joined_at(&switch.url()).await;
    let second = b.life();
    a.applied("club").await;
    b.link.confirm().await.expect("Redis is there");
    drop(a);
    switch.turn(primary.address());
    b.until_other_life(second).await;
    assert_ne!(b.life(), earlier);
    let remote = b.answer(before.position, "club").await;
    assert_eq!(remote, Remote::Unusable);
}

/// A server that has the data, but is no primary (yet), can't be asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_from_a_replica() {
    let (primary, replica, switch) = pair().await;
    let a = Node::joined_at(&switch.url()).await;
    let before = a.basis();
    caught_up(&primary, &replica).await;
    switch.turn(replica.address());
    a.until(|a| !a.link.is_ready()).await;
    for _ in 0..20 {
        let remote = a.remote(before.position, "club").await;
        assert_eq!(remote, Remote::Failed);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(a.invalidate("club").await, None);
    assert!(!a.serves(&before, "club"));
}
