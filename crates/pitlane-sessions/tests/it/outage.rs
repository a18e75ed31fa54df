//! What becomes of sessions while Redis is away, and when it is back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pitlane_testkit::{Fault, FaultProxy, RedisServer};
use tokio::task::JoinSet;

use crate::site::{Browser, Site, eventually};

/// Two servers, three visitors: one who only reads, one who writes and one who leaves while Redis
/// is away; and one who comes.
async fn outage(redis: &RedisServer) {
    let (a, b) = (Site::start(redis).await, Site::start(redis).await);
    let [reader, writer, leaver, comer] = [(); 4].map(|()| Browser::default());
    for (browser, user) in [(&reader, "Rea"), (&writer, "Wri"), (&leaver, "Lea")] {
        a.login(browser, user).await;
        assert_eq!(b.who(browser).await, user);
    }
    redis.kill();
    for site in [&a, &b] {
        assert_eq!(site.who(&reader).await, "Rea");
        site.until_away().await;
    }
    assert_eq!(a.visit(&writer).await, "Wri 1");
    assert_eq!(a.visit(&writer).await, "Wri 2");
    let thief = leaver.thief();
    a.logout(&leaver).await;
    assert_eq!(a.who(&thief.thief()).await, "401");
    a.login(&comer, "Com").await;
    assert_eq!(a.who(&comer).await, "Com");
    // The other node can't know of the new session, and must not end it.
    assert_eq!(b.who(&comer).await, "503");
    assert!(comer.cookie().is_some());

    redis.restart();
    for site in [&a, &b] {
        site.until_settled().await;
    }
    for site in [&a, &b] {
        assert_eq!(site.who(&reader).await, "Rea");
        assert_eq!(site.visit(&writer).await.split(' ').next(), Some("Wri"));
        assert_eq!(site.who(&comer).await, "Com");
        assert_eq!(site.who(&thief.thief()).await, "401");
    }
    assert_eq!(a.visit(&writer).await, "Wri 5");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_its_data_ends_nobodys_session_and_brings_none_back() {
    outage(&RedisServer::builder().append_only().start()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_without_its_data_ends_nobodys_session_and_brings_none_back() {
    outage(&RedisServer::start()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_of_all_that_nobody_noticed_ends_nobodys_session() {
    let redis = RedisServer::start();
    let (a, b) = (Site::start(&redis).await, Site::start(&redis).await);
    let browser = Browser::default();
    b.login(&Browser::default(), "Bob").await;
    a.login(&browser, "Ann").await;
    redis.run(&["FLUSHALL"]);
    // Only the first node has it: the other can't say until it is back.
    let others = eventually("Ann", || b.who(&browser)).await;
    assert!(browser.cookie().is_some(), "{others} answers before");
    assert_eq!(a.who(&browser).await, "Ann");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_frozen_no_request_waits_for_more_than_one_budget() {
    const BUDGET: Duration = Duration::from_secs(2);
    let redis = RedisServer::start();
    let site = Arc::new(Site::start(&redis).await);
    let browser = Browser::default();
    site.login(&browser, "Ann").await;
    redis.freeze();
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let (site, browser) = (Arc::clone(&site), browser.thief());
        requests.spawn(async move {
            let began = Instant::now();
            (site.visit(&browser).await, began.elapsed())
        });
    }
    for (answer, took) in requests.join_all().await {
        assert!(answer.starts_with("Ann "), "{answer}");
        // Whoever pays twice takes twice the budget at the least.
        assert!(took < 2 * BUDGET, "{took:?}");
    }
    assert!(site.store.status().unsaved > 0);
    redis.thaw();
    site.until_settled().await;
    let visits = site.visit(&browser).await;
    let other = Site::start(&redis).await;
    let next: u32 = visits.rsplit(' ').next().unwrap().parse().unwrap();
    assert_eq!(other.visit(&browser).await, format!("Ann {}", next + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_save_of_another_server_is_not_overwritten_on_return() {
    let redis = RedisServer::start();
    let proxy = FaultProxy::start(redis.address()).await;
    let near = Site::start(&redis).await;
    let far = Site::through(&redis, proxy.address()).await;
    let (both, deleted) = (Browser::default(), Browser::default());
    near.login(&both, "Ann").await;
    near.login(&deleted, "Bob").await;
    assert_eq!(far.who(&both).await, "Ann");
    assert_eq!(far.who(&deleted).await, "Bob");
    proxy.set(Fault::Refuse);
    eventually("Ann 2", || far.visit(&both)).await;
    assert_eq!(far.visit(&deleted).await, "Bob 1");
    far.until_away().await;
    // The near server knows nothing of what the far one has, and comes later.
    assert_eq!(near.visit(&both).await, "Ann 1");
    near.logout(&deleted.thief()).await;
    proxy.set(Fault::Pass);
    far.until_settled().await;
    for site in [&near, &far] {
        assert_eq!(site.who(&deleted.thief()).await, "401");
    }
    assert_eq!(far.visit(&both).await, "Ann 2");
    assert_eq!(far.store.status().outrun, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_redis_lacks_at_the_end_of_a_process_is_written_back_if_there_is_time() {
    let redis = RedisServer::start();
    let a = Site::start(&redis).await;
    let browser = Browser::default();
    a.login(&Browser::default(), "Bob").await;
    redis.kill();
    a.login(&browser, "Ann").await;
    assert!(!a.store.drain(Duration::from_millis(200)).await);
    redis.restart();
    assert!(a.store.drain(Duration::from_secs(10)).await);
    drop(a);
    let b = Site::start(&redis).await;
    assert_eq!(b.who(&browser).await, "Ann");
}
