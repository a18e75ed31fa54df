//! A site whose caches live in Redis: what the command is asked about.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use pitlane::{Caches, Claim, Freshness, Key, ResponseCacheLayer};
use pitlane_testkit::{Origin, RedisReply, RedisServer};
use tower::{Layer, ServiceExt};

use crate::run::{self, Ended};

/// Two of them share a database, and begin alike.
const CACHES: &str = "\
[caches.default]\ndatabase = 2\n\
[caches.sessions]\nkind = \"store\"\ndatabase = 1\n\
[caches.query]\ndatabase = 3\n\
[caches.api]\ndatabase = 4\n\
[caches.api2]\ndatabase = 4\n";

pub(crate) const DATABASES: [u8; 5] = [0, 1, 2, 3, 4];

const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) struct Site {
    pub(crate) redis: RedisServer,
    pub(crate) caches: Caches,
    pub(crate) origin: Origin,
    config: String,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let redis = RedisServer::start();
        let text = format!(
            "namespace = \"simlane\"\n[redis]\nurl = \"{}\"\nlog_database = 2\n{CACHES}",
            redis.url()
        );
        let path = redis.folder().join("pitlane.toml");
        fs::write(&path, &text).expect("a configuration");
        let caches = Caches::builder().config(&text, "site");
        let caches = caches.expect("a configuration").build().expect("caches");
        let site = Self {
            origin: Origin::counting(&[
                ("cache-control", "max-age=600"),
                ("x-token", "hunter2"),
                ("set-cookie-policy", "none"),
            ]),
            config: path.to_str().expect("text").to_owned(),
            redis,
            caches,
        };
        let joined = || site.caches.log_status().expect("a log").position.is_some();
        until("the node has joined", joined).await;
        site.caches.redis().expect("Redis").when_closed().await;
        site
    }

    /// Runs the command for this site.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        let mut all: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        all.extend(["--config".to_owned(), self.config.clone()]);
        self.run_exactly(all).await
    }

    pub(crate) async fn run_exactly(&self, arguments: Vec<String>) -> Ended {
        let run = tokio::task::spawn_blocking(move || run::pitlane(&arguments));
        run.await.expect("a run")
    }

    /// Asks the site for a page; says what its call number was.
    pub(crate) async fn get(&self, cache: &str, url: &str) -> String {
        let cache = self.caches.get(cache).expect("a cache");
        let service = ResponseCacheLayer::new(&cache).layer(self.origin.clone());
        let request = Request::get(url).header(header::HOST, "site.org");
        let request = request.body(Empty::<Bytes>::new());
        let answer = service.oneshot(request.expect("a request")).await;
        let body = answer.expect("an answer").into_body().collect().await;
        let body = body.expect("a body").to_bytes();
        String::from_utf8(body.to_vec()).expect("text")
    }

    /// Stores a value with a tag.
    pub(crate) async fn put(&self, cache: &str, key: &str, tag: &str) {
        let cache = self.caches.get(cache).expect("a cache");
        let key: Key = key.parse().expect("a key");
        let Claim::Fill(fill) = cache.claim(&key).await else {
            panic!("{key} is there already");
        };
        let _value = fill.store_with("value", Freshness::new(Duration::from_secs(600)), [tag]);
    }

    /// Fills all caches; says how many keys each then has.
    pub(crate) async fn fill(&self) {
        for cache in ["default", "query", "api", "api2"] {
            for number in 0..40 {
                self.put(cache, &format!("club:{number}"), "clubs").await;
            }
            for number in 0..10 {
                self.get(cache, &format!("http://site.org/clubs/{number}"))
                    .await;
            }
        }
        let sessions = self.caches.get("sessions").expect("a cache");
        let records = sessions.records().expect("a store");
        for number in 0..20 {
            let key = Key::new("session").child(number);
            let hour = Duration::from_secs(3600);
            let _wrote = records
                .create(&key, b"somebody", hour)
                .await
                .expect("Redis");
        }
        self.until_stored().await;
    }

    /// Waits until what was given to Redis in the background is there.
    pub(crate) async fn until_stored(&self) {
        until("everything is stored", || self.caches.background() == 0).await;
    }

    /// Everything in Redis but the log's own and the probes: names with what is under them.
    pub(crate) fn everything(&self) -> BTreeMap<(u8, Vec<u8>), Vec<u8>> {
        let mut all = BTreeMap::new();
        for database in DATABASES {
            let mut cli = self.redis.cli();
            let mut run = |arguments: &[&[u8]]| cli.run(arguments).expect("an answer");
            run(&[b"SELECT", database.to_string().as_bytes()]);
            let RedisReply::Array(names) = run(&[b"KEYS", b"*"]) else {
                panic!("no list of keys");
            };
            for name in names {
                let RedisReply::Bulk(name) = name else {
                    continue;
                };
                if !name.starts_with(b"{") {
                    let value = run(&[b"DUMP", &name]);
                    let RedisReply::Bulk(value) = value else {
                        continue;
                    };
                    all.insert((database, name), value);
                }
            }
        }
        all
    }
}

pub(crate) async fn until(what: &str, mut met: impl FnMut() -> bool) {
    let waiting = async {
        while !met() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(DEADLINE, waiting).await;
    assert!(waited.is_ok(), "{what}");
}
