//! What becomes of sessions while Redis is away, and when it is back.

use pitlane_testkit::RedisServer;

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
