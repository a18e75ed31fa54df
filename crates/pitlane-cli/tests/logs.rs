//! What is said to a log that no server follows is said to nobody, and the command says so.

use crate::site::Site;

fn at(site: &Site, database: u8, rest: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = rest.iter().map(ToString::to_string).collect();
    all.extend(["--redis".to_owned(), site.redis.url_of(database)]);
    all
}

/// All keys, the log's included.
fn names(site: &Site) -> Vec<String> {
    let mut all = Vec::new();
    for database in crate::site::DATABASES {
        let mut cli = site.redis.cli();
        let number = database.to_string();
        cli.run(&["SELECT", &number]).expect("an answer");
        let found = cli.run(&["KEYS", "*"]).expect("an answer");
        let pitlane_testkit::RedisReply::Array(found) = found else {
            panic!("no list");
        };
        let text = found.iter().map(pitlane_testkit::RedisReply::text);
        let text = text.filter(|name| !name.ends_with("}:probe"));
        all.extend(text.map(|name| format!("{database} {name}")));
    }
    all.sort_unstable();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_no_server_follows_is_not_begun() {
    let site = Site::start().await;
    site.fill().await;
    let before = names(&site);
    for (database, rest) in [
        // The servers' log is in database 2, under another namespace, or both.
        (4, &["--namespace", "simlane"][..]),
        (2, &["--namespace", "simlame"]),
        (2, &[]),
    ] {
        for command in [
            &["invalidate", "--tag", "clubs"][..],
            &["clear", "--yes"],
            &["keys"],
        ] {
            let ended = site
                .run_exactly(at(&site, database, &[command, rest].concat()))
                .await;
            assert_eq!(ended.code, 1, "{ended:?}");
            assert!(ended.err.contains("no invalidation log"), "{ended:?}");
        }
    }
    assert_eq!(names(&site), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_configuration_the_log_can_be_named() {
    let site = Site::start().await;
    site.fill().await;
    let place = [
        "--namespace",
        "simlane",
        "--log-database",
        "2",
        "--cache",
        "api",
    ];
    let arguments = [&["clear", "--yes"][..], &place].concat();
    site.run_exactly(at(&site, 4, &arguments)).await.ok();
    let listed = [&["keys"][..], &place].concat();
    let ended = site.run_exactly(at(&site, 4, &listed)).await.ok();
    assert_eq!(ended.out, "nothing\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_not_cleared_as_if_it_were_a_cache() {
    let site = Site::start().await;
    site.fill().await;
    let sessions = |store: bool, database| {
        let mut all = vec![
            "clear",
            "--yes",
            "--cache",
            "sessions",
            "--namespace",
            "simlane",
        ];
        all.extend(["--log-database", "2"]);
        all.extend(store.then_some("--store"));
        at(&site, database, &all)
    };
    let records = site
        .caches
        .get("sessions")
        .and_then(|cache| cache.records());
    let records = records.expect("a store");
    let key = pitlane::Key::new("session").child(3);
    let ended = site.run_exactly(sessions(false, 1)).await;
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(
        ended.err.contains("sessions is a store: say --store"),
        "{ended:?}"
    );
    assert!(records.read(&key).await.expect("Redis").is_some());
    let elsewhere = site.run_exactly(sessions(true, 3)).await;
    assert_eq!(elsewhere.code, 1, "{elsewhere:?}");
    assert!(
        elsewhere.err.contains("no store called sessions"),
        "{elsewhere:?}"
    );
    site.run_exactly(sessions(true, 1)).await.ok();
    assert_eq!(records.read(&key).await.expect("Redis"), None);
}
