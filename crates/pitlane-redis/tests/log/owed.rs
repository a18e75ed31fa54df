//! Invalidations that the log has not acknowledged.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use pitlane_core::{Judgement, Record, Tag, Uplink};
use pitlane_testkit::{Fault, FaultProxy, RedisServer};

use crate::keys::length;
use crate::node::{Node, Remote};
use crate::switch::Switch;

const FOR_EVER: Duration = Duration::from_secs(3600);

/// So many tags that one record can't name them all.
fn many(node: &Node, count: u32) -> Record {
    let tags: Vec<Tag> = (0..count).map(|n| Tag::new(format!("club:{n}"))).collect();
    Record::of(node.log.tags(), &tags, false)
}

/// A node that soon gives up waiting.
async fn hasty(url: &str) -> Node {
    let clock = || SystemTime::now().into();
    let node = Node::start_with(url, Duration::from_millis(300), clock, |builder| builder);
    node.until(|node| node.link.is_ready()).await;
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_owed_holds_at_once_and_reaches_the_others_when_redis_is_back() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    let (before_a, before_b) = (a.basis(), b.basis());
    server.freeze();
    assert_eq!(a.invalidate("club").await, None);
    assert!(!a.serves(&before_a, "club"));
    assert!(a.serves(&before_a, "other"));
    assert!(b.serves(&before_b, "club"));
    server.thaw();
    b.until(|b| !b.serves(&before_b, "club")).await;
    a.until_paid().await;
}

/// The command is carried out, and nobody ever hears of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_whose_answer_is_lost_is_owed_and_appended_again() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address()).await;
    let a = hasty(&proxy.url()).await;
    let b = Node::joined(&server).await;
    let before = (a.basis(), b.basis(), length(&server));
    proxy.set(Fault::Delay(FOR_EVER));
    assert_eq!(a.invalidate("club").await, None, "queued");
    assert!(!a.serves(&before.0, "club"), "it holds here at once");
    assert_eq!(a.log.debts(), 1);
    b.until(|b| !b.serves(&before.1, "club")).await;
    proxy.set(Fault::Pass);
    proxy.cut_all();
    a.until_paid().await;
    assert!(length(&server) >= before.2 + 2, "twice at least");
    assert_eq!(a.life(), b.life());
    assert_eq!(a.answer(before.0.position, "club").await, Remote::Unusable);
    assert_eq!(a.answer(before.0.position, "other").await, Remote::Fresh);
}

/// First everything that is owed is in the log, and then the remote tier is read again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_from_the_remote_tier_before_the_queue_is_in_the_log() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address()).await;
    let a = hasty(&proxy.url()).await;
    let b = Node::joined(&server).await;
    let theirs = b.basis();
    proxy.set(Fault::Refuse);
    a.until(|a| !a.link.is_ready()).await;
    for n in 0..200 {
        assert_eq!(a.invalidate(&format!("club:{n}")).await, None);
    }
    proxy.set(Fault::Pass);
    a.until(|a| {
        let owed = a.log.debts();
        assert!(!a.link.is_ready() || owed == 0, "ready and owes {owed}");
        a.link.is_ready()
    })
    .await;
    let remote = b.answer(theirs.position, "club:199").await;
    assert_eq!(remote, Remote::Unusable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_owes_more_than_it_remembers_begins_the_log_anew_for_all() {
    let server = RedisServer::start();
    let clock = || SystemTime::now().into();
    let budget = Duration::from_secs(2);
    // It could hold all that it forgets to append.
    let a = Node::start_of(&server.url(), budget, 200_000, clock, |builder| builder);
    a.until(|a| a.link.is_ready()).await;
    let b = Node::joined(&server).await;
    let (known, before) = (a.life(), b.basis());
    let late = b.applied("driver").await;
    server.freeze();
    a.link.owe(many(&a, 70_000));
    assert!(a.log.has_overflowed());
    assert_eq!(a.log.debts(), 0);
    // What was forgotten could be about anything.
    let remote = a.log.judge_remote(late, &[a.id("other")]);
    assert!(matches!(remote, pitlane_core::RemoteJudgement::Unusable(_)));
    server.thaw();
    for node in [&a, &b] {
        node.until_other_life(known).await;
        node.until_paid().await;
        for name in ["club:1", "club:69999", "other"] {
            assert!(!node.serves(&before, name));
            let remote = node.answer(late, name).await;
            assert_eq!(remote, Remote::Unusable);
        }
    }
    b.until(|b| b.life() == a.life()).await;
    let fresh = a.basis().position;
    assert_eq!(b.answer(fresh, "club:1").await, Remote::Fresh);
}

/// All parts of a long record are owed from the moment that somebody asked for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_is_dropped_is_owed_whole() {
    let server = RedisServer::start();
    let b = Node::joined(&server).await;
    for polls in [0, 1, 3] {
        let a = Node::joined(&server).await;
        let before = b.basis();
        let mut append = a.link.append(many(&a, 9_000));
        for _ in 0..polls {
            let done = poll_fn(|cx| Poll::Ready(append.as_mut().poll(cx).is_ready())).await;
            assert!(!done, "three parts take longer");
        }
        drop(append);
        assert!(a.log.debts() > 1, "{polls} polls: {} owed", a.log.debts());
        b.until(|b| {
            ["club:0", "club:4999", "club:8999"]
                .iter()
                .all(|name| !b.serves(&before, name))
        })
        .await;
        a.until_paid().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_record_is_applied_whole_and_stands_at_its_last_part() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    let before = (b.basis().position, length(&server));
    let position = a.link.append(many(&a, 9_000)).await;
    let position = position.expect("Redis is there");
    assert_eq!(length(&server), before.1 + 3);
    for name in ["club:0", "club:4999", "club:8999"] {
        assert_eq!(b.answer(before.0, name).await, Remote::Unusable);
        assert_eq!(b.answer(position, name).await, Remote::Fresh);
    }
    server.freeze();
    assert_eq!(a.link.append(many(&a, 9_000)).await, None);
    assert_eq!(a.log.debts(), 3);
    server.thaw();
    a.until_paid().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_waits_for_what_is_owed() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    let before = b.basis();
    for n in 0..50 {
        a.link.owe(a.record(&format!("club:{n}")));
    }
    assert!(a.link.shutdown(Duration::from_secs(10)).await);
    assert_eq!(a.log.debts(), 0);
    for n in 0..50 {
        let remote = b.answer(before.position, &format!("club:{n}")).await;
        assert_eq!(remote, Remote::Unusable);
    }
    // Nobody tells this node anything any more.
    assert!(!a.link.is_ready());
    assert!(a.log.is_degraded());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_has_a_limit_and_says_what_it_leaves_behind() {
    let server = RedisServer::start();
    let owing = Node::joined(&server).await;
    let appending = Node::joined(&server).await;
    server.freeze();
    let limit = Duration::from_millis(300);
    owing.link.owe(owing.record("club"));
    assert!(!owing.link.shutdown(limit).await);
    let mut append = appending.link.append(appending.record("club"));
    let done = poll_fn(|cx| Poll::Ready(append.as_mut().poll(cx).is_ready())).await;
    assert!(!done);
    assert!(!appending.link.shutdown(limit).await);
    server.thaw();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_while_the_log_is_renewed_has_nothing_behind_it() {
    let server = RedisServer::start();
    let switch = Switch::to(server.address());
    let a = Node::joined_at(&switch.url()).await;
    switch.hold_renewals();
    // Nothing of it is appended before it is too much.
    server.freeze();
    a.link.owe(many(&a, 70_000));
    assert!(a.log.has_overflowed());
    server.thaw();
    // It began to: what it owed is forgotten, and the log knows nothing of it.
    a.until(|a| !a.log.has_overflowed()).await;
    assert_eq!(a.log.debts(), 0);
    assert!(!a.link.shutdown(Duration::from_millis(300)).await);
}

/// However long one answer takes: whether there was word from the log is looked at meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_degraded_after_the_gap_and_not_after_the_budget() {
    let server = RedisServer::start();
    let clock = || SystemTime::now().into();
    let budget = Duration::from_secs(10);
    let a = Node::start_with(&server.url(), budget, clock, |builder| builder);
    a.until(|a| a.link.is_ready()).await;
    assert!(!a.log.is_degraded());
    let before = a.basis();
    server.freeze();
    let frozen = std::time::Instant::now();
    a.until(|a| a.log.is_degraded()).await;
    assert!(frozen.elapsed() < budget, "somebody looked before the end");
    assert!(
        a.serves(&before, "club"),
        "how long is the operator's choice"
    );
    server.thaw();
    a.until(|a| !a.log.is_degraded()).await;
    assert!(a.serves(&before, "club"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_the_operators_limit_nothing_is_served_from_memory() {
    let server = RedisServer::start();
    let a = Node::start(&server.url(), |builder| {
        builder.max_degraded(Some(Duration::from_millis(500)))
    });
    a.until(|a| a.link.is_ready()).await;
    let before = a.basis();
    server.freeze();
    a.until(|a| !a.serves(&before, "club")).await;
    assert!(a.log.is_degraded());
    server.thaw();
    a.until(|a| a.serves(&before, "club")).await;
    let judged = a.log.judge(&before, &[a.id("club")]).0;
    assert_eq!(judged, Judgement::Fresh);
}
