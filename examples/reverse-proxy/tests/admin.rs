//! The admin API of the program: how it is started, and what it says.

use std::path::PathBuf;

use pitlane_testkit::{Origin, RedisServer, Server};
use serde_json::json;

use crate::support::client::connect;
use crate::support::proxies::Proxy;
use crate::support::running::{output, start};

fn file(redis: &RedisServer, name: &str, content: &str) -> String {
    let path: PathBuf = redis.folder().join(name);
    std::fs::write(&path, content).expect("a file");
    path.to_str().expect("text").to_owned()
}

#[tokio::test]
async fn without_a_good_token_the_program_does_not_start() {
    let redis = RedisServer::start();
    let short = file(&redis, "short", "thirty-one-bytes-are-not-enough");
    let empty = file(&redis, "empty", "");
    let missing = redis.folder().join("missing");
    let missing = missing.to_str().expect("text");
    for (token, complaint) in [
        (short.as_str(), "has 31 bytes, and must have at least 32"),
        (&empty, "has 0 bytes, and must have at least 32"),
        (missing, "cannot read the admin token from "),
    ] {
        let always = ["--listen", "127.0.0.1:0", "--origin", "http://127.0.0.1:1"];
        let admin = ["--admin", "127.0.0.1:0", "--admin-token-file", token];
        let output = output(&[&always[..], &admin].concat()).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(complaint), "{said}");
        assert!(said.contains(token), "{said}");
        assert!(!said.contains("thirty-one"), "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn without_the_flag_there_is_no_api_on_the_address_of_the_pages() {
    let origin = Origin::counting(&[]);
    let server = Server::start(origin.clone()).await;
    let (_child, address) = start(server.address(), &[]).await;
    let url = format!("http://{address}/api/stats");
    let answer = pitlane_testkit::get(&url, &[]).await;
    // It is a page of the origin like any other.
    assert_eq!(answer.text(), "/api/stats 1");
}

#[tokio::test]
async fn stats_tell_what_every_part_has_counted() {
    let redis = RedisServer::start();
    let origin = Origin::counting(&[("cache-control", "max-age=600")]);
    let server = Server::start(origin.clone()).await;
    let proxy = Proxy::joined(server.address(), &redis, &[]).await;
    for _ in 0..3 {
        proxy.get("/page").await;
    }
    let stats = proxy.stats().await;
    let cache = &stats["caches"][0];
    assert_eq!(cache["name"], "default");
    let counts = json!([
        {"route": "unmatched", "outcome": "hit", "reason": "fresh", "count": 2},
        {"route": "unmatched", "outcome": "miss", "reason": "uri-miss", "count": 1},
    ]);
    assert_eq!(cache["counts"], counts);
    assert_eq!(cache["fills"], json!([{"reason": "stored", "count": 1}]));
    assert_eq!(cache["memory"]["entries"], 1);
    assert_eq!(cache["memory"]["limit"], 64 << 20);
    assert!(
        cache["memory"]["bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 0)
    );
    assert_eq!(proxy.lookups("miss").await, 1, "{stats}");
    let breaker = json!({"read": "closed", "write": "closed"});
    assert_eq!(stats["redis"]["breaker"], breaker);
    let log = &stats["log"];
    let position = log["position"].as_str().expect("a position");
    assert!(position.parse::<pitlane::Position>().is_ok(), "{position}");
    assert!(log["lag_seconds"].as_f64().is_some_and(|lag| lag >= 0.0));
    for name in ["owed", "gaps", "incarnations"] {
        assert!(log[name].is_u64(), "{name}: {stats}");
    }
    assert_eq!(log["owed"], 0);
}

/// Why the one cache of a proxy answers so.
async fn reason(proxy: &Proxy, host: &str, path: &str) -> String {
    let body = json!({ "path": path, "headers": { "host": host } }).to_string();
    let explained = proxy.ask("/api/explain", &body).await;
    assert_eq!(explained["status"], 200, "{explained}");
    let layers = explained["explanations"].as_array().expect("a list");
    assert_eq!(layers.len(), 1, "{explained}");
    let reason = layers[0]["reason"].as_str().expect("a reason");
    reason.to_owned()
}

#[tokio::test]
async fn an_answer_is_explained_and_leaves_no_trace() {
    let redis = RedisServer::start();
    let origin = Origin::counting(&[("cache-control", "max-age=600")]);
    let server = Server::start(origin.clone()).await;
    let proxy = Proxy::joined(server.address(), &redis, &[]).await;
    assert_eq!(proxy.get("/page").await.text(), "/page 1");
    assert_eq!(reason(&proxy, "site.org", "/page").await, "fresh");
    assert_eq!(origin.calls(), 1, "a hit asks nobody");
    // Another site's page is another page, and nothing is kept of what was only asked for.
    for _ in 0..2 {
        assert_eq!(reason(&proxy, "other.example", "/page").await, "uri-miss");
    }
    assert_eq!(reason(&proxy, "site.org", "/next").await, "uri-miss");
    assert_eq!(origin.calls(), 4, "the origin answers what is not there");
    assert_eq!(proxy.get("/next").await.text(), "/next 5");
    let stats = proxy.stats().await;
    let counts = json!([
        {"route": "unmatched", "outcome": "miss", "reason": "uri-miss", "count": 2},
    ]);
    assert_eq!(stats["caches"][0]["counts"], counts);
}

#[tokio::test]
async fn pages_are_warmed_before_anybody_asks_for_them() {
    let redis = RedisServer::start();
    let origin = Origin::counting(&[("cache-control", "max-age=600")]);
    let server = Server::start(origin.clone()).await;
    let proxy = Proxy::joined(server.address(), &redis, &[]).await;
    let body = json!({ "paths": ["/one", "/two?of=2"], "host": "site.org" }).to_string();
    let warmed = proxy.ask("/api/warm", &body).await;
    assert_eq!(
        (&warmed["requested"], &warmed["stored"]),
        (&json!(2), &json!(2)),
        "{warmed}"
    );
    assert_eq!(origin.calls(), 2);
    for (path, text) in [("/one", "/one 1"), ("/two?of=2", "/two 2")] {
        let page = proxy.get(path).await;
        assert!(page.is_hit(), "{path}");
        assert_eq!(page.text(), text);
    }
    assert_eq!(origin.calls(), 2, "who comes later gets what is there");
}

#[tokio::test]
async fn the_program_drains_though_an_admin_stays_connected() {
    let redis = RedisServer::start();
    let server = Server::start(Origin::counting(&[])).await;
    let mut proxy = Proxy::joined(server.address(), &redis, &[]).await;
    let idle = connect(proxy.started.admin.expect("an admin API")).await;
    crate::support::running::signal(&proxy.started.child, "TERM").await;
    let end = proxy.started.child.wait().await.expect("an end");
    assert_eq!(end.code(), Some(0));
    drop(idle);
}
