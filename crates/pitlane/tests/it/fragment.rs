//! Texts that are rendered once and shown by many pages.

use std::{
    cell::Cell,
    convert::Infallible,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pitlane::{
    Cache, Caches, Claim, Freshness, Invalidation, Key, Scope, depend_on,
    fragment::{Argument, Fragment},
};
use pitlane_testkit::{Gate, Origin};
use tower::Layer;

use crate::drive::{Bench, FRESH, bench, bounded, get, until};

const MINUTE: Duration = Duration::from_secs(60);

/// Renders the number of its call.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

impl Counter {
    fn text(&self) -> Result<String, Infallible> {
        Ok((self.0.fetch_add(1, Ordering::SeqCst) + 1).to_string())
    }

    fn of(&self, fragment: Fragment) -> String {
        let Ok(text) = fragment.render(|| self.text());
        text
    }
}

fn club(cache: &Cache) -> Fragment {
    cache.fragment("club_stats").arg(42).tags(["club:42"])
}

/// Shows a fragment in a scope of its own, as a handler does that no layer is around.
fn alone(cache: &Cache, counter: &Counter, fragment: Fragment) -> String {
    Scope::open(cache).sync(|| counter.of(fragment))
}

#[test]
fn a_fragment_is_rendered_once_for_its_name_arguments_user_and_version() {
    let Bench { cache, .. } = bench();
    let counter = Counter::default();
    let base = || cache.fragment("card");
    let apart: [Fragment; 12] = [
        base(),
        cache.fragment("card2"),
        base().arg(1),
        base().arg("1"),
        base().arg(1.0),
        base().arg(1).arg(2),
        base().arg("1:2"),
        base().arg(None::<u8>),
        base().user(1),
        base().user(2),
        base().version(1),
        base().arg(Argument::from("long".repeat(1000))),
    ];
    for (number, fragment) in apart.iter().enumerate() {
        let text = alone(&cache, &counter, fragment.clone());
        assert_eq!(text, (number + 1).to_string(), "{fragment:?}");
    }
    for (number, fragment) in apart.iter().enumerate() {
        let text = alone(&cache, &counter, fragment.clone());
        assert_eq!(text, (number + 1).to_string(), "{fragment:?}");
    }
}

#[test]
fn a_fragment_is_found_until_its_time_is_over() {
    let Bench { cache, clock, .. } = bench();
    let counter = Counter::default();
    let fragment = || club(&cache).ttl(MINUTE);
    assert_eq!(alone(&cache, &counter, fragment()), "1");
    clock.advance(MINUTE - Duration::from_secs(1));
    assert_eq!(alone(&cache, &counter, fragment()), "1");
    clock.advance(Duration::from_secs(1));
    assert_eq!(alone(&cache, &counter, fragment()), "2");
}

#[tokio::test]
async fn its_tags_its_key_and_its_user_end_a_fragment() {
    let below = |key: Key| Invalidation::default().add_key(&key);
    for ending in [
        Invalidation::tags(["club:42"]),
        Invalidation::tags(["user:7"]),
        below(Key::new("user").child(7)),
        below(Key::new("user").child(7).child("club_stats")),
        below(Key::new("user").child(7).child("club_stats").child(42)),
    ] {
        let Bench { caches, cache, .. } = bench();
        let counter = Counter::default();
        let fragment = || club(&cache).user(7);
        alone(&cache, &counter, fragment());
        assert_eq!(alone(&cache, &counter, fragment()), "1");
        let _ = caches.publish(ending.clone()).await.unwrap();
        assert_eq!(alone(&cache, &counter, fragment()), "2", "{ending:?}");
    }
}

#[test]
fn outside_of_any_scope_a_fragment_is_used_and_never_stored() {
    let Bench { cache, .. } = bench();
    let counter = Counter::default();
    assert_eq!(counter.of(club(&cache)), "1");
    assert_eq!(counter.of(club(&cache)), "2");
    assert_eq!(alone(&cache, &counter, club(&cache)), "3");
    assert_eq!(counter.of(club(&cache)), "3");
}

#[tokio::test]
async fn what_was_read_before_an_invalidation_and_rendered_after_it_is_not_kept() {
    let Bench { caches, cache, .. } = bench();
    let row = Cell::new("old");
    let page = async {
        let read = row.get();
        row.set("new");
        let _ = caches.invalidate(["club:42"]).await.unwrap();
        let Ok(text) = club(&cache).render(|| Ok::<_, Infallible>(read.to_owned()));
        text
    };
    assert_eq!(Scope::open(&cache).run(page).await, "old");
    let Ok(after) = club(&cache).render(|| Ok::<_, Infallible>(row.get().to_owned()));
    assert_eq!(after, "new");
}

#[tokio::test]
async fn a_fragment_that_is_invalidated_while_it_is_rendered_is_not_used_again() {
    let Bench { caches, cache, .. } = bench();
    let (counter, gate) = (Counter::default(), Gate::new());
    let (shown, held, own) = (club(&cache), gate.clone(), counter.clone());
    let slow = tokio::spawn(shown.render_async(async move || {
        let text = own.text();
        held.pass().await;
        text
    }));
    bounded(gate.arrival()).await;
    let _ = caches.invalidate(["club:42"]).await.unwrap();
    gate.open(1);
    assert_eq!(bounded(slow).await.unwrap(), Ok("1".to_owned()));
    assert_eq!(counter.of(club(&cache)), "2");

    // The same where nothing waits: the invalidation comes from another thread.
    let text = Scope::open(&cache).sync(|| {
        club(&cache).render(|| {
            std::thread::scope(|scope| {
                let caches = caches.clone();
                scope.spawn(move || block_on(caches.invalidate(["club:42"])));
            });
            counter.text()
        })
    });
    assert_eq!(text, Ok("3".to_owned()));
    assert_eq!(counter.of(club(&cache)), "4");
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(work)
}

/// Three levels: the page shows a section, the section shows a card.
struct Site {
    bench: Bench,
    rendered: [Counter; 2],
}

impl Site {
    fn new() -> Self {
        Self {
            bench: bench(),
            rendered: [Counter::default(), Counter::default()],
        }
    }

    /// A page whose card's body does `what`.
    fn pages(&self, what: impl Fn(&Cache) + Clone + Send + Sync + 'static) -> impl Fn() -> Pages {
        let (cache, rendered) = (self.bench.cache.clone(), self.rendered.clone());
        let service = self.bench.layer.clone().layer(Origin::new(move |_, call| {
            let (cache, what) = (cache.clone(), what.clone());
            let [section, card] = rendered.clone();
            async move {
                let inner = || {
                    card.of_body(cache.fragment("card").arg(1).tags(["card:1"]), || {
                        what(&cache);
                    })
                };
                let outer = cache.fragment("section").tags(["section"]);
                let text = outer.render(|| {
                    let Ok(own) = section.text();
                    Ok::<_, Infallible>(format!("{own}/{}", inner()))
                });
                let Ok(text) = text;
                Origin::reply(FRESH, format!("{call}/{text}"))
            }
        }));
        move || get(&service, "/")
    }
}

type Pages = crate::drive::Asked;

impl Counter {
    fn of_body(&self, fragment: Fragment, body: impl FnOnce()) -> String {
        let text = fragment.render(|| {
            body();
            self.text()
        });
        let Ok(text) = text;
        text
    }
}

fn value() -> Key {
    Key::new("members")
}

async fn store(cache: &Cache, freshness: Freshness) {
    let Claim::Fill(fill) = cache.claim(&value()).await else {
        panic!("there already");
    };
    fill.store_with("value", freshness, ["value"]);
}

/// What ends the card, and whoever shows it.
const ENDINGS: [&str; 5] = [
    "card:1",
    "named",
    "value",
    "key of the card",
    "key of the value",
];

fn ending(what: &str) -> Invalidation {
    match what {
        "key of the card" => Invalidation::default().add_key(&Key::new("card")),
        "key of the value" => Invalidation::default().add_key(&value()),
        tag => Invalidation::tags([tag]),
    }
}

#[tokio::test]
async fn what_ends_a_nested_fragment_ends_all_that_are_around_it_found_or_rendered() {
    for what in ENDINGS {
        for card_is_there in [false, true] {
            let site = Site::new();
            let Bench { caches, cache, .. } = &site.bench;
            store(cache, Freshness::new(10 * MINUTE)).await;
            let body = |cache: &Cache| {
                depend_on(cache, ["named"]);
                assert!(cache.get(&value()).is_some());
            };
            if card_is_there {
                let card = cache.fragment("card").arg(1).tags(["card:1"]);
                let rendered = &site.rendered[1];
                Scope::open(cache).sync(|| rendered.of_body(card, || body(cache)));
            }
            let page = site.pages(move |cache| {
                depend_on(cache, ["named"]);
                let _ = cache.get(&value());
            });
            assert_eq!(page().await.text(), "1/1/1", "{what}");
            assert_eq!(page().await.text(), "1/1/1", "{what}");
            let _ = caches.publish(ending(what)).await.unwrap();
            let page = page().await;
            assert_eq!(page.text(), "2/2/2", "{what}, {card_is_there}");
        }
    }
}

#[tokio::test]
async fn what_ends_a_section_leaves_its_card_alone() {
    let site = Site::new();
    let page = site.pages(|_| ());
    assert_eq!(page().await.text(), "1/1/1");
    let _ = site.bench.caches.invalidate(["section"]).await.unwrap();
    assert_eq!(page().await.text(), "2/2/1");
}

#[tokio::test]
async fn what_is_made_of_something_stale_is_shown_and_not_stored() {
    let site = Site::new();
    let freshness = Freshness::new(MINUTE).with_stale_while_revalidate(10 * MINUTE);
    store(&site.bench.cache, freshness).await;
    site.bench.clock.advance(2 * MINUTE);
    let page = site.pages(|cache| {
        assert!(cache.get(&value()).is_some_and(|value| value.is_stale()));
    });
    for call in 1..3 {
        let page = page().await;
        assert_eq!(page.text(), format!("{call}/{call}/{call}"));
        assert!(!page.is_hit());
    }
}

#[tokio::test]
async fn what_a_page_read_stale_before_makes_no_fresh_fragment() {
    let Bench { cache, clock, .. } = bench();
    let freshness = Freshness::new(MINUTE).with_stale_while_revalidate(10 * MINUTE);
    store(&cache, freshness).await;
    let counter = Counter::default();
    let page = || {
        Scope::open(&cache).sync(|| {
            let _ = cache.get(&value()).map(|value| value.bytes().clone());
            counter.of(cache.fragment("shows the value"))
        })
    };
    clock.advance(2 * MINUTE);
    assert_eq!((page(), page()), ("1".to_owned(), "2".to_owned()));
    let waiting = cache.fragment("shows the value");
    let stale = async {
        assert!(cache.get(&value()).is_some());
        waiting.render_async(async || counter.text()).await
    };
    assert_eq!(Scope::open(&cache).run(stale).await, Ok("3".to_owned()));
    assert_eq!(
        alone(&cache, &counter, cache.fragment("shows the value")),
        "4"
    );
    assert_eq!(page(), "4");
}

#[derive(Debug, PartialEq)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

/// How a body can end without a text.
fn end_badly(fragment: Fragment, panics: bool, body: impl FnOnce()) -> String {
    let shown = catch_unwind(AssertUnwindSafe(|| {
        fragment.render(|| {
            body();
            assert!(!panics, "as a template may");
            Err(Broken)
        })
    }));
    match shown {
        Ok(result) => result.unwrap_err().to_string(),
        Err(_) => "panicked".to_owned(),
    }
}

#[tokio::test]
async fn a_body_that_fails_is_not_stored_and_leaves_the_scope_around_it_right() {
    for panics in [false, true] {
        for ending in ["own", "inside", "after"] {
            let Bench {
                caches,
                cache,
                layer,
                ..
            } = bench();
            let inner = cache.clone();
            let service = layer.layer(Origin::new(move |_, call| {
                let cache = inner.clone();
                async move {
                    let fragment = cache.fragment("broken").tags(["own"]);
                    let text = end_badly(fragment, panics, || depend_on(&cache, ["inside"]));
                    // This is the page's again, not the fragment's.
                    depend_on(&cache, ["after"]);
                    Origin::reply(FRESH, format!("{call} {text}"))
                }
            }));
            let first = get(&service, "/").await;
            assert!(first.text().starts_with("1 "), "{}", first.text());
            assert!(get(&service, "/").await.is_hit());
            let counter = Counter::default();
            assert_eq!(counter.of(cache.fragment("broken").tags(["own"])), "1");
            let _ = caches.invalidate([ending]).await.unwrap();
            assert!(!get(&service, "/").await.is_hit(), "{ending}, {panics}");
        }
    }
}

#[tokio::test]
async fn a_fragment_larger_than_the_cache_takes_is_shown_and_not_stored() {
    let caches = Caches::builder().max_body(1 << 10).build().unwrap();
    let cache = caches.get("default").unwrap();
    let large = Counter::default();
    let text = |fragment: Fragment| {
        let Ok(text) = fragment.render(|| Ok::<_, Infallible>(large.text()?.repeat(2000)));
        text
    };
    let scope = Scope::open(&cache);
    assert!(scope.clone().sync(|| text(club(&cache))).starts_with("11"));
    assert!(scope.sync(|| text(club(&cache))).starts_with("22"));

    let inner = cache.clone();
    let service = pitlane::ResponseCacheLayer::new(&cache).layer(Origin::new(move |_, call| {
        let cache = inner.clone();
        async move {
            let Ok(text) = club(&cache).render(|| Ok::<_, Infallible>("x".repeat(2000)));
            Origin::reply(FRESH, format!("{call} {}", text.len()))
        }
    }));
    assert_eq!(get(&service, "/").await.text(), "1 2000");
    assert!(get(&service, "/").await.is_hit());
    let _ = caches.invalidate(["club:42"]).await.unwrap();
    assert_eq!(get(&service, "/").await.text(), "2 2000");
}

#[tokio::test]
async fn of_many_who_wait_for_a_fragment_one_renders_and_after_an_error_the_next() {
    let Bench { cache, .. } = bench();
    let (counter, gate) = (Counter::default(), Gate::new());
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (counter, gate, fragment) = (counter.clone(), gate.clone(), club(&cache));
            tokio::spawn(fragment.render_async(async move || {
                gate.pass().await;
                let Ok(text) = counter.text();
                if text == "1" { Err(Broken) } else { Ok(text) }
            }))
        })
        .collect();
    bounded(gate.arrival()).await;
    until(|| cache.in_flight() == 1).await;
    gate.open(100);
    let mut failed = 0;
    for task in tasks {
        match bounded(task).await.unwrap() {
            Ok(text) => assert_eq!(text, "2"),
            Err(Broken) => failed += 1,
        }
    }
    assert_eq!(failed, 1);
    assert_eq!(counter.of(club(&cache)), "2");
}

#[tokio::test]
async fn a_layer_that_lets_pass_opens_no_scope_and_an_opened_one_lasts_for_all_of_a_handler() {
    let Bench { cache, layer, .. } = bench();
    for opens in [false, true] {
        let (counter, inner) = (Counter::default(), cache.clone());
        let service = layer.clone().layer(Origin::new(move |_, _| {
            let (cache, counter) = (inner.clone(), counter.clone());
            let scope = match opens {
                true => Scope::open(&cache),
                false => Scope::default(),
            };
            scope.run(async move {
                tokio::task::yield_now().await;
                let fragment = cache.fragment("posted").arg(opens);
                Origin::reply(&[], counter.of(fragment))
            })
        }));
        for call in 1..3 {
            let answer = crate::drive::ask(&service, http::Method::POST, "/", &[]).await;
            let expected = if opens { 1 } else { call };
            assert_eq!(answer.text(), expected.to_string());
        }
    }
}

#[tokio::test]
async fn a_scope_that_is_open_already_is_the_one_that_is_opened() {
    let Bench {
        caches,
        cache,
        layer,
        ..
    } = bench();
    let inner = cache.clone();
    let service = layer.layer(Origin::new(move |_, call| {
        let cache = inner.clone();
        async move {
            let scope = Scope::open(&cache);
            let work = tokio::spawn(scope.run(async move { depend_on(&cache, ["named"]) }));
            work.await.unwrap();
            Origin::reply(FRESH, call.to_string())
        }
    }));
    get(&service, "/").await;
    assert!(get(&service, "/").await.is_hit());
    let _ = caches.invalidate(["named"]).await.unwrap();
    assert_eq!(get(&service, "/").await.text(), "2");
}

#[tokio::test]
async fn what_is_read_before_the_first_await_ends_a_fragment_too() {
    let Bench { caches, cache, .. } = bench();
    store(&cache, Freshness::new(10 * MINUTE)).await;
    let counter = Counter::default();
    let show = async || {
        let rendered = club(&cache).render_async(|| {
            assert!(cache.get(&value()).is_some());
            async { counter.text() }
        });
        rendered.await.unwrap()
    };
    assert_eq!(show().await, "1");
    assert_eq!(show().await, "1");
    let _ = caches.invalidate(["value"]).await.unwrap();
    store(&cache, Freshness::new(10 * MINUTE)).await;
    assert_eq!(show().await, "2");
}
