//! What a session store does while all is well.

use pitlane_testkit::RedisServer;

use crate::site::{Browser, Site};

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
