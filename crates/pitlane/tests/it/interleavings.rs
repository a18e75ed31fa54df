//! An invalidation at every moment of a fill, in every way there is to ask for one.
//!
//! A body shows the number of the handler's call and what it read from its data. There is no
//! moment between a body's end and its entry's insertion: both happen within one poll.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use http::{Method, StatusCode};
use pitlane::{CacheHint, Caches, Invalidation, Key, ResponseCache, ResponseCacheLayer};
use pitlane_testkit::{Gate, Origin, Steps};
use tower::Layer;

use crate::drive::{Asked, FRESH, ask, bench, bounded, poll_once};

const PATH: &str = "/clubs/42?page=1";
const USER: &[(&str, &str)] = &[("x-user", "7")];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    BeforeItReads,
    AfterItRead,
    AfterTheHead,
    AfterTheEnd,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    HintedTag,
    OwedTag,
    Post,
    KeyPrefix,
    Url,
    Clear,
    UserTag,
}

struct World {
    caches: Caches,
    service: ResponseCache<Origin>,
    origin: Origin,
    data: Arc<AtomicU64>,
    begun: Gate,
    read: Gate,
    rest: Gate,
}

impl World {
    fn new() -> Self {
        let bench = bench();
        let data = Arc::new(AtomicU64::new(0));
        let (begun, read, rest) = (Gate::new(), Gate::new(), Gate::new());
        let held = (begun.clone(), read.clone(), rest.clone(), Arc::clone(&data));
        let origin = Origin::new(move |request, call| {
            let (begun, read, rest, data) = held.clone();
            async move {
                if request.method() == Method::POST {
                    let mut reply = Origin::reply(&[], "");
                    *reply.status_mut() = StatusCode::SEE_OTHER;
                    return reply;
                }
                begun.pass().await;
                let value = data.load(Ordering::SeqCst);
                read.pass().await;
                let body = Steps::new().data(format!("call {call} read {value}"));
                let mut reply = body.gated(&rest, ".").reply(FRESH);
                reply.extensions_mut().insert(CacheHint::tags(["page"]));
                reply
            }
        });
        let layer = ResponseCacheLayer::new(&bench.cache).per_user(|parts| {
            let id = parts.headers.get("x-user")?.to_str().ok()?;
            Some(id.to_owned())
        });
        Self {
            caches: bench.caches,
            service: layer.layer(origin.clone()),
            origin,
            data,
            begun,
            read,
            rest,
        }
    }

    fn get(&self) -> Asked {
        ask(&self.service, Method::GET, PATH, USER)
    }

    /// Commits a write and then invalidates; both are done when this returns.
    async fn write(&self, way: Way) {
        self.data.store(1, Ordering::SeqCst);
        let prefix = Key::new("site.test").child("clubs");
        let done = match way {
            Way::HintedTag => self.caches.invalidate(["page"]).await,
            Way::UserTag => self.caches.invalidate(["user:7"]).await,
            Way::KeyPrefix => {
                self.caches
                    .publish(Invalidation::default().add_key(&prefix))
                    .await
            }
            Way::Url => {
                let url = format!("http://site.test{PATH}");
                self.caches
                    .publish(Invalidation::default().add_url(&url).unwrap())
                    .await
            }
            Way::Clear => self.caches.clear("default").await,
            Way::OwedTag => self.caches.owe(["page"]).publish().await,
            Way::Post => {
                ask(&self.service, Method::POST, PATH, USER).await;
                return;
            }
        };
        let _ = done.unwrap();
    }

    /// Opens as many gates as a fill has before `moment`, and waits until it is there.
    async fn reach(&self, moment: Moment) {
        bounded(self.begun.arrival()).await;
        if moment == Moment::BeforeItReads {
            return;
        }
        self.begun.open(1);
        bounded(self.read.arrival()).await;
        if moment == Moment::AfterItRead {
            return;
        }
        self.read.open(1);
        bounded(self.rest.arrival()).await;
    }

    fn open_all(&self) {
        for gate in [&self.begun, &self.read, &self.rest] {
            gate.open(1000);
        }
    }
}

async fn check(moment: Moment, way: Way) {
    let context = format!("{moment:?} {way:?}");
    let world = World::new();
    let mut before = world.get();
    let leader = tokio::spawn(world.get());
    world.reach(moment).await;
    // It follows: the leader has begun.
    assert!(poll_once(before.as_mut()).is_pending(), "{context}");
    if moment == Moment::AfterTheEnd {
        world.rest.open(1);
    }
    if moment == Moment::AfterTheEnd {
        assert_eq!(bounded(leader).await.unwrap().text(), "call 1 read 0.");
        assert_eq!(bounded(before).await.text(), "call 1 read 0.");
        world.write(way).await;
        world.open_all();
        assert_eq!(
            bounded(world.get()).await.text().split(' ').nth(3),
            Some("1."),
            "{context}"
        );
        return;
    }
    let calls = world.origin.calls();
    world.write(way).await;
    let calls = calls + usize::from(way == Way::Post);
    let mut after = world.get();
    assert!(poll_once(after.as_mut()).is_pending());
    if !matches!(way, Way::HintedTag | Way::OwedTag) {
        // What the request itself implies is known at once: it waits for nobody.
        assert_eq!(
            world.origin.calls(),
            calls + 1,
            "{context}: joined an older flight"
        );
    }
    world.open_all();
    let after = tokio::spawn(after);
    let before = tokio::spawn(before);
    let leader = bounded(leader).await.unwrap();
    assert!(leader.text().starts_with("call 1 "), "{context}");
    for (who, follower) in [("after", after), ("before", before)] {
        let answer = bounded(follower).await.unwrap();
        let text = answer.text();
        assert!(!text.starts_with("call 1 "), "{context}: {who} got {text}");
        assert!(text.ends_with("read 1."), "{context}: {who} got {text}");
    }
    let hit = bounded(world.get()).await;
    assert!(
        hit.text().ends_with("read 1."),
        "{context}: stored {}",
        hit.text()
    );
    assert!(
        !hit.text().starts_with("call 1 "),
        "{context}: stored {}",
        hit.text()
    );
}

#[tokio::test]
async fn an_invalidation_is_never_lost_at_whatever_moment_of_a_fill_it_lands() {
    for moment in [
        Moment::BeforeItReads,
        Moment::AfterItRead,
        Moment::AfterTheHead,
        Moment::AfterTheEnd,
    ] {
        for way in [
            Way::HintedTag,
            Way::OwedTag,
            Way::Post,
            Way::KeyPrefix,
            Way::Url,
            Way::Clear,
            Way::UserTag,
        ] {
            check(moment, way).await;
        }
    }
}

#[tokio::test]
async fn an_invalidation_of_something_else_ends_nothing() {
    for (way, ends) in [(Way::HintedTag, true), (Way::UserTag, true)] {
        let world = World::new();
        world.open_all();
        world.get().await;
        let _ = world
            .caches
            .invalidate(["pages", "user:77", "user"])
            .await
            .unwrap();
        let below = Key::new("site.test").child("clubs").child("42").child("x");
        let beside = Key::new("site.test").child("club");
        for key in [below, beside] {
            let _ = world
                .caches
                .publish(Invalidation::default().add_key(&key))
                .await
                .unwrap();
        }
        ask(&world.service, Method::POST, "/clubs/42", USER).await;
        assert!(world.get().await.is_hit());
        world.write(way).await;
        assert_eq!(world.get().await.is_hit(), !ends);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_never_sees_less_than_what_was_acknowledged_before_it_began() {
    let bench = bench();
    let data = Arc::new(AtomicU64::new(0));
    let source = Arc::clone(&data);
    let origin = Origin::new(move |_, call| {
        let source = Arc::clone(&source);
        async move {
            let value = source.load(Ordering::SeqCst).to_string();
            for _ in 0..call % 3 {
                tokio::task::yield_now().await;
            }
            let mut body = Steps::new().data(value);
            if call.is_multiple_of(2) {
                body = body.then(async {
                    tokio::task::yield_now().await;
                    "".into()
                });
            }
            let mut reply = body.reply(FRESH);
            reply.extensions_mut().insert(CacheHint::tags(["page"]));
            reply
        }
    });
    let service = bench.layer.layer(origin);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let (service, acknowledged) = (service.clone(), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                loop {
                    let floor = acknowledged.load(Ordering::SeqCst);
                    let answer = crate::drive::get(&service, "/").await;
                    let seen: u64 = answer.text().parse().unwrap();
                    assert!(seen >= floor, "saw {seen} after {floor} was acknowledged");
                    if floor == 500 {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for version in 1..=500 {
        data.store(version, Ordering::SeqCst);
        let _ = bench.caches.invalidate(["page"]).await.unwrap();
        acknowledged.store(version, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
    for reader in readers {
        bounded(reader).await.unwrap();
    }
}
