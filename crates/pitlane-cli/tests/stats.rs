//! `pitlane stats` and `pitlane top`.

use pitlane::stats::StatsOptions;
use serde_json::Value;
use std::time::Duration;

use crate::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn the_numbers_are_those_that_a_server_counted() {
    let site = Site::start().await;
    let every = Duration::from_millis(200);
    let options = StatsOptions::new().name("web-1").publish_every(every);
    let keeper = site.caches.keep_stats(options);
    for _ in 0..10 {
        site.get("api", "http://site.org/clubs/3").await;
    }
    let mut counted = Value::Null;
    for _ in 0..100 {
        let ended = site.run(&["stats", "--cache", "api", "--json"]).await.ok();
        let document: Value = serde_json::from_str(&ended.out).expect("JSON");
        counted = document["caches"][0]["windows"]["since_start"]["outcomes"].clone();
        if counted["hit"] == 9 {
            break;
        }
    }
    assert_eq!(
        (&counted["hit"], &counted["miss"]),
        (&9.into(), &1.into()),
        "{counted}"
    );
    let ended = site.run(&["stats"]).await.ok();
    let row = |first: &str| {
        let line = ended
            .out
            .lines()
            .find(|line| line.trim_start().starts_with(first));
        let line = line.unwrap_or_else(|| panic!("{first} in {}", ended.out));
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(row("api ")[1..6], ["10", "9", "1", "0", "90.0"]);
    assert_eq!(row("api2 ")[1..5], ["0", "0", "0", "0"]);
    assert!(
        row("web-1").contains(&"closed,".to_owned()),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("\nRedis "), "{}", ended.out);
    drop(keeper);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_tell_nothing_are_not_made_up() {
    let site = Site::start().await;
    let ended = site.run(&["stats"]).await.ok();
    assert!(
        ended.out.starts_with("no server tells its numbers"),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn top_without_a_terminal_says_what_needs_none() {
    let site = Site::start().await;
    let ended = site.run(&["top"]).await;
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(
        ended.out.is_empty() && ended.err.contains("pitlane stats"),
        "{ended:?}"
    );
    let both = site.run(&["stats", "--watch", "--json"]).await;
    assert_eq!(both.code, 2, "{both:?}");
}
