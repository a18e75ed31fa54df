//! The log's keys are evicted, flushed, or replaced by something else.

use pitlane_core::Uplink;
use pitlane_testkit::RedisServer;

use crate::keys::{ALL, LAST, LOG, TAIL, life, tail};
use crate::node::{Node, Remote};

/// Two nodes and an entry that both would serve, and one that was invalidated.
struct Site {
    server: RedisServer,
    nodes: [Node; 2],
}

impl Site {
    async fn begin() -> Self {
        let server = RedisServer::start();
        let nodes = [Node::joined(&server).await, Node::joined(&server).await];
        Self { server, nodes }
    }

    /// After `damage` nothing from before may be served, and both follow one new life.
    #[track_caller]
    fn is_cold_after(&self, damage: &[&str]) -> impl Future<Output = ()> {
        let [a, b] = &self.nodes;
        let at = std::panic::Location::caller();
        async move {
            let (known, before) = (a.life(), a.basis());
            a.applied("club").await;
            b.link.confirm().await.expect("Redis is there");
            let (after, theirs) = (a.basis(), b.basis());
            self.server.run(damage);
            for node in [a, b] {
                // Whatever answers first is no longer from before.
                assert_ne!(node.remote(before.position, "club").await, Remote::Fresh);
                node.until_other_life(known).await;
                for old in [before, after, theirs] {
                    assert!(!node.serves(&old, "club"), "{damage:?} at {at}");
                    assert!(!node.serves(&old, "other"), "{damage:?} at {at}");
                    let remote = node.answer(old.position, "other").await;
                    assert_eq!(remote, Remote::Unusable, "{damage:?} at {at}");
                }
            }
            self.goes_on().await;
        }
    }

    /// Both nodes follow one log in which invalidations work.
    async fn goes_on(&self) {
        let [a, b] = &self.nodes;
        a.until_paid().await;
        b.until_paid().await;
        b.until(|b| b.life() == a.life()).await;
        let fresh = b.basis();
        let position = a.applied("team").await;
        assert_eq!(b.answer(fresh.position, "team").await, Remote::Unusable);
        assert_eq!(b.answer(position, "team").await, Remote::Fresh);
        b.until(|b| !b.serves(&fresh, "team")).await;
        assert_eq!(a.life(), b.life());
        assert!(tail(&self.server).starts_with(&life(a.watermark())));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_stream_or_its_hash_the_log_begins_anew() {
    let site = Site::begin().await;
    for command in ["DEL", "UNLINK"] {
        for keys in [
            &[LOG][..],
            &[LAST],
            &[LOG, LAST],
            &[LOG, TAIL],
            &[LAST, TAIL],
            &ALL,
        ] {
            let damage: Vec<&str> = [command].iter().chain(keys).copied().collect();
            site.is_cold_after(&damage).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_tail_is_put_back_and_costs_nothing() {
    let site = Site::begin().await;
    let [a, b] = &site.nodes;
    let (known, before) = (a.life(), b.basis());
    let position = a.applied("club").await;
    let right = tail(&site.server);
    for damage in [
        &["DEL", TAIL][..],
        &["SET", TAIL, "what is this"],
        &["SET", TAIL, ""],
        &["LPUSH", TAIL, "a list"],
    ] {
        site.server.run(&["DEL", TAIL]);
        site.server.run(damage);
        let answer = b.answer(before.position, "club").await;
        assert_eq!(answer, Remote::Unusable, "{damage:?}");
        let answer = b.answer(position, "club").await;
        assert_eq!(answer, Remote::Fresh, "{damage:?}");
        b.until(|b| b.link.is_ready()).await;
        assert_eq!(tail(&site.server), right, "{damage:?}");
        // Somebody who joins finds the way without it.
        site.server.run(&["DEL", TAIL]);
        site.server.run(damage);
        let late = Node::joined(&site.server).await;
        assert_eq!(late.life(), known, "{damage:?}");
    }
    assert_eq!(a.life(), known);
    assert_eq!(a.link.status().incarnations, 1);
    site.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_tail_is_put_back_by_an_append_as_well() {
    let site = Site::begin().await;
    let [a, b] = &site.nodes;
    for _ in 0..20 {
        let before = b.basis().position;
        site.server.run(&["DEL", TAIL]);
        a.applied("club").await;
        assert_ne!(b.remote(before, "club").await, Remote::Fresh);
    }
    site.goes_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flushed_log_begins_anew() {
    let site = Site::begin().await;
    for damage in [
        &["FLUSHALL"][..],
        &["FLUSHDB"],
        &["FLUSHALL", "ASYNC"],
        &["SCRIPT", "FLUSH"],
        &["XTRIM", LOG, "MAXLEN", "0"],
    ] {
        site.is_cold_after(damage).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn something_else_in_the_place_of_stream_or_hash_is_replaced() {
    let site = Site::begin().await;
    for key in [LOG, LAST] {
        site.is_cold_after(&["SET", key, "text"]).await;
    }
}

/// Whoever invalidates first after a flush begins the new log, and nobody else a further one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_flush_another_nodes_append_goes_into_a_new_life_that_all_join() {
    let site = Site::begin().await;
    let [a, b] = &site.nodes;
    for round in 0..10 {
        let (known, before) = (b.life(), b.basis());
        site.server.run(&["FLUSHALL"]);
        let appended = a.invalidate("club").await;
        assert!(appended.is_none_or(|at| at.incarnation != known), "{round}");
        assert_ne!(b.remote(before.position, "club").await, Remote::Fresh);
        assert_ne!(b.remote(before.position, "team").await, Remote::Fresh);
        for node in [a, b] {
            node.until_other_life(known).await;
            assert_eq!(node.answer(before.position, "team").await, Remote::Unusable);
        }
        a.until_paid().await;
        b.until(|b| b.life() == a.life()).await;
        // What was owed is in it.
        let first = crate::keys::first(&site.server, a.basis().position);
        assert_eq!(b.answer(first, "club").await, Remote::Unusable);
    }
    site.goes_on().await;
}

/// All nodes find out at about the same time, and each wants to begin a new life in place of the
/// one that it knew. Only the first may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_nodes_find_out_one_new_life_begins() {
    let server = RedisServer::start();
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(Node::joined(&server).await);
    }
    for round in 1..=10 {
        let known = nodes[0].life();
        server.run(&["SCRIPT", "FLUSH"]);
        for node in &nodes {
            node.until_other_life(known).await;
        }
        for node in &nodes {
            node.until_paid().await;
            assert_eq!(node.life(), nodes[0].life(), "round {round}");
            assert_eq!(node.link.status().incarnations, round + 1);
        }
    }
}
