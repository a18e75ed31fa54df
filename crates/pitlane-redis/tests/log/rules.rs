//! What a node may believe.

use pitlane_core::{LogId, Position, Uplink};
use pitlane_testkit::{RedisReply, RedisServer};

use crate::node::Node;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_invalidation_is_known_to_every_remote_read_that_begins_after_it() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    for round in 0..200 {
        let before = b.basis();
        assert!(b.serves_remote(before.position, "club").await, "{round}");
        let position = a.invalidate("club").await.expect("Redis is there");
        assert!(!b.serves_remote(before.position, "club").await, "{round}");
        assert!(b.serves_remote(position, "club").await, "{round}");
        assert!(b.serves_remote(before.position, "other").await, "{round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_on_another_node_follows_without_anybody_asking() {
    let server = RedisServer::start();
    let (a, b) = (Node::joined(&server).await, Node::joined(&server).await);
    let before = b.basis();
    assert!(b.serves(&before, "club"));
    a.invalidate("club").await.expect("Redis is there");
    b.until(|b| !b.serves(&before, "club")).await;
    assert!(b.serves(&before, "other"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_joins_later_asks_the_hash_for_what_is_below_its_horizon() {
    let server = RedisServer::start();
    let a = Node::joined(&server).await;
    let old = a.basis().position;
    a.invalidate("club").await.expect("Redis is there");
    a.invalidate("team").await.expect("Redis is there");
    let b = Node::joined(&server).await;
    assert!(!b.serves_remote(old, "club").await);
    assert!(b.serves_remote(old, "driver").await);
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
    a.until(|a| a.link.is_ready() && a.log.debts() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_process_is_another_life_of_the_log_even_with_all_its_data() {
    let server = RedisServer::builder().append_only().start();
    let a = Node::joined(&server).await;
    let before = a.basis();
    a.invalidate("club").await.expect("Redis is there");
    let after = a.basis();
    server.restart();
    a.until(|a| a.link.is_ready() && !a.serves(&after, "team")).await;
    assert!(!a.serves_remote(before.position, "team").await);
    assert!(!a.serves_remote(after.position, "team").await);
    let fresh = a.basis().position;
    assert!(a.serves_remote(fresh, "team").await);
    // The new server may not know of what was acknowledged a moment ago: it is appended again.
    let first = Position {
        id: first_id(&server),
        ..fresh
    };
    assert!(a.serves_remote(first, "team").await);
    assert!(!a.serves_remote(first, "club").await);
}

fn first_id(server: &RedisServer) -> LogId {
    let records = server.run(&["XRANGE", "{site}:log", "-", "+", "COUNT", "1"]);
    let RedisReply::Array(records) = records else {
        panic!("no records: {records:?}");
    };
    let RedisReply::Array(record) = &records[0] else {
        panic!("no record: {records:?}");
    };
    record[0].text().parse().unwrap()
}
