//! The promised names, over a real Redis that is there, goes away and comes back.

use std::collections::BTreeSet;

use metrics::Unit;
use pitlane::{Caches, Outcome, Reason};
use pitlane_testkit::RedisServer;

use crate::{
    book::Book,
    drive::{Bench, SECOND, app, bench_of, get, request, send, until},
};

/// What dashboards are built on: names, labels and units.
pub(crate) const PROMISED: [(&str, &[&str], Unit); 15] = [
    (
        "pitlane_requests_total",
        &["cache", "route", "outcome", "reason"],
        Unit::Count,
    ),
    (
        "pitlane_lookups_total",
        &["cache", "tier", "outcome", "reason"],
        Unit::Count,
    ),
    ("pitlane_fills_total", &["cache", "outcome"], Unit::Count),
    ("pitlane_fill_seconds", &["cache", "outcome"], Unit::Seconds),
    (
        "pitlane_remote_seconds",
        &["operation", "outcome"],
        Unit::Seconds,
    ),
    ("pitlane_breaker_state", &["side"], Unit::Count),
    (
        "pitlane_invalidations_total",
        &["kind", "outcome"],
        Unit::Count,
    ),
    ("pitlane_log_lag_seconds", &[], Unit::Seconds),
    ("pitlane_log_queue", &[], Unit::Count),
    ("pitlane_entries", &["cache", "tier"], Unit::Count),
    ("pitlane_bytes", &["cache", "tier"], Unit::Bytes),
    ("pitlane_evictions_total", &["cache", "reason"], Unit::Count),
    (
        "pitlane_revalidations_total",
        &["cache", "reason"],
        Unit::Count,
    ),
    ("pitlane_errors_total", &["cache", "reason"], Unit::Count),
    (
        "http_server_request_duration_seconds",
        &["method", "route", "status", "outcome"],
        Unit::Seconds,
    ),
];

async fn joined(redis: &RedisServer) -> Bench {
    let builder = Caches::builder().redis(redis.url());
    let bench = bench_of(builder.redis_budget(2 * SECOND));
    let caches = bench.caches.clone();
    let is_in = move || {
        caches
            .log_status()
            .is_some_and(|log| log.position.is_some())
    };
    until("the node has joined", is_in).await;
    bench.caches.redis().unwrap().when_closed().await;
    bench
}

async fn until_stored(redis: &RedisServer, keys: i64) {
    let count = "return #redis.call('KEYS', 'pitlane:default*')";
    let there = || redis.run(&["EVAL", count, "0"]).integer() >= keys;
    until("it is in Redis", there).await;
}

#[tokio::test]
async fn every_promised_metric_is_told_over_a_real_redis_with_its_labels_and_unit() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let redis = RedisServer::start();
    let (one, two) = (joined(&redis).await, joined(&redis).await);

    send(&app(&one), get("/tagged")).await;
    until_stored(&redis, 1).await;
    send(&app(&two), get("/tagged")).await;
    one.clock.advance(70 * SECOND);
    send(&app(&one), get("/tagged")).await;
    send(&app(&one), request(http::Method::POST, "/tagged", &[])).await;
    one.caches.record_metrics();
    two.caches.record_metrics();

    let told: BTreeSet<String> = book.series();
    for (name, labels, unit) in PROMISED {
        let series: Vec<&String> = told
            .iter()
            .filter(|series| series.split('{').next() == Some(name))
            .collect();
        assert!(!series.is_empty(), "{name} is never told");
        for series in series {
            let (_, labelled) = series.trim_end_matches('}').split_once('{').unwrap();
            let pairs = labelled.split(',').filter(|pair| !pair.is_empty());
            let names: Vec<&str> = pairs.map(|pair| pair.split('=').next().unwrap()).collect();
            assert_eq!(names, labels, "{series}");
        }
        assert_eq!(book.unit(name), Some(unit), "{name}");
    }
    let names = told.iter().map(|series| series.split('{').next().unwrap());
    let promised = PROMISED.iter().map(|(name, ..)| *name);
    assert_eq!(names.collect::<BTreeSet<_>>(), promised.collect());

    let counted = |series: &str| assert_eq!(book.counter(series), 1, "{series}");
    // Once by the other node, and once more before the first one asked whether it is still right.
    let found = "pitlane_lookups_total{cache=default,tier=remote,outcome=hit,reason=hit}";
    assert_eq!(book.counter(found), 2);
    counted("pitlane_requests_total{cache=default,route=tagged,outcome=hit,reason=remote}");
    counted(
        "pitlane_requests_total{cache=default,route=tagged,outcome=revalidated,reason=validated}",
    );
    counted("pitlane_revalidations_total{cache=default,reason=expired}");
    counted("pitlane_invalidations_total{kind=uri,outcome=applied}");
    for side in ["read", "write"] {
        let state = book.gauge(&format!("pitlane_breaker_state{{side={side}}}"));
        assert_eq!(state, Some(0.0), "{side}");
    }
    assert_eq!(book.gauge("pitlane_log_queue{}"), Some(0.0));
    for operation in ["get", "set", "log.tail", "log.append"] {
        let samples = book.samples(&format!(
            "pitlane_remote_seconds{{operation={operation},outcome=ok}}"
        ));
        assert!(!samples.is_empty(), "{operation}");
    }
}

#[tokio::test]
async fn a_redis_that_dies_shows_in_breaker_queue_lag_and_errors_and_so_does_its_return() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let redis = RedisServer::start();
    let bench = joined(&redis).await;
    let told = |series: &str| {
        bench.caches.record_metrics();
        book.gauge(series)
    };
    redis.kill();
    let opened = || told("pitlane_breaker_state{side=read}") == Some(2.0);
    until("the circuit is open", opened).await;
    // Somebody may find out what the prober knows already.
    send(&app(&bench), get("/page")).await;
    let _ = bench.caches.invalidate(["club", "team"]).await;
    assert_eq!(told("pitlane_log_queue{}"), Some(1.0));
    assert_eq!(
        book.counter("pitlane_invalidations_total{kind=tag,outcome=queued}"),
        2
    );
    let lags = || told("pitlane_log_lag_seconds{}").is_some_and(|lag| lag > 0.2);
    until("the lag grows", lags).await;
    let failed = "pitlane_lookups_total{cache=default,tier=remote,outcome=error,reason=skipped}";
    let skipped = "pitlane_errors_total{cache=default,reason=write-skipped}";
    assert_eq!((book.counter(failed), book.counter(skipped)), (1, 1));

    redis.restart();
    let closed = || told("pitlane_breaker_state{side=read}") == Some(0.0);
    until("the circuit is closed", closed).await;
    until("the queue is empty", || {
        told("pitlane_log_queue{}") == Some(0.0)
    })
    .await;
    until("the lag is over", || {
        told("pitlane_log_lag_seconds{}").is_some_and(|lag| lag < 0.2)
    })
    .await;
}

/// All of them: hits cost nothing, so nobody may find that their labels are not.
#[test]
fn labels_of_outcomes_and_reasons_are_plain_words() {
    let outcomes = Outcome::ALL.iter().map(|outcome| outcome.as_str());
    let reasons = Reason::ALL.iter().map(|reason| reason.as_str());
    for label in outcomes.chain(reasons) {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'-' || byte.is_ascii_digit();
        assert!(label.bytes().all(plain), "{label}");
    }
}

#[tokio::test]
async fn what_redis_holds_that_is_no_entry_is_an_error_of_its_cache() {
    let book = Book::default();
    let _reader = metrics::set_default_local_recorder(&book);
    let redis = RedisServer::start();
    let (one, two) = (joined(&redis).await, joined(&redis).await);
    send(&app(&one), get("/page")).await;
    until_stored(&redis, 1).await;
    let damage = "local k = redis.call('KEYS', 'pitlane:default:*')[1] \
                  return redis.call('SET', k, 'no entry')";
    redis.run(&["EVAL", damage, "0"]);
    send(&app(&two), get("/page")).await;
    two.caches.record_metrics();
    let corrupt = "pitlane_errors_total{cache=default,reason=corrupt}";
    assert_eq!(book.counter(corrupt), 1);
    let look = "pitlane_lookups_total{cache=default,tier=remote,outcome=unusable,reason=corrupt}";
    assert_eq!(book.counter(look), 1);
}
