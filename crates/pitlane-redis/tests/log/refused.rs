//! The server says no.

use std::time::Duration;

use pitlane_core::{Timestamp, Uplink};
use pitlane_testkit::{Fault, FaultProxy, RedisServer};

use crate::node::{Node, Remote};

/// Sets and unsets what makes the server refuse writes; reads of the remote tier must stop.
async fn stops_remote_reads(on: &[&str], off: &[&str]) {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    let (known, before) = (a.life(), a.basis());
    assert_eq!(a.remote(before.position, "club").await, Remote::Fresh);
    server.run(on);
    for node in [&a, &b] {
        let remote = node.remote(before.position, "club").await;
        assert_eq!(remote, Remote::Failed, "{on:?}");
        node.until(|node| !node.link.is_ready()).await;
    }
    assert_eq!(a.invalidate("team").await, None);
    assert!(!a.serves(&before, "team"));
    server.run(off);
    for node in [&a, &b] {
        node.until_paid().await;
        assert_eq!(node.life(), known, "it is the same process");
        let remote = node.answer(before.position, "club").await;
        assert_eq!(remote, Remote::Fresh);
        let remote = node.answer(before.position, "team").await;
        assert_eq!(remote, Remote::Unusable);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demoted_primary_stops_remote_reads() {
    let on = ["REPLICAOF", "127.0.0.1", "1"];
    stops_remote_reads(&on, &["REPLICAOF", "NO", "ONE"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_few_replicas_stop_remote_reads() {
    let set = |to| ["CONFIG", "SET", "min-replicas-to-write", to];
    stops_remote_reads(&set("1"), &set("0")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_still_takes_invalidations_and_new_lives() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    server.run(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = server.cli().run(&["SET", "entry", "value"]).unwrap();
    assert!(refused.is_error("OOM"), "{refused:?}");
    for round in 0..20 {
        let before = b.basis().position;
        a.applied("club").await;
        let remote = b.answer(before, "club").await;
        assert_eq!(remote, Remote::Unusable, "{round}");
    }
    let known = a.life();
    server.run(&["SCRIPT", "FLUSH"]);
    for node in [&a, &b] {
        node.until_other_life(known).await;
    }
    let late = Node::joined(&server).await;
    late.applied("club").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_clock_is_known_whatever_the_nodes_says() {
    let server = RedisServer::start();
    let hour = Duration::from_secs(3600);
    // A clock that is behind, and one at the very beginning of time.
    let behind = move || Timestamp::from(std::time::SystemTime::now() - hour);
    let a = Node::start_with(&server.url(), hour / 3600, behind, |builder| builder);
    a.until(|a| a.link.is_ready()).await;
    let off = a.link.clock_offset() - 3_600_000;
    assert!(off.abs() < 2_000, "off by {off} ms");
    // (Half the time that an answer takes lies before it.)
    let proxy = FaultProxy::start(server.address()).await;
    proxy.set(Fault::Delay(Duration::from_millis(20)));
    let zero = || Timestamp::from_millis(0);
    let b = Node::start_with(&proxy.url(), hour / 3600, zero, |builder| builder);
    b.until(|b| b.link.is_ready()).await;
    assert!(b.link.clock_offset() > 1_600_000_000_000);
    b.applied("club").await;
}
