//! What doesn't fit is refused at once, and opens nothing.

use bytes::Bytes;
use pitlane_core::{BreakerState, Condition, RemoteStore, StoreErrorKind};
use pitlane_redis::{CircuitBrokenRedis, FailureKind, Side};
use pitlane_testkit::RedisServer;

use crate::support::{MINUTE, closed, patient, soon_closed};

#[tokio::test]
async fn a_value_larger_than_the_bound_is_refused_and_opens_nothing() {
    let server = RedisServer::start();
    let builder = CircuitBrokenRedis::builder(&server.url()).unwrap();
    let redis = builder.max_write_bytes(1_000).build().unwrap();
    soon_closed(&redis).await;
    let database = redis.database(0).unwrap();
    for _ in 0..30 {
        let value = Bytes::from(vec![0; 1_001]);
        let error = database
            .set("key", value, MINUTE, Condition::Always)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Busy);
    }
    assert_eq!(redis.state(Side::Write), BreakerState::Closed);
    assert_eq!(redis.snapshot(Side::Write).failures, 0);
    assert_eq!(server.run(&["EXISTS", "key"]).integer(), 0);
    let value = Bytes::from(vec![0; 1_000]);
    assert!(
        database
            .set("key", value, MINUTE, Condition::Always)
            .await
            .unwrap()
    );
    patient(async || redis.write_bytes() == 0).await;
}

#[tokio::test]
async fn a_call_over_the_bound_is_refused_and_opens_nothing() {
    let server = RedisServer::start();
    let builder = CircuitBrokenRedis::builder(&server.url()).unwrap();
    let redis = builder.max_in_flight(1).build().unwrap();
    soon_closed(&redis).await;
    let database = redis.database(0).unwrap();
    let (mut first, mut second) = (database.get("a"), database.get("b"));
    let refused = std::future::poll_fn(|cx| {
        assert!(first.as_mut().poll(cx).is_pending());
        second.as_mut().poll(cx)
    });
    assert_eq!(refused.await.unwrap_err().kind(), StoreErrorKind::Busy);
    drop(second);
    drop(first);
    assert_eq!(redis.in_flight(), 0);
    assert_eq!(redis.snapshot(Side::Read).failures, 0);
    assert!(database.get("a").await.is_ok());
}

#[tokio::test]
async fn a_library_error_keeps_its_source() {
    use std::error::Error;
    let server = RedisServer::start();
    let database = closed(&server.url()).await.database(0).unwrap();
    server.run(&["RPUSH", "list", "x"]);
    let error = database.get("list").await.unwrap_err();
    let failure = error.source().unwrap();
    let failure = failure.downcast_ref::<pitlane_redis::Failure>().unwrap();
    assert_eq!(failure.kind(), FailureKind::WrongType);
    let source = failure.source().unwrap().to_string();
    assert!(source.contains("WRONGTYPE"), "{source}");
}
