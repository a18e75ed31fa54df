//! `pitlane invalidate` and `pitlane test`.

use crate::site::{Site, until};

#[track_caller]
fn keys_that_would_end(out: &str, cache: &str) -> String {
    let line = out
        .lines()
        .find(|line| line.starts_with(&format!("{cache}: ")));
    let line = line.expect("a line for the cache");
    line.split_whitespace().nth(1).expect("a number").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_what_each_kind_of_name_would_end() {
    let site = Site::start().await;
    site.fill().await;
    let before = site.everything();
    for (arguments, expected) in [
        (&["--tag", "clubs"][..], "40"),
        (&["--tag", "none"], "0"),
        (&["--key", "club:3"], "1"),
        (&["--key", "club"], "40"),
        (&["--prefix", "http://site.org/clubs"], "10"),
        (&["--prefix", "club"], "40"),
        (&["--url", "https://site.org/clubs/3"], "1"),
        (
            &["--tag", "clubs", "--url", "http://site.org/clubs/3"],
            "41",
        ),
    ] {
        let all = [&["invalidate", "--dry-run"], arguments].concat();
        let ended = site.run(&all).await.ok();
        let found = keys_that_would_end(&ended.out, "api");
        assert_eq!(found, expected, "{arguments:?}");
        assert!(!ended.out.contains("sessions"), "the log judges no store");
    }
    assert_eq!(site.everything(), before);
    let key = "club:3".parse().expect("a key");
    let cache = site.caches.get("api").expect("a cache");
    assert!(cache.get(&key).is_some(), "a dry run ends nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_see_what_the_command_ended() {
    let site = Site::start().await;
    let cache = site.caches.get("api").expect("a cache");
    for (name, arguments) in [
        ("club:1", ["--tag", "clubs"]),
        ("club:2:members", ["--key", "club:2"]),
        ("club:3", ["--prefix", "club"]),
    ] {
        site.put("api", name, "clubs").await;
        let key = name.parse().expect("a key");
        assert!(cache.get(&key).is_some());
        let [kind, value] = arguments;
        let ended = site.run(&["invalidate", kind, value]).await.ok();
        assert!(ended.out.starts_with("applied at "), "{ended:?}");
        until("the server follows", || cache.get(&key).is_none()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_every_cache_leaves_none_of_its_keys() {
    let site = Site::start().await;
    site.fill().await;
    let before = site.everything();
    let ended = site.run(&["test"]).await.ok();
    for step in ["reach", "write", "read", "delete", "tag", "lease", "log"] {
        let lines = ended
            .out
            .lines()
            .filter(|line| line.trim().starts_with(step));
        assert_eq!(lines.count(), 5, "{step}: {}", ended.out);
    }
    assert!(!ended.out.contains("failed"), "{}", ended.out);
    assert_eq!(site.everything(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_which_step_failed() {
    let site = Site::start().await;
    site.redis.run(&["CONFIG", "SET", "maxmemory", "1"]);
    let ended = site.run(&["test", "--cache", "api"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.out.contains("write   failed"), "{}", ended.out);
    assert!(ended.out.contains("read    not-tried"), "{}", ended.out);
    assert!(ended.err.contains("(out-of-memory)"), "{}", ended.err);
}
