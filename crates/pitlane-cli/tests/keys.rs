//! `pitlane keys` and `pitlane inspect`: what is there, in words that harm nobody.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::run;
use crate::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_by_names_that_people_read() {
    let site = Site::start().await;
    site.fill().await;
    let ended = site.run(&["keys", "--cache", "api"]).await.ok();
    assert!(ended.out.contains("GET //site.org/clubs/3\n"), "{ended:?}");
    assert!(ended.out.contains(" club:39\n"), "{ended:?}");
    // A header and 50 keys.
    assert_eq!(ended.out.lines().count(), 51, "{ended:?}");
    let some = ["keys", "--cache", "api", "--prefix", "club:3"];
    let ended = site.run(&some).await.ok();
    // Those that begin so: 3, and 30 to 39.
    assert_eq!(ended.out.lines().count(), 12, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_is_listed_once_however_small_the_pages_are() {
    let site = Site::start().await;
    for number in 0..1200 {
        site.put("query", &format!("lap:{number}"), "laps").await;
        if number % 100 == 0 {
            site.until_stored().await;
        }
    }
    site.until_stored().await;
    let query = |cursor: Option<String>| {
        let query = pitlane::manage::KeyQuery::new().limit(7);
        match cursor {
            Some(cursor) => query.cursor(cursor),
            None => query,
        }
    };
    for tier in [pitlane::Tier::Memory, pitlane::Tier::Remote] {
        let mut names = Vec::new();
        let mut cursor = None;
        loop {
            let page = site.caches.keys("query", &query(cursor).tier(tier)).await;
            let page = page.expect("a page");
            assert!(page.keys.len() <= 7);
            names.extend(page.keys.into_iter().map(|key| key.name));
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        let found = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!((found, names.len()), (1200, 1200), "{tier:?}");
    }
    let limited = site
        .run(&["keys", "--cache", "query", "--limit", "30"])
        .await
        .ok();
    assert_eq!(limited.out.lines().count(), 31);
    assert!(limited.err.contains("there are more"), "{limited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_keys_are_printed_harmlessly() {
    let site = Site::start().await;
    // What a server lets through: raw bytes beyond ASCII, and letters that turn the line around.
    for path in ["/%1b[2J", "/\u{202e}gpj.exe", "/a\\x1b", "/[31mred"] {
        site.get("api", &format!("http://site.org{path}")).await;
    }
    site.until_stored().await;
    // What whoever writes to Redis can plant: a key full of orders to a terminal.
    plant(
        &site,
        b"\x1b]0;owned\x07\x1b[2J\r\nfake 1 s  5 B value club:1\n\x9b31m\xff",
    );
    for arguments in [&["keys"][..], &["keys", "--json"]] {
        let ended = site.run(arguments).await.ok();
        let harmful = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!ended.out.contains(harmful), "{ended:?}");
        assert!(ended.out.contains("x1b]0;owned"), "{ended:?}");
        let lines = ended.out.lines().filter(|line| line.starts_with("fake"));
        assert_eq!(lines.count(), 0, "{ended:?}");
    }
    let hostile = "\x1b[2Jnobody";
    let ended = site.run(&["inspect", hostile]).await;
    assert_eq!(ended.code, 1);
    assert!(!ended.err.contains('\x1b'), "{ended:?}");
}

/// Writes a frame under the name that a cache would give to its key.
fn plant(site: &Site, key: &[u8]) {
    let key = [b"v", key].concat();
    let frame = pitlane_core::codec::Frame {
        position: pitlane::Position::NOWHERE,
        stored_at: pitlane::Timestamp::from_millis(1_700_000_000_000),
        cost: std::time::Duration::ZERO,
        kind: 2,
        key: &key,
        ids: &[],
        names: &[],
        head: &[],
        body: b"planted",
    };
    let none = pitlane_core::codec::Compression::None;
    let bytes = pitlane_core::codec::encode(&frame, none).expect("a frame");
    let mut cli = site.redis.cli();
    cli.run(&[b"SELECT", &b"4"[..]]).expect("an answer");
    let name = b"simlane:api:planted";
    cli.run(&[b"SET", &name[..], &bytes]).expect("an answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_without_what_leads_to_them() {
    let site = Site::start().await;
    site.fill().await;
    let all = site.everything();
    let ended = site
        .run(&["keys", "--cache", "sessions", "--json"])
        .await
        .ok();
    assert_eq!(ended.out.matches("\"record ").count(), 20, "{ended:?}");
    let ids = all.keys().filter(|(database, _)| *database == 1);
    for (_, name) in ids {
        let name = String::from_utf8_lossy(name);
        let id = name.strip_prefix("simlane:sessions:").expect("its prefix");
        assert!(!ended.out.contains(id), "{ended:?}");
    }
    assert!(!ended.out.contains("somebody"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_tells_its_headers_its_tags_and_whether_it_is_used() {
    let site = Site::start().await;
    site.get("api", "http://site.org/clubs/7?page=2").await;
    site.put("query", "club:42:members", "club:42").await;
    site.until_stored().await;
    let page = site
        .run(&["inspect", "http://SITE.org/clubs/7?page=2"])
        .await
        .ok();
    for part in [
        "GET //site.org/clubs/7?page=2\n",
        "usable      yes (fresh)",
        "tag         uri site.org/clubs/7?page=2",
        "tag         subtree site.org:clubs",
        "tag         cache api",
        "header      cache-control: max-age=600",
        "header      x-token: (hidden)",
        "status      200",
    ] {
        assert!(page.out.contains(part), "{part}: {}", page.out);
    }
    assert!(!page.out.contains("hunter2"));
    let value = site.run(&["inspect", "club:42:members"]).await.ok();
    for part in ["tag         tag club:42\n", "tag         subtree club\n"] {
        assert!(value.out.contains(part), "{part}: {}", value.out);
    }
    site.run(&["invalidate", "--tag", "club:42"]).await.ok();
    let ended = site.run(&["inspect", "club:42:members"]).await.ok();
    for part in [
        "usable      no (invalidated)",
        "What ended it: tag club:42.",
    ] {
        assert!(ended.out.contains(part), "{part}: {}", ended.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_is_no_failure() {
    let site = Site::start().await;
    for number in 0..900 {
        let key = format!("lap:{number}:{}", "x".repeat(150));
        site.put("query", &key, "laps").await;
        if number % 100 == 0 {
            site.until_stored().await;
        }
    }
    site.until_stored().await;
    let config = site.redis.folder().join("pitlane.toml");
    let mut command = run::command();
    command.args(["keys", "--cache", "query", "--limit", "1000", "--config"]);
    command
        .arg(config)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command");
    let out = child.stdout.take().expect("a pipe");
    let first = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::with_capacity(64, out)
            .read_line(&mut line)
            .map(|_| line)
    });
    assert!(
        first
            .await
            .expect("a task")
            .expect("a line")
            .contains("NAME")
    );
    let output = child.wait_with_output().expect("the end");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty() || !String::from_utf8_lossy(&output.stderr).contains("panic"));
}
