//! `pitlane clear` empties what it is told to, and touches nothing else.

use std::collections::BTreeMap;

use crate::site::Site;

type Everything = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

fn begins(all: &Everything, database: u8, prefix: &str) -> usize {
    let keys = all.keys();
    let of = keys.filter(|(at, name)| *at == database && name.starts_with(prefix.as_bytes()));
    of.count()
}

/// Keys that look like the cache's and are none of it.
fn plant(site: &Site) {
    let foreign: [(&str, &[u8]); 6] = [
        ("4", b"simlane:api:"),
        ("4", b"simlane:apix:1"),
        ("4", b"simlane:api@2:1"),
        ("4", b"simlane2:api:1"),
        ("4", b"xsimlane:api:1"),
        ("2", b"simlane:api:1"),
    ];
    // The first of them begins exactly like the cache's own, and is no entry.
    for (database, name) in foreign {
        let mut cli = site.redis.cli();
        for command in [
            &[b"SELECT", database.as_bytes()][..],
            &[b"SET", name, b"mine"],
        ] {
            cli.run(command).expect("an answer");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clearing_one_cache_touches_no_key_of_another() {
    let site = Site::start().await;
    site.fill().await;
    plant(&site);
    let before = site.everything();
    assert_eq!(begins(&before, 4, "simlane:api:"), 51);
    assert_eq!(begins(&before, 4, "simlane:api2:"), 50);
    let ended = site.run(&["clear", "--cache", "api", "--yes"]).await.ok();
    assert!(ended.out.starts_with("api: cleared at "), "{ended:?}");
    let after = site.everything();
    let own = |(database, name): &(u8, Vec<u8>)| {
        *database == 4 && name.starts_with(b"simlane:api:") && name.len() > 12
    };
    let mut expected = before.clone();
    expected.retain(|key, _| !own(key));
    assert_eq!(expected.len() + 50, before.len());
    assert_eq!(after, expected, "all that is there, with every byte of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cleared_is_a_miss_on_the_servers_and_the_rest_is_not() {
    let site = Site::start().await;
    let (club, other) = ("http://site.org/clubs/1", "http://site.org/clubs/2");
    let first = site.get("api", club).await;
    let kept = site.get("api2", other).await;
    assert_eq!(site.get("api", club).await, first);
    site.until_stored().await;
    site.run(&["clear", "--cache", "api", "--yes"]).await.ok();
    crate::site::until("the node follows", || {
        let cache = site.caches.get("api").expect("a cache");
        let key = "probe".parse().expect("a key");
        cache.get(&key).is_none()
    })
    .await;
    let mut again = site.get("api", club).await;
    for _ in 0..1000 {
        if again != first {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        again = site.get("api", club).await;
    }
    assert_ne!(again, first);
    assert_eq!(site.get("api2", other).await, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_and_clears_nothing() {
    let site = Site::start().await;
    site.fill().await;
    let before = site.everything();
    let ended = site.run(&["clear", "--dry-run"]).await.ok();
    for line in [
        "api: 50 keys would be cleared",
        "api2: 50 keys would be cleared",
        "sessions: 20 keys would be cleared",
    ] {
        assert!(ended.out.contains(line), "{ended:?}");
    }
    assert_eq!(site.everything(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_anybody_to_ask_nothing_is_cleared() {
    let site = Site::start().await;
    site.fill().await;
    let before = site.everything();
    let ended = site.run(&["clear"]).await;
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.err.contains("--yes"), "{ended:?}");
    assert_eq!(site.everything(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_cleared_alone_and_for_good() {
    let site = Site::start().await;
    site.fill().await;
    let before = site.everything();
    site.run(&["clear", "--cache", "sessions", "--yes"])
        .await
        .ok();
    let after = site.everything();
    let rest = |all: &Everything| {
        let mut all = all.clone();
        all.retain(|(database, _), _| *database != 1);
        all
    };
    assert_eq!(rest(&after), rest(&before));
    assert_eq!(begins(&after, 1, "simlane:sessions:"), 1, "its generation");
    let records = site
        .caches
        .get("sessions")
        .and_then(|cache| cache.records());
    let key = pitlane::Key::new("session").child(3);
    let found = records.expect("a store").read(&key).await.expect("Redis");
    assert_eq!(found, None);
}
