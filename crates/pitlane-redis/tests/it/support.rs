use std::time::Duration;

use pitlane_redis::CircuitBrokenRedis;
use tokio::time::{Instant, sleep, timeout};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// How long a test waits for what has to happen, on however busy a machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A client whose circuit is closed. Its budget is generous, because tests share the processor.
pub(crate) async fn closed(url: &str) -> CircuitBrokenRedis {
    let redis = built(url);
    soon_closed(&redis).await;
    redis
}

pub(crate) fn built(url: &str) -> CircuitBrokenRedis {
    let builder = CircuitBrokenRedis::builder(url).unwrap();
    builder.budget(Duration::from_secs(1)).build().unwrap()
}

pub(crate) async fn soon_closed(redis: &CircuitBrokenRedis) {
    let closed = timeout(PATIENCE, redis.when_closed()).await;
    assert!(closed.is_ok(), "the circuit stays open: {redis:?}");
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn patient(mut is_so: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + PATIENCE;
        while !is_so().await {
            assert!(Instant::now() < deadline, "not so in time: {caller}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}
