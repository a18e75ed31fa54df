//! What a node on its own can say of its caches.

use std::time::Duration;

use http::Method;
use pitlane::manage::{KeyKind, KeyQuery};
use pitlane::{Cache, Caches, Claim, ErrorKind, Freshness, Invalidation, Key, Tier};
use pitlane_testkit::Origin;
use tower::Layer;

use crate::drive::{FRESH, ask, bench, get};

async fn put(cache: &Cache, key: &str, freshness: Freshness) {
    let key: Key = key.parse().unwrap();
    let Claim::Fill(fill) = cache.claim(&key).await else {
        panic!("{key} is there already");
    };
    let _value = fill.store_with("value", freshness, ["clubs"]);
}

fn minute() -> Freshness {
    Freshness::new(Duration::from_secs(60))
}

#[tokio::test]
async fn keys_in_memory_are_those_of_their_cache_and_come_once() {
    let text = "[caches.a]\n[caches.b]\n";
    let caches = Caches::builder()
        .config(text, "x")
        .unwrap()
        .build()
        .unwrap();
    for number in 0..25 {
        for name in ["a", "b"] {
            let cache = caches.get(name).unwrap();
            put(&cache, &format!("{name}:{number}"), minute()).await;
        }
    }
    let mut names = Vec::new();
    let mut query = KeyQuery::new().limit(4);
    loop {
        let page = caches.keys("a", &query).await.unwrap();
        names.extend(page.keys.into_iter().map(|key| key.name));
        let Some(cursor) = page.cursor else { break };
        query = query.cursor(cursor);
    }
    names.sort_unstable();
    let mut expected: Vec<String> = (0..25).map(|number| format!("a:{number}")).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(caches.key_count("b").await.unwrap(), 25);
}

#[tokio::test]
async fn a_cursor_that_is_none_is_an_error_of_its_own() {
    let bench = bench();
    for cursor in [
        "",
        "x",
        "r.1.",
        "m.",
        "m.xyz",
        "m.123456789012345678901234567890123456789",
    ] {
        let query = KeyQuery::new().cursor(cursor);
        let error = bench.caches.keys("default", &query).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cursor, "{cursor}");
    }
    let remote = KeyQuery::new().tier(Tier::Remote);
    let error = bench.caches.keys("default", &remote).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Redis);
}

#[tokio::test]
async fn the_verdict_of_an_entry_follows_its_life() {
    let bench = bench();
    let freshness = minute()
        .with_stale_while_revalidate(Duration::from_secs(30))
        .with_stale_if_error(Duration::from_secs(60));
    put(&bench.cache, "club:42", freshness).await;
    let verdict = async || {
        let entry = bench
            .caches
            .entry("default", "club:42")
            .await
            .unwrap()
            .unwrap();
        let verdict = entry.memory.unwrap().verdict;
        (verdict.state, verdict.reason.unwrap(), verdict.usable)
    };
    let is = |state: &str, reason: &str, usable| (state.to_owned(), reason.to_owned(), usable);
    assert_eq!(verdict().await, is("fresh", "fresh", true));
    bench.clock.advance(Duration::from_secs(61));
    let renewed = "stale-while-revalidate";
    assert_eq!(verdict().await, is(renewed, renewed, true));
    bench.clock.advance(Duration::from_secs(31));
    assert_eq!(verdict().await, is("stale", "expired", false));
    let _position = bench.caches.invalidate(["clubs"]).await.unwrap();
    assert_eq!(verdict().await, is("unusable", "invalidated", false));
    let entry = bench
        .caches
        .entry("default", "club:42")
        .await
        .unwrap()
        .unwrap();
    let said = entry.memory.unwrap().verdict.sentence;
    assert!(said.ends_with("What ended it: tag clubs."), "{said}");
}

#[tokio::test]
async fn variants_of_a_url_are_found_together() {
    let bench = bench();
    let origin = Origin::counting(&[("cache-control", "max-age=60"), ("vary", "accept-language")]);
    let service = bench.layer.layer(origin);
    for language in ["de", "en"] {
        let headers = [("accept-language", language)];
        ask(&service, Method::GET, "/clubs", &headers).await;
    }
    let entry = bench
        .caches
        .entry("default", "/clubs")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(entry.others.len(), 2, "{entry:?}");
    let all: Vec<&String> = entry.others.iter().chain([&entry.name]).collect();
    for name in [
        "GET //site.test/clubs [accept-language: de]",
        "GET //site.test/clubs [accept-language: en]",
        "GET //site.test/clubs [variants]",
    ] {
        assert!(all.iter().any(|one| *one == name), "{all:?}");
    }
    let query = KeyQuery::new();
    let page = bench.caches.keys("default", &query).await.unwrap();
    let kinds = page.keys.iter().filter(|key| key.kind == KeyKind::Variants);
    assert_eq!(kinds.count(), 1);
}

#[tokio::test]
async fn what_looks_around_makes_no_entry_stay_and_counts_nothing() {
    let bench = bench();
    let service = bench.layer.layer(Origin::counting(FRESH));
    get(&service, "/clubs").await;
    let before = (bench.cache.counts(), bench.cache.fills());
    for _ in 0..3 {
        bench
            .caches
            .entry("default", "/clubs")
            .await
            .unwrap()
            .unwrap();
        bench
            .caches
            .keys("default", &KeyQuery::new())
            .await
            .unwrap();
    }
    assert_eq!((bench.cache.counts(), bench.cache.fills()), before);
}

#[tokio::test]
async fn the_last_invalidations_are_remembered_latest_first_and_not_all() {
    let bench = bench();
    for number in 0..300 {
        let _position = bench
            .caches
            .invalidate([format!("tag:{number}")])
            .await
            .unwrap();
    }
    let soft = Invalidation::tags(["soft\x1b[2J"]).soft();
    let _position = bench.caches.publish(soft).await.unwrap();
    let owed = bench.caches.owe(["owed"]);
    drop(owed);
    let recent = bench.caches.recent_invalidations(1000).await.unwrap();
    assert_eq!(recent.len(), 256);
    let name = |number: usize| recent[number].items[0].name.clone().unwrap();
    assert_eq!(
        (name(0), name(1), name(2)),
        ("owed".into(), "soft\\x1b[2J".into(), "tag:299".into())
    );
    assert!(recent[1].soft && !recent[0].soft);
    assert_eq!(
        bench.caches.recent_invalidations(2).await.unwrap(),
        recent[..2]
    );
}

#[tokio::test]
async fn a_dry_run_counts_and_ends_nothing() {
    let bench = bench();
    for key in ["club:1", "club:2", "team:1"] {
        put(&bench.cache, key, minute()).await;
    }
    let club = Invalidation::default().add_key(&Key::new("club"));
    let affected = bench.caches.affected(&club).await.unwrap();
    assert_eq!((affected.keys, affected.caches[0].looked_at), (2, 3));
    assert!(bench.cache.get(&"club:1".parse().unwrap()).is_some());
}

#[tokio::test]
async fn a_check_without_redis_tries_the_memory() {
    let bench = bench();
    let report = bench.caches.check("default").await.unwrap();
    assert!(report.ok, "{report:?}");
    let outcome = |name: &str| {
        let step = report.steps.iter().find(|step| step.name == name);
        step.unwrap().outcome.clone()
    };
    assert_eq!(
        (outcome("write"), outcome("tag")),
        ("ok".into(), "ok".into())
    );
    assert_eq!(outcome("reach"), "not-applicable");
}
