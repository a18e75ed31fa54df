//! A handful of faults under a light load: every answer is right, and nobody hangs. How fast
//! anything is says nothing here.

use pitlane_chaos::{Fault, Plan, run};

async fn check(fault: Fault) {
    let outcome = run(fault, &Plan::short()).await;
    assert_eq!(outcome.wrong(), 0, "{fault}: {:?}", outcome.example());
    assert_eq!(outcome.hung(), 0, "{fault}");
    assert!(outcome.hit_ratio() >= 0.5, "{fault}: {outcome:?}");
    assert!(outcome.answers() > 500, "{fault}: {outcome:?}");
    let (ends, recovered) = outcome.recovered();
    assert_eq!(recovered, ends, "{fault}: {outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_and_comes_back_with_its_data_is_survived() {
    check(Fault::Killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_redis_is_survived() {
    check(Fault::Frozen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_other_questions_are_survived() {
    check(Fault::WrongReply).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_evicted_without_its_hash_is_survived() {
    check(Fault::LogEvicted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_become_a_replica_is_survived() {
    check(Fault::ReadOnly).await;
}
