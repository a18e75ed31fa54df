//! Fragments that one node rendered and others show.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use pitlane::{
    Cache, Caches, Invalidated, RemoteLookup, ResponseCacheLayer, Scope, depend_on,
    fragment::{Fragment, prefetch},
};
use pitlane_testkit::{Answer, Client, Origin, Protocol, RedisServer, Server};
use tower::Layer;

use crate::nodes::{caches, until, until_joined};

/// How often each fragment has been rendered on one node.
#[derive(Clone, Default)]
struct Rendered(Arc<Mutex<BTreeMap<String, u32>>>);

impl Rendered {
    fn note(&self, name: &str) {
        *self.0.lock().unwrap().entry(name.to_owned()).or_default() += 1;
    }

    fn take(&self) -> BTreeMap<String, u32> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// What the cards show: one database for all nodes.
type Rows = Arc<Mutex<BTreeMap<&'static str, u32>>>;

const CARDS: [[&str; 2]; 2] = [["card 11", "card 12"], ["card 21", "card 22"]];

/// Everything on a page, which is everything that can be rendered.
const ALL: [&str; 7] = [
    "card 11",
    "card 12",
    "card 21",
    "card 22",
    "page",
    "section 1",
    "section 2",
];

/// One node, whose pages show two sections of two cards each.
struct Node {
    caches: Caches,
    rendered: Rendered,
    server: Server,
    client: Client,
}

impl Node {
    async fn start(redis: &RedisServer, rows: &Rows, prefetches: bool) -> Self {
        let caches = caches(redis).build().expect("a registry");
        until_joined(&caches).await;
        let cache = caches.get("default").expect("the cache");
        let rendered = Rendered::default();
        let (own, rows, inner) = (rendered.clone(), Arc::clone(rows), cache.clone());
        let origin = Origin::new(move |_, _| {
            let (cache, rows, rendered) = (inner.clone(), Arc::clone(&rows), own.clone());
            async move {
                if prefetches {
                    prefetch(ALL.map(|name| fragment(&cache, name))).await;
                }
                let text = page(&cache, &rows, &rendered);
                Origin::reply(&[("cache-control", "max-age=60")], text)
            }
        });
        let layer = ResponseCacheLayer::new(&cache);
        Self {
            server: Server::start(layer.layer(origin)).await,
            client: Client::new(Protocol::Http1),
            caches,
            rendered,
        }
    }

    fn cache(&self) -> Cache {
        self.caches.get("default").expect("the cache")
    }

    async fn page(&self) -> Answer {
        let url = self.server.url("/");
        let page = self.client.get(&url, &[("host", "site.org")]).await;
        until("what is new is in Redis", || self.caches.background() == 0).await;
        page
    }
}

fn fragment(cache: &Cache, name: &str) -> Fragment {
    cache.fragment(name).tags([name.replace(' ', ":")])
}

fn page(cache: &Cache, rows: &Rows, rendered: &Rendered) -> String {
    let shown = |name: &str, body: &dyn Fn() -> String| {
        let Ok(text) = fragment(cache, name).render(|| {
            rendered.note(name);
            Ok::<_, Infallible>(body())
        });
        text
    };
    shown("page", &|| {
        let sections = CARDS.iter().zip(["section 1", "section 2"]);
        let section = |(cards, name): (&[&str; 2], &str)| {
            shown(name, &|| {
                let card = |name: &&str| {
                    shown(name, &|| {
                        depend_on(cache, [format!("row of {name}")]);
                        format!(" {}", rows.lock().unwrap().get(name).unwrap_or(&0))
                    })
                };
                cards.iter().map(card).collect()
            })
        };
        sections.map(section).collect()
    })
}

#[track_caller]
fn check(node: &Node, expected: &[&str]) {
    let expected = expected.iter().map(|name| ((*name).to_owned(), 1));
    assert_eq!(node.rendered.take(), expected.collect());
}

async fn edit(node: &Node, rows: &Rows, card: &'static str) -> pitlane::Position {
    *rows.lock().unwrap().entry(card).or_default() += 1;
    let tag = format!("row of {card}");
    let Invalidated::Applied { position } = node.caches.invalidate([tag]).await.unwrap() else {
        panic!("the log is out of reach");
    };
    position
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_on_one_node_makes_the_other_render_exactly_what_shows_it() {
    let (redis, rows) = (RedisServer::start(), Rows::default());
    let a = Node::start(&redis, &rows, false).await;
    let b = Node::start(&redis, &rows, false).await;
    for node in [&a, &b] {
        // The page itself comes from Redis, where a has put it; each node needs its own fragments.
        let position = edit(&a, &rows, "card 11").await;
        assert!(node.caches.reach(position).await);
        node.page().await;
        node.rendered.take();
    }
    for (card, section, shown) in [
        ("card 12", "section 1", " 2 1 0 0"),
        ("card 21", "section 2", " 2 1 1 0"),
    ] {
        let position = edit(&a, &rows, card).await;
        assert!(b.caches.reach(position).await);
        assert_eq!(b.page().await.text(), shown);
        check(&b, &[card, "page", section]);
        assert!(b.page().await.is_hit());
        check(&b, &[]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_rendered_another_that_asks_beforehand_shows() {
    let (redis, rows) = (RedisServer::start(), Rows::default());
    let a = Node::start(&redis, &rows, false).await;
    let asks = Node::start(&redis, &rows, true).await;
    let renders = Node::start(&redis, &rows, false).await;
    assert_eq!(a.page().await.text(), " 0 0 0 0");
    check(&a, &ALL);
    // The page of a is in Redis too: only what is in it is to be found.
    let url = pitlane::Invalidation::default()
        .add_url("http://site.org/")
        .unwrap();
    let ended = a.caches.publish(url).await.unwrap();
    let Invalidated::Applied { position } = ended else {
        panic!("{ended:?}");
    };
    for node in [&asks, &renders] {
        assert!(node.caches.reach(position).await);
    }
    assert_eq!(asks.page().await.text(), " 0 0 0 0");
    check(&asks, &[]);
    let position = edit(&asks, &rows, "card 22").await;
    assert!(asks.caches.reach(position).await);
    assert_eq!(asks.page().await.text(), " 0 0 0 1");
    check(&asks, &["card 22", "page", "section 2"]);
    // A fragment that nobody asked for is not waited for.
    let fresh = Scope::open(&renders.cache());
    fresh.sync(|| page(&renders.cache(), &rows, &renders.rendered));
    check(&renders, &ALL);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_rendered_from_before_an_invalidation_elsewhere_is_shown_by_nobody() {
    let (redis, rows) = (RedisServer::start(), Rows::default());
    let a = Node::start(&redis, &rows, false).await;
    let b = Node::start(&redis, &rows, false).await;
    let cache = a.cache();
    let scope = Scope::open(&cache);
    let read = "old".to_owned();
    // b's write, and its word that all may see, come between a's reading and its rendering.
    let position = edit(&b, &rows, "card 11").await;
    assert!(a.caches.reach(position).await);
    let card = || cache.fragment("card").tags(["row of card 11"]);
    let text = scope.sync(|| card().render(|| Ok::<_, Infallible>(read)));
    assert_eq!(text, Ok("old".to_owned()));
    until("nothing is on its way", || a.caches.background() == 0).await;
    let elsewhere = b.cache().fragment("card").tags(["row of card 11"]);
    assert_eq!(prefetch([card(), elsewhere.clone()]).await, 0);
    for fragment in [card(), elsewhere] {
        assert_eq!(fragment.render(|| Err(())), Err(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_cache_shows_a_fragment_only_where_it_can_wait_for_the_log() {
    let redis = RedisServer::start();
    let text = "[caches.default]\ncoherence = \"strict\"";
    let caches = caches(&redis).config(text, "a test").unwrap();
    let caches = caches.build().unwrap();
    until_joined(&caches).await;
    let cache = caches.get("default").unwrap();
    let card = || cache.fragment("card");
    let found = async |text: &str| {
        let text = text.to_owned();
        let Ok(text) = card()
            .render_async(async || Ok::<_, Infallible>(text))
            .await;
        text
    };
    assert_eq!(found("one").await, "one");
    assert_eq!(found("two").await, "one");
    let scope = Scope::open(&cache);
    let now = scope.sync(|| card().render(|| Ok::<_, Infallible>("three".into())));
    assert_eq!(now, Ok("three".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_redis_frozen_many_fragments_wait_once_for_all_and_are_rendered() {
    let redis = RedisServer::start();
    let caches = caches(&redis).build().unwrap();
    until_joined(&caches).await;
    let cache = caches.get("default").unwrap();
    redis.freeze();
    let cards = || (0..100).map(|number| cache.fragment("card").arg(number));
    let skipped = || {
        let lookups = cache.remote_lookups();
        lookups
            .iter()
            .find(|(kind, _)| *kind == RemoteLookup::Skipped)
            .unwrap()
            .1
    };
    let scope = Scope::open(&cache);
    let before = skipped();
    let work = scope.clone().run(async {
        // All at once take the request's 2 seconds, not 200; then none are left.
        let found = tokio::time::timeout(Duration::from_secs(60), prefetch(cards())).await;
        let again = prefetch(cards()).await;
        (found, again)
    });
    assert_eq!(work.await, (Ok(0), 0));
    assert_eq!(
        skipped(),
        before,
        "nobody asks when nothing is left to ask with"
    );
    for card in cards() {
        let text = scope
            .clone()
            .sync(|| card.clone().render(|| Ok::<_, Infallible>("x".into())));
        assert_eq!(text, Ok("x".to_owned()));
        assert_eq!(card.render(|| Err(())), Ok("x".to_owned()));
    }
    redis.thaw();
}
