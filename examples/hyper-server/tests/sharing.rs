//! Two programs over one file and one Redis.

use std::net::SocketAddr;

use pitlane_testkit::{Answer, Client, Protocol, RedisServer};

use crate::support::{check, post, start, until};

/// The host is part of a page's key: both are one site.
async fn get(client: &Client, address: SocketAddr, path: &str) -> Answer {
    let url = format!("http://{address}{path}");
    client.get(&url, &[("host", "laps.example")]).await
}

#[tokio::test]
async fn two_servers_share_pages_and_what_ends_them() {
    let redis = RedisServer::start();
    let file = redis.folder().join("laps");
    std::fs::write(&file, "monza 80246 Ada\n").unwrap();
    // A budget that a busy machine keeps: how long it is, is not what this is about.
    let config = redis.folder().join("pitlane.toml");
    std::fs::write(&config, "[redis]\nbudget = \"5s\"\n").unwrap();
    let variables = [("PITLANE_CONFIG", config.to_str().unwrap())];
    let (file, url) = (file.to_str().unwrap(), redis.url_of(2));
    let flags = ["--data", file, "--redis", &url];
    let (_one, one) = start(&flags, &variables).await;
    let (_other, other) = start(&flags, &variables).await;
    let client = Client::new(Protocol::Http1);

    until("the other server finds the first one's page", async || {
        get(&client, one, "/tracks/monza").await;
        let there = get(&client, other, "/tracks/monza").await;
        if there.detail() == "remote" {
            return true;
        }
        // Before both follow the log each computes for itself: end that, and try again.
        let url = format!("http://{one}/tracks/monza/laps");
        client.send(post(&url, "driver=Ada&ms=90000")).await;
        false
    })
    .await;
    until("both hold it in memory", async || {
        get(&client, one, "/tracks/monza").await.detail() == "fresh"
            && get(&client, other, "/tracks/monza").await.detail() == "fresh"
    })
    .await;

    let url = format!("http://{other}/tracks/monza/laps");
    let driven = client.send(post(&url, "driver=Eve&ms=79119")).await;
    check(&driven, 201, "detail=method");
    let there = get(&client, other, "/tracks/monza").await;
    assert!(there.text().contains("1:19.119  Eve"), "{}", there.text());
    until("the lap is at the first server", async || {
        let page = get(&client, one, "/tracks/monza").await;
        page.text().contains("1:19.119  Eve")
    })
    .await;
}
