//! Proxies as processes that share a Redis, each with an admin API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use pitlane_testkit::{Answer, Client, Protocol, RedisServer};
use serde_json::Value;

use super::running::{Started, start_with};

pub(crate) const TOKEN: &str = "a-token-that-is-long-enough-for-us";

/// A budget that a busy machine keeps: what these tests are about is not how long it is.
pub(crate) const PATIENT: &str = "5s";

/// Longer than anything here may take.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) struct Proxy {
    pub(crate) started: Started,
    client: Client,
}

impl Proxy {
    /// A patient proxy that has joined the log.
    pub(crate) async fn joined(origin: SocketAddr, redis: &RedisServer, flags: &[&str]) -> Self {
        let proxy = Self::start(origin, redis, &redis.url_of(2), PATIENT, flags).await;
        proxy.until_in_touch().await;
        proxy
    }

    /// A proxy with a Redis budget, which is only to be had from a configuration file.
    pub(crate) async fn start(
        origin: SocketAddr,
        redis: &RedisServer,
        url: &str,
        budget: &str,
        flags: &[&str],
    ) -> Self {
        let (token, config) = (redis.folder().join("token"), redis.folder().join(budget));
        std::fs::write(&token, format!("{TOKEN}\n")).expect("a file");
        std::fs::write(&config, format!("[redis]\nbudget = \"{budget}\"\n")).expect("a file");
        let (token, config) = (text(token), text(config));
        let admin = ["--admin", "127.0.0.1:0", "--admin-token-file", &token];
        let flags = [&admin[..], &["--redis", url], flags].concat();
        let started = start_with(origin, &flags, &[("PITLANE_CONFIG", &config)]).await;
        Self {
            started,
            client: Client::new(Protocol::Http1),
        }
    }

    /// All proxies are one site.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.started.address);
        self.client.get(&url, &[("host", "site.org")]).await
    }

    pub(crate) async fn stats(&self) -> Value {
        let answer = self.admin(Method::GET, "/api/stats", "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_str(answer.text()).expect("JSON")
    }

    /// What the API says to an invalidation.
    pub(crate) async fn invalidate(&self, body: &str) -> Value {
        self.ask("/api/invalidate", body).await
    }

    /// What the API says to a question in JSON.
    pub(crate) async fn ask(&self, path: &str, body: &str) -> Value {
        let answer = self.admin(Method::POST, path, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_str(answer.text()).expect("JSON")
    }

    async fn admin(&self, method: Method, path: &str, body: &str) -> Answer {
        let address = self.started.admin.expect("an admin API");
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{address}{path}"))
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())));
        self.client.send(request.expect("a request")).await
    }

    /// How often a look into Redis ended so.
    pub(crate) async fn lookups(&self, outcome: &str) -> u64 {
        let stats = self.stats().await;
        let lookups = stats["caches"][0]["remote_lookups"].as_array();
        let lookups = lookups.expect("a list").iter();
        lookups
            .filter(|lookup| lookup["outcome"] == outcome)
            .map(|lookup| lookup["count"].as_u64().expect("a number"))
            .sum()
    }

    /// Waits until the proxy asks Redis again after an outage: what it said of the log before may
    /// still be what it says now.
    pub(crate) async fn until_back(&self) {
        let asked = self.lookups("miss").await;
        until("the proxy asks Redis again", async || {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let answer = self.get(&format!("/back/{number}")).await;
            assert_eq!(answer.status, 200);
            self.lookups("miss").await > asked
        })
        .await;
    }

    /// Waits until the proxy follows the log and its circuit is closed.
    pub(crate) async fn until_in_touch(&self) {
        until("the proxy is in touch with Redis", async || {
            let stats = self.stats().await;
            let breaker = &stats["redis"]["breaker"];
            stats["log"]["position"].is_string()
                && breaker["read"] == "closed"
                && breaker["write"] == "closed"
        })
        .await;
    }
}

/// Waits until what was given to Redis in the background is there.
pub(crate) async fn until_stored(redis: &RedisServer, pattern: &str, keys: i64) {
    until("entries are in Redis", async || {
        let script = "redis.call('SELECT', 2) return #redis.call('KEYS', ARGV[1])";
        redis.run(&["EVAL", script, "0", pattern]).integer() >= keys
    })
    .await;
}

pub(crate) async fn until(what: &str, mut met: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !met().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(DEADLINE, wait).await;
    assert!(waited.is_ok(), "not within 20 s: {what}");
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().expect("a path of text")
}
