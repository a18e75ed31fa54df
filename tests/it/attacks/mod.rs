//! The tables of attacks.

mod answer;
mod bodies;
mod options;
mod representation;
mod request;
mod target;

use pitlane_e2e::{Answer, Ask, Seen};
use pitlane_testkit::RedisServer;

use crate::runner::{Row, Subject, over_redis};

/// Every row.
pub(crate) fn all() -> Vec<Row> {
    [
        request::rows(),
        target::rows(),
        answer::rows(),
        representation::rows(),
        options::rows(),
        bodies::rows(),
    ]
    .concat()
}

/// A clean request.
fn clean() -> Ask {
    Ask::get("/page")
}

/// A request that makes the handler give the row's own answer, by a header that isn't keyed.
fn triggered() -> Ask {
    clean().header("x-trigger", "evil")
}

/// Gives `answer` to triggered requests only.
fn when_triggered(answer: Answer) -> impl Fn(&Seen, usize) -> Answer + Send + Sync + 'static {
    move |seen, _| {
        if seen.headers.contains_key("x-trigger") {
            answer.clone()
        } else {
            Answer::default()
        }
    }
}

/// The rows that are tried on a subject.
fn of(subject: Subject) -> Vec<Row> {
    let mut rows = all();
    rows.retain(|row| row.is_for(subject));
    rows
}

async fn check(subject: Subject) {
    let mut failures = Vec::new();
    for row in of(subject) {
        failures.extend(row.run(subject).await.err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_anonymous_layer_shows_nobody_what_an_attacker_planted() {
    check(Subject::Anonymous).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_layer_shows_nobody_what_an_attacker_planted() {
    check(Subject::Api).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_with_options_shows_nobody_what_an_attacker_planted() {
    check(Subject::Configured).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_general_layer_shows_nobody_what_an_attacker_planted() {
    check(Subject::General).await;
}

async fn check_over_redis(subject: Subject, least: u64) {
    let redis = RedisServer::start();
    let rows = of(subject);
    let caches = over_redis(&redis, 2 * rows.len()).await;
    let mut unused = caches.iter().cloned();
    let (mut failures, mut hits) = (Vec::new(), 0);
    for row in &rows {
        match row.run_over_redis(subject, &caches, unused.by_ref()).await {
            Ok(found) => hits += found,
            Err(failure) => failures.push(failure),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // What is never found in Redis proves nothing.
    assert!(hits > least, "{hits} hits");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_anonymous_layer_over_redis_shows_nobody_what_an_attacker_planted() {
    check_over_redis(Subject::Anonymous, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_layer_over_redis_shows_nobody_what_an_attacker_planted() {
    check_over_redis(Subject::Api, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_general_layer_over_redis_shows_nobody_what_an_attacker_planted() {
    check_over_redis(Subject::General, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_replaces_markers_shows_nobody_what_an_attacker_planted() {
    check(Subject::Nonces).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_nobody_what_an_attacker_planted() {
    check(Subject::Trying).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_option_alone_shows_nobody_what_an_attacker_planted() {
    for subject in [Subject::Listed, Subject::Tenants, Subject::Bodies] {
        check(subject).await;
        check_over_redis(subject, 10).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_with_options_over_redis_shows_nobody_what_an_attacker_planted() {
    check_over_redis(Subject::Configured, 100).await;
}

#[test]
fn every_row_has_a_name_of_its_own() {
    let rows = all();
    let names: std::collections::BTreeSet<_> = rows.iter().map(|row| &row.name).collect();
    assert_eq!(names.len(), rows.len());
}
