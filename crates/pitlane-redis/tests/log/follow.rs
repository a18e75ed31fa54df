//! What a node may believe while all is well, and when it has missed something.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use pitlane_core::{Position, RemoteJudgement, Uplink};
use pitlane_testkit::{Fault, FaultProxy, RedisServer};

use crate::keys::{LOG, length, tail};
use crate::node::{DEADLINE, Node, Remote};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_invalidation_is_known_to_every_remote_read_that_begins_after_it() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    for round in 0..200 {
        let before = b.basis().position;
        assert_eq!(b.remote(before, "club").await, Remote::Fresh, "{round}");
        let position = a.applied("club").await;
        assert_eq!(b.remote(before, "club").await, Remote::Unusable, "{round}");
        assert_eq!(b.remote(position, "club").await, Remote::Fresh, "{round}");
        assert_eq!(b.remote(before, "other").await, Remote::Fresh, "{round}");
    }
}

/// Without its heartbeat and its follower a node learns of nothing unless it asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remote_read_asks_for_the_tail_and_waits_for_no_news() {
    let server = RedisServer::start();
    let a = Node::joined(&server).await;
    server.run(&[
        "ACL", "SETUSER", "b", "on", ">b", "~*", "&*", "+@all", "-xread",
    ]);
    let url = format!("redis://b:b@{}/0", server.address());
    let b = Node::start(&url, |builder| builder.heartbeat(HOUR));
    b.until(|b| b.link.is_ready()).await;
    for round in 0..50 {
        let before = b.basis().position;
        a.applied("club").await;
        assert_eq!(b.answer(before, "club").await, Remote::Unusable, "{round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_on_another_node_follows_without_anybody_asking() {
    let server = RedisServer::start();
    let a = Node::joined(&server).await;
    // No heartbeat: the follower alone brings it.
    let b = Node::start(&server.url(), |builder| builder.heartbeat(HOUR));
    b.until(|b| b.link.is_ready()).await;
    let (before, generation) = (b.basis(), b.log.generation());
    assert!(b.serves(&before, "club"));
    a.applied("club").await;
    b.until(|b| !b.serves(&before, "club")).await;
    assert!(b.serves(&before, "other"));
    assert!(b.log.generation() > generation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_follower_the_heartbeat_brings_what_others_invalidated() {
    let server = RedisServer::start();
    let a = Node::joined(&server).await;
    server.run(&[
        "ACL", "SETUSER", "b", "on", ">b", "~*", "&*", "+@all", "-xread",
    ]);
    let b = Node::joined_at(&format!("redis://b:b@{}/0", server.address())).await;
    let before = b.basis();
    a.applied("club").await;
    b.until(|b| !b.serves(&before, "club")).await;
    assert!(b.serves(&before, "other"));
}

/// An own append whose answer overtakes what the follower brings must not hide it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_own_append_does_not_advance_over_records_that_were_not_seen() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    for round in 0..200 {
        let (theirs, own) = (format!("theirs:{round}"), format!("own:{round}"));
        let before = b.basis();
        let (first, second) = tokio::join!(a.applied(&theirs), b.applied(&own));
        assert!(!b.serves(&before, &own), "an own one counts at once");
        b.until(|b| b.watermark().id() >= first.id.max(second.id))
            .await;
        assert!(!b.serves(&before, &theirs), "{round}");
    }
    assert_eq!(b.link.status().gaps, 0, "nothing was missing");
    assert_eq!(
        b.link.status().incarnations,
        1,
        "nor was the log begun anew"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joining_node_starts_at_the_tail_and_judges_by_itself_from_there_on() {
    let server = RedisServer::start();
    let a = Node::joined(&server).await;
    let old = a.basis().position;
    let last = a.applied("club").await;
    let b = Node::joined(&server).await;
    assert_eq!(b.watermark(), a.watermark());
    assert_eq!(b.basis().position, last);
    let ids = [b.id("club")];
    assert_eq!(b.log.judge_remote(old, &ids), RemoteJudgement::Ask);
    let fresh = b.log.judge_remote(last, &ids);
    assert!(matches!(fresh, RemoteJudgement::Fresh(_)), "{fresh:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_computed_before_the_join_is_nobody_elses_and_dies_at_it() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address()).await;
    proxy.set(Fault::Refuse);
    let node = Node::start(&proxy.url(), |builder| builder);
    let alone = node.basis();
    assert!(node.serves(&alone, "club"));
    assert!(!node.log.is_shared(alone.position));
    assert!(!node.link.is_ready());
    proxy.set(Fault::Pass);
    node.until(|node| node.link.is_ready()).await;
    assert!(!node.serves(&alone, "club"));
    assert!(node.log.is_shared(node.basis().position));
}

/// Records that were trimmed before a node read them.
async fn missed(keep: &str) {
    let server = RedisServer::start();
    let a = Node::joined(&server).await;
    let proxy = FaultProxy::start(server.address()).await;
    let b = Node::joined_at(&proxy.url()).await;
    let before = b.basis();
    // What the hash said of a tag is remembered below the horizon, until something is missed.
    b.link.ask(&[b.id("team")]).await.expect("Redis is there");
    proxy.set(Fault::Blackhole);
    for name in ["club", "team", "driver", "race"] {
        a.applied(name).await;
    }
    server.run(&["XTRIM", LOG, "MAXLEN", keep]);
    assert!(b.serves(&before, "team"), "it can't know yet");
    let gaps = b.link.status().gaps;
    proxy.set(Fault::Pass);
    b.until(|b| b.link.status().gaps > gaps && b.link.is_ready())
        .await;
    // (The first of them may have been on its way already.)
    for name in ["team", "driver", "race", "other"] {
        assert!(!b.serves(&before, name), "in memory all is a miss");
    }
    assert_eq!(b.life(), a.life(), "the log goes on");
    assert_eq!(b.answer(before.position, "team").await, Remote::Unusable);
    assert_eq!(b.answer(before.position, "other").await, Remote::Fresh);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_in_a_trimmed_stream_is_a_new_join() {
    missed("2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_record_that_is_left_does_not_hide_the_gap_before_it() {
    missed("1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_the_least_length_is_never_empty() {
    let server = RedisServer::start();
    let a = Node::start(&server.url(), |builder| builder.max_length(0));
    a.until(|a| a.link.is_ready()).await;
    let life = a.life();
    for round in 0..250 {
        a.applied(&format!("club:{round}")).await;
        assert!(length(&server) > 0);
    }
    assert_eq!(a.link.status().incarnations, 1);
    assert_eq!(a.life(), life);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_given_to_a_client_is_reached_on_another_node() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    for _ in 0..50 {
        let before = b.basis();
        let token = a.applied("club").await.to_string();
        let position: Position = token.parse().expect("a position");
        b.link.confirm().await.expect("Redis is there");
        let reached = b.basis().position;
        assert_eq!(reached.incarnation, position.incarnation);
        assert!(reached.id >= position.id);
        assert!(!b.serves(&before, "club"));
    }
    assert!(tail(&server).starts_with(&crate::keys::life(b.watermark())));
}

/// A future that is not polled any more, for whatever reason, holds up nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_never_polled_again_holds_up_neither_reads_nor_the_keeper() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    let mut stalled = Vec::new();
    for polls in 0..12 {
        let before = b.basis().position;
        a.applied("club").await;
        let mut confirm = b.link.confirm();
        for _ in 0..polls {
            let done = poll_fn(|cx| Poll::Ready(confirm.as_mut().poll(cx).is_ready())).await;
            if done {
                break;
            }
            tokio::task::yield_now().await;
        }
        stalled.push(confirm);
        let read = tokio::time::timeout(DEADLINE, b.remote(before, "club")).await;
        assert_eq!(read, Ok(Remote::Unusable), "{polls} polls");
    }
    assert_eq!(stalled.len(), 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_outlives_the_last_handle_of_a_link() {
    let server = RedisServer::start();
    let connections = || {
        let list = server.run(&["CLIENT", "LIST"]);
        list.text().lines().count()
    };
    let node = Node::joined(&server).await;
    assert!(connections() > 1);
    let copy = node.link.clone();
    drop(node.link);
    assert!(copy.confirm().await.is_ok(), "a clone keeps it going");
    drop(copy);
    let ended = async {
        // The one that asks is one of them.
        while connections() > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let ended = tokio::time::timeout(DEADLINE, ended).await;
    assert!(ended.is_ok(), "{} connections are left", connections());
}
