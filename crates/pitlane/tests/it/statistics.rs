//! What a node says of itself, from memory alone.

use std::time::Duration;

use http::StatusCode;
use pitlane::{
    Cache, Caches, Clock, Key, ResponseCacheLayer, Timestamp,
    stats::{CacheStats, NodeStats, StatsOptions},
};
use pitlane_testkit::{Client, Gate, Origin, Protocol, Server, Steps};
use tower::Layer;

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];

struct Site {
    caches: Caches,
    clock: Clock,
    server: Server,
    client: Client,
}

impl Site {
    async fn start(origin: &Origin) -> Self {
        let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let caches = Caches::builder()
            .cache("default")
            .cache("other")
            .clock(clock.clone())
            .build()
            .unwrap();
        let layer = ResponseCacheLayer::new(&caches.get("default").unwrap())
            .route_label(|parts| parts.uri.path().get(..2));
        Self {
            server: Server::start(layer.layer(origin.clone())).await,
            client: Client::new(Protocol::Http1),
            caches,
            clock,
        }
    }

    async fn get(&self, path: &str) -> StatusCode {
        self.get_with(path, &[]).await
    }

    async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> StatusCode {
        let url = self.server.url(path);
        self.client.get(&url, headers).await.status
    }

    fn numbers(&self) -> NodeStats {
        self.caches.node_stats()
    }
}

fn options() -> StatsOptions {
    StatsOptions::new().without_publishing()
}

fn cache<'a>(node: &'a NodeStats, name: &str) -> &'a CacheStats {
    node.caches.iter().find(|cache| cache.name == name).unwrap()
}

fn reasons(cache: &CacheStats) -> Vec<(&str, &str, u64)> {
    let reasons = cache.reasons.iter();
    reasons
        .map(|one| (&*one.outcome, &*one.reason, one.count))
        .collect()
}

#[tokio::test]
async fn requests_add_up_by_outcome_reason_and_route() {
    let origin = Origin::counting(FRESH);
    let site = Site::start(&origin).await;
    let _keeper = site.caches.keep_stats(options());
    for path in ["/a", "/a", "/a", "/b"] {
        site.get(path).await;
    }
    site.get_with("/a", &[("authorization", "Basic x")]).await;
    let node = site.numbers();
    let cache = cache(&node, "default");
    assert_eq!(
        reasons(cache),
        [
            ("hit", "fresh", 2),
            ("miss", "uri-miss", 2),
            ("bypass", "authorization", 1)
        ]
    );
    let window = &cache.windows.since_start;
    assert_eq!(window.outcomes.total(), 5);
    assert_eq!(window.hit_ratio, Some(0.5));
    assert_eq!(window.hit_ratio_with_bypass, Some(0.4));
    let routes: Vec<_> = cache
        .routes
        .iter()
        .map(|route| (&*route.route, route.outcomes.total()))
        .collect();
    assert_eq!(routes, [("/a", 4), ("/b", 1)]);
    assert_eq!(node.totals.windows.since_start.outcomes, window.outcomes);
    assert_eq!(
        cache.windows.last_minute.as_ref().map(|w| w.outcomes),
        Some(window.outcomes)
    );
    assert_eq!((cache.memory.entries, cache.memory.shared), (2, true));
    assert_eq!(node.totals.memory.limit_bytes, cache.memory.limit_bytes);
}

#[tokio::test]
async fn what_hits_saved_is_what_their_computation_took() {
    let gate = Gate::new();
    let origin = {
        let gate = gate.clone();
        Origin::new(move |_, _| {
            let gate = gate.clone();
            async move {
                gate.pass().await;
                Origin::reply(FRESH, "body")
            }
        })
    };
    let site = Site::start(&origin).await;
    let _keeper = site.caches.keep_stats(options());
    let slow = async {
        gate.arrival().await;
        site.clock.advance(Duration::from_millis(1_500));
        gate.open(1);
    };
    tokio::join!(site.get("/slow"), slow);
    for _ in 0..4 {
        site.get("/slow").await;
    }
    let node = site.numbers();
    let cache = cache(&node, "default");
    assert_eq!(cache.saved.handler_calls, 4);
    assert!(
        (cache.saved.handler_seconds - 6.0).abs() < 1e-9,
        "{:?}",
        cache.saved
    );
    assert_eq!(node.totals.saved, cache.saved);
    let measured: Vec<_> = cache
        .latencies
        .iter()
        .map(|one| (&*one.outcome, one.count))
        .collect();
    assert_eq!(measured, [("hit", 4), ("miss", 1)]);
    let miss = cache.latencies[1].p50_seconds.unwrap();
    assert!((miss - 1.5).abs() <= 1.5 / 16.0, "{miss}");
    let [by_hits] = &cache.top_by_hits[..] else {
        panic!("one key: {:?}", cache.top_by_hits)
    };
    let url = site.server.url("/slow");
    assert_eq!(
        by_hits.name,
        format!("GET {}", url.trim_start_matches("http:"))
    );
    assert_eq!((by_hits.count, by_hits.error), (4, 0));
    let [by_cost] = &cache.top_by_cost[..] else {
        panic!("one key: {:?}", cache.top_by_cost)
    };
    assert_eq!((&by_cost.name, by_cost.count), (&by_hits.name, 1));
    assert!((by_cost.seconds - 1.5).abs() < 1e-9, "{by_cost:?}");
}

#[tokio::test]
async fn decisions_are_remembered_with_the_newest_first() {
    let origin = Origin::counting(FRESH);
    let site = Site::start(&origin).await;
    let _keeper = site.caches.keep_stats(options());
    site.get("/a").await;
    site.clock.advance(Duration::from_secs(1));
    site.get("/a").await;
    site.clock.advance(Duration::from_secs(1));
    site.get_with("/b", &[("authorization", "Basic x")]).await;
    let node = site.numbers();
    let told: Vec<_> = node
        .decisions
        .iter()
        .map(|one| {
            (
                one.at_ms % 1_000_000,
                &*one.cache,
                &*one.route,
                &*one.outcome,
                &*one.reason,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (2_000, "default", "/b", "bypass", "authorization"),
            (1_000, "default", "/a", "hit", "fresh"),
            (0, "default", "/a", "miss", "uri-miss")
        ]
    );
    assert_eq!(node.decisions[0].seconds, None);
    assert_eq!(node.decisions[1].seconds, Some(0.0));
}

#[tokio::test]
async fn without_a_keeper_there_are_counters_and_nothing_else() {
    let origin = Origin::counting(FRESH);
    let site = Site::start(&origin).await;
    for _ in 0..3 {
        site.get("/a").await;
    }
    let node = site.numbers();
    let cache = cache(&node, "default");
    assert!(!node.sampled && node.published.is_none() && node.redis.is_none());
    assert_eq!(cache.windows.since_start.outcomes.total(), 3);
    assert_eq!(cache.windows.last_minute, None);
    assert_eq!((cache.latencies.len(), cache.top_by_hits.len()), (0, 0));
    assert_eq!((node.decisions.len(), cache.series.last_hour.len()), (0, 0));
    assert_eq!(
        (cache.saved.handler_calls, cache.saved.handler_seconds),
        (2, 0.0)
    );
}

#[tokio::test]
async fn a_keeper_that_is_dropped_keeps_nothing_more() {
    let origin = Origin::counting(FRESH);
    let site = Site::start(&origin).await;
    let keeper = site.caches.keep_stats(options());
    // While one keeps them, another one has nothing to do, and nothing to end.
    drop(site.caches.keep_stats(options()));
    assert!(site.numbers().sampled);
    site.get("/a").await;
    site.get("/a").await;
    keeper.end().await;
    site.get("/a").await;
    let node = site.numbers();
    assert!(!node.sampled);
    let cache = cache(&node, "default");
    assert_eq!(cache.windows.since_start.outcomes.hit, 2);
    assert_eq!(cache.latencies[0].count, 1);
    let _next = site.caches.keep_stats(options());
    assert!(site.numbers().sampled);
}

#[tokio::test]
async fn hostile_keys_are_shown_harmlessly_and_briefly() {
    let origin = Origin::counting(FRESH);
    let site = Site::start(&origin).await;
    let _keeper = site.caches.keep_stats(options());
    let long = format!("/{}", "x".repeat(8_000));
    let hostile = ["/%1b%5b31m", "/a?%3Cscript%3Ealert(1)&quot;'x'", &long];
    for path in hostile {
        site.get(path).await;
        site.get(path).await;
    }
    let node = site.numbers();
    let cache = cache(&node, "default");
    assert_eq!(cache.top_by_hits.len(), 3);
    for key in cache.top_by_hits.iter().chain(&cache.top_by_cost) {
        assert!(key.name.chars().count() < 700, "{}", key.name.len());
        assert!(!key.name.contains(char::is_control), "{key:?}");
    }
}

#[tokio::test]
async fn values_that_are_used_are_among_the_top_keys() {
    let caches = Caches::builder().build().unwrap();
    let _keeper = caches.keep_stats(options());
    let store = |cache: &Cache, key: &Key| {
        let (cache, key) = (cache.clone(), key.clone());
        async move {
            if let pitlane::Claim::Fill(fill) = cache.claim(&key).await {
                fill.store("value", Duration::from_secs(60));
            }
        }
    };
    let values = caches.get("default").unwrap();
    let key = Key::new("club").child("42");
    store(&values, &key).await;
    for _ in 0..5 {
        assert!(values.get(&key).is_some());
    }
    let node = caches.node_stats();
    let cache = cache(&node, "default");
    let top: Vec<_> = cache
        .top_by_hits
        .iter()
        .map(|one| (&*one.name, one.count))
        .collect();
    assert_eq!(top, [("club:42", 5)]);
    assert_eq!(cache.top_by_cost.len(), 1);
    // No request came.
    assert_eq!(cache.windows.since_start.outcomes.total(), 0);
}

/// So many requests were answered, and counted.
async fn until_counted(site: &Site, count: u64) {
    let wait = async {
        while site.numbers().totals.windows.since_start.outcomes.total() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
    assert!(waited.is_ok(), "{:?}", site.numbers().caches[0].reasons);
}

#[tokio::test]
async fn a_request_whose_client_left_before_its_answer_is_an_abandoned_miss() {
    let gate = Gate::new();
    let origin = {
        let gate = gate.clone();
        Origin::new(move |_, _| {
            let gate = gate.clone();
            async move {
                gate.pass().await;
                Origin::reply(FRESH, "body")
            }
        })
    };
    let site = Site::start(&origin).await;
    let url = site.server.url("/a");
    let asking = || async {
        let client = Client::new(Protocol::Http1);
        client.get(&url, &[]).await
    };
    let first = tokio::spawn({
        let url = url.clone();
        async move { Client::new(Protocol::Http1).get(&url, &[]).await }
    });
    gate.arrival().await;
    first.abort();
    until_counted(&site, 1).await;
    assert_eq!(
        reasons(cache(&site.numbers(), "default")),
        [("miss", "abandoned", 1)]
    );
    // Who comes next is answered, and counted for itself.
    gate.open(9);
    asking().await;
    let node = site.numbers();
    let counted = reasons(cache(&node, "default"));
    assert_eq!(
        counted.iter().map(|(_, _, count)| count).sum::<u64>(),
        2,
        "{counted:?}"
    );
}

#[tokio::test]
async fn a_request_whose_client_left_in_the_middle_of_its_answer_is_counted_once() {
    let gate = Gate::new();
    let origin = {
        let gate = gate.clone();
        Origin::new(move |_, _| {
            let reply = Steps::new().data("a").gated(&gate, "b").reply(FRESH);
            async move { reply }
        })
    };
    let site = Site::start(&origin).await;
    let url = site.server.url("/a");
    let request = http::Request::get(&url).body(Default::default()).unwrap();
    drop(site.client.begin(request).await);
    gate.open(9);
    until_counted(&site, 1).await;
    site.get("/b").await;
    let outcomes = site.numbers().totals.windows.since_start.outcomes;
    assert_eq!((outcomes.total(), outcomes.miss), (2, 2));
}

#[tokio::test]
async fn a_stale_answer_and_its_refresh_are_one_request() {
    let origin = Origin::counting(&[("cache-control", "max-age=1, stale-while-revalidate=60")]);
    let site = Site::start(&origin).await;
    site.get("/a").await;
    site.clock.advance(Duration::from_secs(2));
    site.get("/a").await;
    let wait = async {
        while origin.calls() < 2 || site.caches.background() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), wait).await;
    assert!(waited.is_ok(), "it is refreshed");
    let counted = site.numbers();
    let counted = reasons(cache(&counted, "default"));
    assert_eq!(
        counted,
        [
            ("stale", "stale-while-revalidate", 1),
            ("miss", "uri-miss", 1)
        ]
    );
}

#[tokio::test]
async fn numbers_are_the_same_after_a_journey_through_json() {
    let origin = Origin::counting(FRESH);
    let site = Site::start(&origin).await;
    let _keeper = site.caches.keep_stats(options().name("web\n1"));
    site.get("/a").await;
    site.get("/a").await;
    let node = site.numbers();
    assert_eq!(node.name.as_deref(), Some("web1"));
    let text = serde_json::to_string(&node).unwrap();
    assert_eq!(serde_json::from_str::<NodeStats>(&text).unwrap(), node);
    let alone = site.caches.fleet_stats().await.unwrap();
    assert_eq!(alone.nodes, [node]);
}
