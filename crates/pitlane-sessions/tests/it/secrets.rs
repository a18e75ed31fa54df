//! Nothing that is said anywhere names a session.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use pitlane_testkit::RedisServer;
use tower_sessions::SessionStore;
use tracing_subscriber::fmt::MakeWriter;

use crate::basics::record;
use crate::site::{Browser, Site, eventually};

/// All that is traced.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<u8>>>);

impl Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Ear {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

// The ear hears all tests of the process: what only some threads listen to may not be said at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_error_or_debug_text_and_no_key_in_redis_names_a_session() {
    let ear = Ear::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(ear.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let redis = RedisServer::start();
    let (a, b) = (Site::start(&redis).await, Site::start(&redis).await);
    let browser = Browser::default();
    a.login(&browser, "Ann").await;
    let mut session = record("canary of the data", 3_600_000);
    let mut said = String::new();
    a.store.create(&mut session).await.unwrap();
    b.store.delete(&session.id).await.unwrap();
    let error = a.store.save(&session).await.unwrap_err();
    said += &format!("{error} {error:?}");
    let mut other = record("canary of the data", 3_600_000);
    a.store.create(&mut other).await.unwrap();
    let names = "local all = {} for d = 0, 3 do redis.call('SELECT', d) \
                 for _, k in ipairs(redis.call('KEYS', '*')) do \
                 table.insert(all, k) end end return all";
    said += &format!("{:?}", redis.run(&["EVAL", names, "0"]));
    redis.kill();
    assert_eq!(a.visit(&browser).await, "Ann 1");
    a.until_away().await;
    let error = b.store.load(&other.id).await.unwrap_err();
    said += &format!("{error} {error:?} {:?} {:?}", a.store, b.store);
    redis.restart();
    a.until_settled().await;
    eventually("Ann 2", || a.visit(&browser)).await;

    said += &String::from_utf8_lossy(&ear.0.lock().unwrap());
    assert!(
        said.contains("sessions are kept in memory"),
        "nothing was heard"
    );
    let cookie = browser.cookie().unwrap();
    let (_, id) = cookie.split_once('=').unwrap();
    assert!(!said.contains(id), "the cookie was told");
    for id in [session.id, other.id] {
        for name in [id.to_string(), id.0.to_string(), format!("{:x}", id.0)] {
            assert!(!said.contains(&name), "an id was told");
        }
    }
    assert!(!said.contains("canary"), "the data was told");
}
