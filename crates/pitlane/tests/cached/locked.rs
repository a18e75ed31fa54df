//! `#[cached(…, lock(…))]`.

use std::{convert::Infallible, time::Duration};

use pitlane::{
    cached,
    data::{DataError, DataErrorKind},
};

use crate::Club;

/// What one of all servers computes, slowly.
#[cached(
    caches = &club.caches,
    cache = "query",
    ttl = "300s",
    key = "standings:{season}",
    lock(or_error, lease = "30s", wait = "50ms"),
    skip(club)
)]
async fn standings(club: &Club, season: u32) -> Result<usize, DataError<Infallible>> {
    let count = club.compute(format!("standings {season}"));
    if season == 0 {
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
    Ok(count)
}

#[cached(caches = &club.caches, cache = "query", key = "ranking", lock(or_compute, wait = "50ms"), skip(club))]
async fn ranking(club: &Club) -> Result<usize, DataError<Infallible>> {
    let count = club.compute("ranking");
    if count == 1 {
        tokio::time::sleep(Duration::from_secs(600)).await;
    }
    Ok(count)
}

#[tokio::test(start_paused = true)]
async fn a_locked_function_computes_once_and_its_waiters_do_as_they_chose() {
    let club = Club::new();
    assert_eq!(standings(&club, 2026).await.unwrap(), 1);
    assert_eq!(standings(&club, 2026).await.unwrap(), 1);
    let slow = club.clone();
    let slow = tokio::spawn(async move { standings(&slow, 0).await });
    tokio::task::yield_now().await;
    let error = standings(&club, 0).await.unwrap_err();
    assert_eq!(error.kind(), DataErrorKind::Locked);
    assert_eq!(slow.await.unwrap().unwrap(), 1);

    let slow = club.clone();
    let slow = tokio::spawn(async move { ranking(&slow).await });
    tokio::task::yield_now().await;
    assert_eq!(ranking(&club).await.unwrap(), 2);
    assert_eq!(slow.await.unwrap().unwrap(), 1);
}
