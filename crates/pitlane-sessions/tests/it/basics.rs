//! What the store does while all is well.

use std::collections::HashMap;
use std::time::Duration;

use http::{Method, StatusCode};
use pitlane::{Caches, ErrorKind};
use pitlane_sessions::PitlaneStore;
use pitlane_testkit::RedisServer;
use serde_json::json;
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};

use crate::site::{Browser, Site, eventually, until};

/// A session that ends in so many milliseconds.
pub(crate) fn record(user: &str, millis: i64) -> Record {
    Record {
        id: Id::default(),
        data: HashMap::from([("user".to_owned(), json!(user))]),
        expiry_date: OffsetDateTime::now_utc() + time::Duration::milliseconds(millis),
    }
}

const HOUR: i64 = 3_600_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_the_same_on_all_servers_until_it_is_left() {
    let redis = RedisServer::start();
    let (a, b) = (Site::start(&redis).await, Site::start(&redis).await);
    let browser = Browser::default();
    assert_eq!(a.who(&browser).await, "401");
    a.login(&browser, "Ann").await;
    assert_eq!(b.who(&browser).await, "Ann");
    assert_eq!(b.visit(&browser).await, "Ann 1");
    assert_eq!(a.visit(&browser).await, "Ann 2");
    let thief = browser.thief();
    b.logout(&browser).await;
    assert_eq!(browser.cookie(), None);
    assert_eq!(a.who(&thief).await, "401");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_is_taken_or_was_is_never_taken_over() {
    let redis = RedisServer::start();
    let (a, b) = (Site::start(&redis).await, Site::start(&redis).await);
    let mut first = record("first", HOUR);
    a.store.create(&mut first).await.unwrap();
    // One node knows it, and the other has to ask.
    for site in [&a, &b] {
        let mut second = record("second", HOUR);
        second.id = first.id;
        site.store.create(&mut second).await.unwrap();
        assert_ne!(second.id, first.id);
        let found = site.store.load(&second.id).await.unwrap().unwrap();
        assert_eq!(found.data, second.data);
    }
    let found = b.store.load(&first.id).await.unwrap().unwrap();
    assert_eq!(found.data, first.data);
    a.store.delete(&first.id).await.unwrap();
    let c = Site::start(&redis).await;
    for site in [&a, &b, &c] {
        let mut third = record("third", HOUR);
        third.id = first.id;
        site.store.create(&mut third).await.unwrap();
        assert_ne!(third.id, first.id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saving_what_another_server_deleted_fails_and_does_not_bring_it_back() {
    let redis = RedisServer::start();
    let (a, b) = (Site::start(&redis).await, Site::start(&redis).await);
    let mut session = record("Ann", HOUR);
    a.store.create(&mut session).await.unwrap();
    let loaded = a.store.load(&session.id).await.unwrap().unwrap();
    b.store.delete(&session.id).await.unwrap();
    for _ in 0..2 {
        let error = a.store.save(&loaded).await.unwrap_err();
        assert!(error.to_string().contains("no longer there"), "{error}");
    }
    for site in [&a, &b] {
        assert_eq!(site.store.load(&session.id).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_session_is_deleted_meanwhile_is_a_500_and_the_next_begins_anew() {
    let redis = RedisServer::start();
    let (a, b) = (Site::start(&redis).await, Site::start(&redis).await);
    let (browser, other) = (Browser::default(), Browser::default());
    a.login(&browser, "Ann").await;
    let leaving = async {
        a.entered.notified().await;
        b.logout(&browser.thief()).await;
        a.gate.notify_one();
    };
    let slow = a.ask(&browser, Method::POST, "/slow");
    let (answer, ()) = tokio::join!(slow, leaving);
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    for site in [&a, &b] {
        assert_eq!(site.who(&browser.thief()).await, "401");
    }
    a.login(&browser, "Ann").await;
    assert_eq!(b.who(&browser).await, "Ann");
    assert_eq!(b.who(&other).await, "401");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_bytes_are_no_session_and_are_mended_where_one_is_known() {
    let redis = RedisServer::start();
    let a = Site::start(&redis).await;
    let (lost, mended) = (Browser::default(), Browser::default());
    let spoil = "redis.call('SELECT', 1) for _, k in ipairs(redis.call('KEYS', '*:sessions:*')) do \
                 if redis.call('STRLEN', k) > 40 then redis.call('SETRANGE', k, 35, '?') end end";
    a.login(&mended, "Ann").await;
    redis.run(&["EVAL", spoil, "0"]);
    assert_eq!(a.who(&mended).await, "Ann");
    a.until_settled().await;
    let b = Site::start(&redis).await;
    assert_eq!(b.who(&mended).await, "Ann");

    a.login(&lost, "Bob").await;
    redis.run(&["EVAL", spoil, "0"]);
    let c = Site::start(&redis).await;
    // Until it is sure that nobody writes it back, the session is an error.
    eventually("401", || c.who(&lost)).await;
    assert_eq!(c.store.status().damaged, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_when_it_says_and_with_the_ttl_of_its_cache() {
    let redis = RedisServer::start();
    let (a, b) = (Site::start(&redis).await, Site::start(&redis).await);
    let mut short = record("short", 400);
    a.store.create(&mut short).await.unwrap();
    assert!(b.store.load(&short.id).await.unwrap().is_some());
    let (id, over) = (
        short.id,
        OffsetDateTime::now_utc() + time::Duration::seconds(1),
    );
    until("it is over", || OffsetDateTime::now_utc() > over).await;
    for site in [&a, &b] {
        let gone = || async {
            format!(
                "{:?}",
                site.store.load(&id).await.map(|found| found.is_some())
            )
        };
        eventually("Ok(false)", gone).await;
        assert!(site.store.save(&short).await.is_err());
    }

    let mut long = record("long", 100 * 24 * HOUR);
    a.store.create(&mut long).await.unwrap();
    let left = "redis.call('SELECT', 1) local most = 0 \
                for _, k in ipairs(redis.call('KEYS', '*:sessions:*')) do \
                most = math.max(most, redis.call('PTTL', k)) end return most";
    let left = redis.run(&["EVAL", left, "0"]).integer();
    assert!(left > 13 * 24 * HOUR && left <= 14 * 24 * HOUR, "{left}");
    let known = b.store.load(&long.id).await.unwrap().unwrap();
    assert!(known.expiry_date < OffsetDateTime::now_utc() + time::Duration::days(15));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clear_ends_all_sessions_wherever_they_are_held() {
    let redis = RedisServer::start();
    let (a, b) = (Site::start(&redis).await, Site::start(&redis).await);
    let mut session = record("Ann", HOUR);
    a.store.create(&mut session).await.unwrap();
    assert!(b.store.load(&session.id).await.unwrap().is_some());
    let _ = b.caches.clear("sessions").await.unwrap();
    assert!(a.store.save(&session).await.is_err());
    for site in [&a, &b] {
        let gone = || async {
            format!(
                "{:?}",
                site.store
                    .load(&session.id)
                    .await
                    .map(|found| found.is_some())
            )
        };
        eventually("Ok(false)", gone).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushing_the_databases_of_caches_ends_nobodys_session() {
    let redis = RedisServer::start();
    let (a, b) = (Site::start(&redis).await, Site::start(&redis).await);
    let browser = Browser::default();
    a.login(&browser, "Ann").await;
    let flush = "redis.call('SELECT', 2) redis.call('FLUSHDB') \
                 redis.call('SELECT', 0) redis.call('FLUSHDB') \
                 redis.call('SELECT', 1) return redis.call('DBSIZE')";
    assert!(redis.run(&["EVAL", flush, "0"]).integer() > 0);
    for site in [&a, &b] {
        assert_eq!(site.who(&browser).await, "Ann");
        assert!(!site.store.status().is_away);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_requests_of_one_session_at_once_are_all_answered() {
    let redis = RedisServer::start();
    let sites = [Site::start(&redis).await, Site::start(&redis).await].map(std::sync::Arc::new);
    let browser = Browser::default();
    sites[0].login(&browser, "Ann").await;
    let mut requests = JoinSet::new();
    for n in 0..100 {
        let (site, browser) = (std::sync::Arc::clone(&sites[n % 2]), browser.thief());
        requests.spawn(async move { site.visit(&browser).await });
    }
    for answer in requests.join_all().await {
        assert!(answer.starts_with("Ann "), "{answer}");
    }
    for site in &sites {
        let status = site.store.status();
        assert_eq!(
            (status.is_away, status.unsaved, status.outrun),
            (false, 0, 0)
        );
        assert_eq!(site.who(&browser).await, "Ann");
    }
}

#[test]
fn a_cache_of_another_kind_is_refused() {
    let caches = Caches::builder().build().unwrap();
    let error = PitlaneStore::new(&caches.get("default").unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("kind = \"store\""), "{error}");
}

#[tokio::test]
async fn without_redis_sessions_live_in_bounded_memory() {
    let text = "[caches.sessions]\nkind = \"store\"";
    let caches = Caches::builder()
        .config(text, "test")
        .unwrap()
        .build()
        .unwrap();
    let site = Site::over(caches).await;
    let browser = Browser::default();
    site.login(&browser, "Ann").await;
    assert_eq!(site.visit(&browser).await, "Ann 1");
    assert_eq!(site.visit(&browser).await, "Ann 2");
    let thief = browser.thief();
    site.logout(&browser).await;
    assert_eq!(site.who(&thief).await, "401");
    assert!(site.store.drain(Duration::from_secs(1)).await);

    let store = site.store.clone().memory(1_000);
    let mut kept = Vec::new();
    let error = loop {
        let mut session = record("x", HOUR);
        match store.create(&mut session).await {
            Ok(()) => kept.push(session),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("full"), "{error}");
    assert!(!kept.is_empty() && store.status().bytes <= 1_000);
    for session in &kept {
        assert!(store.load(&session.id).await.unwrap().is_some());
    }
    let mut large = record(&"x".repeat(1 << 20), HOUR);
    let error = store.create(&mut large).await.unwrap_err();
    assert!(error.to_string().contains("1 MiB"), "{error}");
}
