//! What the API says to whoever has the token.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{BASE, Stage, TOKEN};

#[tokio::test]
async fn stats_tell_of_the_node_and_of_the_fleet() {
    let stage = Stage::set().await;
    for _ in 0..3 {
        let url = format!("http://{}/page", stage.address);
        assert_eq!(pitlane_testkit::get(&url, &[]).await.status, 200);
    }
    let (status, stats) = stage.api(Method::GET, "/stats", "").await;
    assert_eq!(status, 200);
    let caches = stats["caches"].as_array().unwrap();
    let names: Vec<_> = caches.iter().map(|cache| &cache["name"]).collect();
    assert_eq!(names, ["api", "default"]);
    assert_eq!(stats["redis"], Value::Null);
    let outcomes = &stats["node"]["totals"]["windows"]["since_start"]["outcomes"];
    assert_eq!(outcomes["hit"], 2, "{outcomes}");
    assert_eq!(outcomes["miss"], 1, "{outcomes}");
    assert_eq!(stats["fleet"]["nodes"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn keys_are_listed_and_an_entry_is_shown() {
    let stage = Stage::set().await;
    let (status, page) = stage
        .api(Method::GET, "/keys?cache=default&prefix=pa", "")
        .await;
    assert_eq!(status, 200, "{page}");
    assert_eq!(page["keys"][0]["name"], "page");
    assert_eq!(page["cursor"], Value::Null);
    let (status, found) = stage
        .api(Method::GET, "/entry?cache=default&key=page", "")
        .await;
    assert_eq!(status, 200, "{found}");
    assert_eq!(found["entry"]["memory"]["verdict"]["usable"], true);
    let (status, none) = stage
        .api(Method::GET, "/entry?cache=default&key=none", "")
        .await;
    assert_eq!((status, &none["error"]["kind"]), (404, &json!("not_found")));
}

#[tokio::test]
async fn what_is_invalidated_or_cleared_is_gone() {
    let stage = Stage::set().await;
    let (status, done) = stage
        .api(Method::POST, "/invalidate", r#"{"tags":["news"]}"#)
        .await;
    assert_eq!((status, &done["outcome"]), (200, &json!("applied")));
    assert!(done["position"].is_string());
    assert!(!stage.still_holds());

    let stage = Stage::set().await;
    let (status, done) = stage
        .api(Method::POST, "/clear", r#"{"cache":"api"}"#)
        .await;
    assert_eq!((status, &done["outcome"]), (200, &json!("applied")));
    assert!(stage.still_holds());
    let (status, _) = stage
        .api(Method::POST, "/clear", r#"{"cache":"default"}"#)
        .await;
    assert_eq!(status, 200);
    assert!(!stage.still_holds());
    let (status, said) = stage
        .api(Method::POST, "/clear", r#"{"cache":"apj"}"#)
        .await;
    assert_eq!((status, &said["error"]["kind"]), (404, &json!("not_found")));
    let message = said["error"]["message"].as_str().unwrap();
    assert!(message.contains("there are: api, default"), "{message}");
}

#[tokio::test]
async fn what_is_warmed_is_a_hit_for_the_next_visitor() {
    let stage = Stage::set().await;
    let body = r#"{"paths":["/page","/none"]}"#;
    let (status, warmed) = stage.api(Method::POST, "/warm", body).await;
    assert_eq!(status, 200, "{warmed}");
    assert_eq!(warmed["requested"], 2, "{warmed}");
    assert_eq!(warmed["stored"], 1, "{warmed}");
    assert_eq!(stage.calls(), 1);
    let url = format!("http://{}/page", stage.address);
    let visit = pitlane_testkit::get(&url, &[]).await;
    assert!(visit.is_hit(), "{}", visit.header("cache-status"));
    let (_, warmed) = stage
        .api(Method::POST, "/warm", r#"{"paths":["/page"]}"#)
        .await;
    assert_eq!(warmed["hits"], 1, "{warmed}");
}

#[tokio::test]
async fn an_explanation_stores_nothing_and_counts_nothing() {
    let stage = Stage::set().await;
    let (status, answer) = stage
        .api(Method::POST, "/explain", r#"{"path":"/page"}"#)
        .await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["status"], 200);
    let one = &answer["explanations"][0];
    assert_eq!(one["cache"], "default");
    assert_eq!(one["outcome"], "miss");
    assert_eq!(one["reason"], "uri-miss");
    assert!(
        one["steps"]
            .as_array()
            .is_some_and(|steps| !steps.is_empty())
    );
    assert!(
        stage.cache.counts().is_empty(),
        "{:?}",
        stage.cache.counts()
    );
    let url = format!("http://{}/page", stage.address);
    assert!(!pitlane_testkit::get(&url, &[]).await.is_hit());
}

#[tokio::test]
async fn events_come_as_they_happen_until_the_reader_leaves() {
    let stage = Stage::set().await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let head = format!(
        "GET {BASE}/api/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    let read = async {
        let mut part = [0; 65536];
        while text.matches("event: stats").count() < 2 {
            let read = stream.read(&mut part).await.unwrap();
            assert!(read > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&part[..read]));
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read)
        .await
        .expect("two events");
    assert!(text.contains("content-type: text/event-stream"), "{text}");
    let data = text
        .lines()
        .find_map(|line| line.strip_prefix("data: "))
        .unwrap();
    assert!(data.starts_with('{'), "{data}");
}
