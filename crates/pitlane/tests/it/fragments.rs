//! Pages made of cached values: a page is never fresher than what it shows.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use pitlane::{
    Cache, Caches, Claim, Freshness, Invalidation, Key, ResponseCache, ResponseCacheLayer, Scope,
    depend_on,
};
use pitlane_testkit::{Gate, Origin, Reply, Steps};
use tower::Layer;

use crate::drive::{Bench, FRESH, bench, bounded, get, poll_once, request, try_send};

const MINUTE: Duration = Duration::from_secs(60);

fn key() -> Key {
    Key::new("club").child(42)
}

/// A value that is fresh for ten minutes and usable for ten more.
async fn store(cache: &Cache) {
    let Claim::Fill(fill) = cache.claim(&key()).await else {
        panic!("there already");
    };
    let freshness = Freshness::new(10 * MINUTE).with_stale_while_revalidate(10 * MINUTE);
    fill.store_with("value", freshness, ["club:42"]);
}

fn read(cache: &Cache) -> Bytes {
    let value = cache.get(&key());
    value.map_or(Bytes::from_static(b"nothing"), |value| {
        value.bytes().clone()
    })
}

async fn compute(cache: &Cache) -> Bytes {
    match cache.claim(&key()).await {
        Claim::Hit(value) => value.bytes().clone(),
        Claim::Fill(fill) => {
            let value = fill.run(async { "computed" }).await;
            fill.store_with(value, Freshness::new(MINUTE), ["club:42"])
                .bytes()
                .clone()
        }
    }
}

/// The ways in which a handler can use a value.
async fn page(path: String, cache: Cache) -> Reply {
    match path.as_str() {
        "/get" => Origin::reply(FRESH, read(&cache)),
        "/claim" => Origin::reply(FRESH, compute(&cache).await),
        "/spawned-in-scope" => {
            let scope = Scope::current();
            let work = tokio::spawn(scope.run(async move { compute(&cache).await }));
            Origin::reply(FRESH, work.await.unwrap())
        }
        "/streamed" => Steps::new()
            .data("head ")
            .then(async move { compute(&cache).await })
            .reply(FRESH),
        "/streamed-later" => Steps::new()
            .data("a")
            .data("b")
            .data("c")
            .then(async move { read(&cache) })
            .reply(FRESH),
        "/given-up" => {
            let Claim::Fill(fill) = cache.claim(&Key::new("other")).await else {
                panic!("nobody stores it");
            };
            let value = fill.run(compute(&cache)).await;
            drop(fill);
            Origin::reply(FRESH, value)
        }
        "/released" => {
            let Claim::Fill(fill) = cache.claim(&Key::new("other")).await else {
                panic!("nobody stores it");
            };
            let value = fill.run(compute(&cache)).await;
            fill.release();
            Origin::reply(FRESH, value)
        }
        _ => Origin::reply(FRESH, "no value"),
    }
}

const USES: [&str; 7] = [
    "/get",
    "/claim",
    "/spawned-in-scope",
    "/streamed",
    "/streamed-later",
    "/given-up",
    "/released",
];

fn site(bench: &Bench) -> ResponseCache<Origin> {
    let cache = bench.cache.clone();
    bench.layer.layer(Origin::new(move |request, _| {
        page(request.uri().path().to_owned(), cache.clone())
    }))
}

#[tokio::test]
async fn what_ends_a_value_ends_every_page_that_shows_it_and_no_other() {
    for invalidation in [
        Invalidation::tags(["club:42"]),
        Invalidation::default().add_key(&key()),
        Invalidation::default().add_key(&Key::new("club")),
    ] {
        for stored_before in [true, false] {
            for path in USES {
                let bench = bench();
                if stored_before || matches!(path, "/get" | "/streamed-later") {
                    store(&bench.cache).await;
                }
                let service = site(&bench);
                for path in [path, "/plain"] {
                    get(&service, path).await;
                    assert!(get(&service, path).await.is_hit(), "{path}");
                }
                let _ = bench.caches.publish(invalidation.clone()).await.unwrap();
                assert!(
                    !get(&service, path).await.is_hit(),
                    "{path} {invalidation:?}"
                );
                assert!(get(&service, "/plain").await.is_hit());
            }
        }
    }
}

#[tokio::test]
async fn a_page_that_shows_something_stale_is_not_stored() {
    for soft in [false, true] {
        for path in ["/get", "/streamed-later"] {
            let bench = bench();
            store(&bench.cache).await;
            if soft {
                let soft = Invalidation::tags(["club:42"]).soft();
                let _ = bench.caches.publish(soft).await.unwrap();
            } else {
                bench.clock.advance(10 * MINUTE);
            }
            let service = site(&bench);
            for _ in 0..2 {
                let page = get(&service, path).await;
                assert!(page.text().ends_with("value"), "{path}");
                assert!(!page.is_hit(), "{path}, soft: {soft}");
            }
        }
    }
}

#[tokio::test]
async fn a_value_that_is_stale_while_another_computes_it_does_not_make_a_fresh_page() {
    let bench = bench();
    store(&bench.cache).await;
    bench.clock.advance(11 * MINUTE);
    let Claim::Fill(fill) = bench.cache.claim(&key()).await else {
        panic!("a stale value has nobody to renew it");
    };
    let service = site(&bench);
    for _ in 0..2 {
        let page = get(&service, "/claim").await;
        assert_eq!((page.text(), page.detail()), ("value", "stale-dependency"));
    }
    fill.store("renewed", MINUTE);
    // The page's key is remembered as one to pass for a while.
    bench.clock.advance(MINUTE / 2);
    assert_eq!(get(&service, "/claim").await.text(), "renewed");
    assert!(get(&service, "/claim").await.is_hit());
}

#[tokio::test]
async fn a_value_that_ends_between_its_use_and_the_pages_end_ends_the_page() {
    let bench = bench();
    store(&bench.cache).await;
    let gate = Gate::new();
    let (cache, held) = (bench.cache.clone(), gate.clone());
    let service = bench.layer.layer(Origin::new(move |_, call| {
        let (cache, gate) = (cache.clone(), held.clone());
        async move {
            let value = read(&cache);
            let body = Steps::new().data(value);
            match call {
                1 => body.gated(&gate, ""),
                _ => body,
            }
            .reply(FRESH)
        }
    }));
    let mut first = get(&service, "/");
    assert!(poll_once(first.as_mut()).is_pending());
    let _ = bench.caches.invalidate(["club:42"]).await.unwrap();
    gate.open(1);
    assert_eq!(bounded(first).await.text(), "value");
    assert_eq!(get(&service, "/").await.text(), "nothing");
}

#[tokio::test]
async fn a_value_computed_in_a_page_is_no_newer_than_the_page() {
    let bench = bench();
    let gate = Gate::new();
    let (cache, held) = (bench.cache.clone(), gate.clone());
    let service = bench.layer.layer(Origin::new(move |_, _| {
        let (cache, gate) = (cache.clone(), held.clone());
        async move {
            // Read before the write, and used by a computation that begins after it.
            let snapshot = "old";
            gate.pass().await;
            let Claim::Fill(fill) = cache.claim(&key()).await else {
                panic!("stored by nobody");
            };
            let value = fill.run(async { snapshot }).await;
            fill.store_with(value, Freshness::new(MINUTE), ["club:42"]);
            Origin::reply(FRESH, value)
        }
    }));
    let mut first = get(&service, "/");
    assert!(poll_once(first.as_mut()).is_pending());
    let _ = bench.caches.invalidate(["club:42"]).await.unwrap();
    gate.open(1);
    assert_eq!(bounded(first).await.text(), "old");
    assert!(
        bench.cache.get(&key()).is_none(),
        "an old snapshot is cached"
    );
}

#[tokio::test]
async fn spawned_work_without_the_scope_is_not_collected() {
    // The limit that the documentation of `Scope` states.
    let bench = bench();
    store(&bench.cache).await;
    let cache = bench.cache.clone();
    let service = bench.layer.layer(Origin::new(move |_, _| {
        let cache = cache.clone();
        async move {
            assert!(Scope::current().is_open());
            let work = tokio::spawn(async move {
                assert!(!Scope::current().is_open());
                read(&cache)
            });
            Origin::reply(FRESH, work.await.unwrap())
        }
    }));
    get(&service, "/").await;
    let _ = bench.caches.invalidate(["club:42"]).await.unwrap();
    assert!(get(&service, "/").await.is_hit());
}

#[tokio::test]
async fn tags_named_anywhere_in_a_handler_end_its_page() {
    let bench = bench();
    let cache = bench.cache.clone();
    let service = bench.layer.layer(Origin::new(move |request, _| {
        let cache = cache.clone();
        async move {
            if request.uri().path() == "/in-the-body" {
                return Steps::new()
                    .data("a")
                    .data("b")
                    .then(async move {
                        depend_on(&cache, ["named"]);
                        Bytes::from_static(b"c")
                    })
                    .reply(FRESH);
            }
            depend_on(&cache, ["named"]);
            Origin::reply(FRESH, "x")
        }
    }));
    for path in ["/", "/in-the-body"] {
        get(&service, path).await;
        assert!(get(&service, path).await.is_hit());
    }
    let _ = bench.caches.invalidate(["named"]).await.unwrap();
    for path in ["/", "/in-the-body"] {
        assert!(!get(&service, path).await.is_hit(), "{path}");
    }
}

const PART: &[(&str, &str)] = &[("cache-control", "max-age=60, stale-while-revalidate=600")];

/// Pages whose handler asks a service with a cache of its own for a part.
struct Nested {
    caches: Caches,
    clock: pitlane::Clock,
    pages: ResponseCache<Origin>,
    parts: ResponseCache<Origin>,
}

fn nested(part: impl Fn(usize, Cache) -> Reply + Send + Sync + 'static) -> Nested {
    let Bench { clock, .. } = bench();
    let caches = Caches::builder().clock(clock.clone());
    let caches = caches.cache("pages").cache("parts").build().unwrap();
    let inner = caches.get("parts").unwrap();
    let values = inner.clone();
    let parts = ResponseCacheLayer::new(&inner).layer(Origin::new(move |_, call| {
        let reply = part(call, values.clone());
        async move { reply }
    }));
    let source = parts.clone();
    let pages = ResponseCacheLayer::new(&caches.get("pages").unwrap());
    let pages = pages.layer(Origin::new(move |_, _| {
        let part = try_send(source.clone(), request(Method::GET, "/part", &[]));
        async move { Origin::reply(FRESH, part.await.unwrap().body) }
    }));
    Nested {
        caches,
        clock,
        pages,
        parts,
    }
}

#[tokio::test]
async fn a_page_is_ended_by_what_ends_its_part_whether_that_was_hit_or_missed() {
    for (what, warm) in [("hit", true), ("miss", false)] {
        for way in [
            "hinted",
            "depended",
            "header",
            "url",
            "clear",
            "in the body",
        ] {
            let site = nested(|call, cache| {
                depend_on(&cache, ["depended"]);
                let body = Steps::new().data("a").data("b").then(async move {
                    depend_on(&cache, ["in the body"]);
                    Bytes::from(call.to_string())
                });
                let mut reply = body.reply(&[PART[0], ("cache-tag", "header")]);
                let hint = pitlane::CacheHint::tags(["hinted"]);
                reply.extensions_mut().insert(hint);
                reply
            });
            if warm {
                get(&site.parts, "/part").await;
            }
            get(&site.pages, "/page").await;
            assert!(get(&site.pages, "/page").await.is_hit());
            let _ = match way {
                "url" => {
                    let part = Invalidation::default()
                        .add_url("http://site.test/part")
                        .unwrap();
                    site.caches.publish(part).await
                }
                "clear" => site.caches.clear("parts").await,
                tag => site.caches.invalidate([tag]).await,
            }
            .unwrap();
            let page = get(&site.pages, "/page").await;
            let context = format!("{what}, {way}");
            assert_eq!((page.is_hit(), page.text()), (false, "ab2"), "{context}");
        }
    }
}

#[tokio::test]
async fn a_page_made_of_a_stale_part_is_not_stored() {
    for seconds in [60, 61, 600] {
        let site = nested(|call, _| Origin::reply(PART, call.to_string()));
        get(&site.parts, "/part").await;
        site.clock.advance(Duration::from_secs(seconds));
        let page = get(&site.pages, "/page").await;
        let found = (page.text(), page.detail());
        assert_eq!(found, ("1", "stale-dependency"), "{seconds} seconds");
    }
    let site = nested(|call, _| Origin::reply(PART, call.to_string()));
    get(&site.parts, "/part").await;
    let soft = Invalidation::default()
        .add_url("http://site.test/part")
        .unwrap()
        .soft();
    let _ = site.caches.publish(soft).await.unwrap();
    let page = get(&site.pages, "/page").await;
    assert_eq!((page.text(), page.detail()), ("1", "stale-dependency"));
}

#[tokio::test]
async fn a_part_that_was_not_stored_because_it_is_stale_does_not_make_a_fresh_page() {
    let site = nested(|_, cache| Origin::reply(FRESH, read(&cache)));
    let parts = site.caches.get("parts").unwrap();
    store(&parts).await;
    site.clock.advance(11 * MINUTE);
    for _ in 0..2 {
        let page = get(&site.pages, "/page").await;
        assert_eq!((page.text(), page.is_hit()), ("value", false));
    }
}

#[tokio::test]
async fn a_page_is_ended_by_what_ends_a_part_that_passed_by_its_stale_entry() {
    for (method, fields) in [
        (Method::GET, &[("range", "bytes=0-0")][..]),
        (Method::HEAD, &[]),
    ] {
        let Bench {
            caches,
            clock,
            layer,
            ..
        } = bench();
        let parts = layer.clone().layer(Origin::new(|_, _| async {
            Origin::reply(
                &[("cache-control", "max-age=60"), ("cache-tag", "club")],
                "part",
            )
        }));
        let (source, asks) = (parts.clone(), method.clone());
        let pages = layer.layer(Origin::new(move |_, call| {
            let part = try_send(source.clone(), request(asks.clone(), "/part", fields));
            async move {
                part.await.unwrap();
                Origin::reply(FRESH, call.to_string())
            }
        }));
        get(&parts, "/part").await;
        clock.advance(Duration::from_secs(61));
        assert_eq!(get(&pages, "/page").await.text(), "1");
        assert_eq!(get(&pages, "/page").await.detail(), "fresh", "{method}");
        let _ = caches.invalidate(["club"]).await.unwrap();
        assert_eq!(get(&pages, "/page").await.text(), "2", "{method}");
    }
}
