//! What is told to people.

use std::fmt;
use std::sync::{Arc, Mutex};

use pitlane_testkit::RedisServer;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::node::Node;

/// Keeps the warnings of this thread.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<String>>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Warnings {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        *self.0.lock().unwrap() += &format!("{value:?}\n");
    }
}

/// All of a node's work is done on the test's own thread.
async fn warned(policy: &str) -> String {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let server = RedisServer::start();
    server.run(&["CONFIG", "SET", "maxmemory-policy", policy]);
    let node = Node::joined(&server).await;
    // The follower looks at the policy before it follows.
    let before = node.basis();
    let other = Node::joined(&server).await;
    other.applied("club").await;
    node.until(|node| !node.serves(&before, "club")).await;
    let follows = |info: &str| {
        info.lines()
            .filter(|line| line.contains("cmd=xread"))
            .count()
    };
    node.until(|_| follows(server.run(&["CLIENT", "LIST"]).text()) == 2)
        .await;
    let text = warnings.0.lock().unwrap();
    text.clone()
}

#[tokio::test]
async fn a_server_that_may_evict_the_log_is_warned_about() {
    let text = warned("allkeys-lru").await;
    assert!(text.contains("may evict the invalidation log"), "{text}");
    assert!(text.contains("allkeys-lru"), "{text}");
}

#[tokio::test]
async fn a_server_that_keeps_the_log_is_not_warned_about() {
    let text = warned("volatile-lru").await;
    assert!(!text.contains("evict"), "{text}");
}
