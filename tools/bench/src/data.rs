use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use pitlane::{
    Cache, Caches, Key, Scope, cached,
    data::{Data, DataError, Json},
};
use serde::{Deserialize, Serialize};

use crate::{
    fragments,
    measure::{Case, allocations, least_and_median},
};

/// A row as a query brings it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Club {
    id: u64,
    name: String,
    tagline: String,
    members: u32,
    founded: u16,
}

fn club(id: u64) -> Club {
    Club {
        id,
        name: "Night Shift Racing".into(),
        tagline: "On the limit since dusk".into(),
        members: 42,
        founded: 2017,
    }
}

#[cached(
    caches = &caches,
    cache = "query",
    ttl = "10m",
    key = "club:{id}",
    tags = ["club:{id}"],
    version = 1,
    skip(caches),
)]
async fn attributed(caches: &Caches, id: u64) -> Result<Club, DataError<Infallible>> {
    let _ = &caches;
    Ok(club(id))
}

/// What a future that has its value at once gives.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("it is in memory"),
    }
}

pub(crate) fn run() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _entered = runtime.enter();
    let caches = Caches::builder().cache("query").build().expect("caches");
    let cache = caches.get("query").expect("the cache");
    let key = Key::new("club").child(42);
    runtime.block_on(async {
        load(&plain(&cache), &key).await;
        load(&plain(&cache).codec(Json), &key).await;
        drop(attributed(&caches, 42).await);
    });
    let mut cases = cases(&caches, &cache, &key);
    println!("a value of 5 fields, 2 of them texts, in memory");
    print(&mut cases);
    fragments::run();
}

/// Prints what each case costs against the first: the least of all rounds, because a busy machine only
/// ever adds to it.
pub(crate) fn print(cases: &mut [Case]) {
    let allocations: Vec<u64> = cases
        .iter_mut()
        .map(|case| allocations(&mut case.work))
        .collect();
    let times = least_and_median(cases);
    println!(
        "{:<44} {:>9} {:>9} {:>7} {:>12}",
        "", "least ns", "median ns", "ratio", "allocations"
    );
    for ((case, (least, median)), count) in cases.iter().zip(&times).zip(allocations) {
        let ratio = least / times[0].0;
        let name = case.name;
        println!("{name:<44} {least:>9.0} {median:>9.0} {ratio:>6.2}x {count:>12}");
    }
}

fn plain(cache: &Cache) -> Data<Club> {
    cache.data().ttl(Duration::from_secs(600)).tags(["club:42"])
}

async fn load<C: pitlane::data::Codec>(data: &Data<Club, C>, key: &Key) -> Club {
    let value = data.get_or_compute(key, async || Ok::<_, Infallible>(club(42)));
    value.await.expect("a value")
}

fn cases(caches: &Caches, cache: &Cache, key: &Key) -> Vec<Case> {
    let map = HashMap::from([(key.to_string(), club(42))]);
    let quick = quick_cache::sync::Cache::new(100);
    quick.insert(key.to_string(), club(42));
    let text = key.to_string();
    let (kept, json) = (plain(cache), plain(cache).codec(Json));
    let scope = Scope::open(cache);
    let case = |name, work: Box<dyn FnMut()>| Case { name, work };
    let looked_up = text.clone();
    let of_key = |key: &Key| key.clone();
    let keys = [key; 4].map(of_key);
    let [first, second, third, fourth] = keys;
    let (own, again, caches) = (kept.clone(), cache.clone(), caches.clone());
    vec![
        case(
            "a HashMap's value, cloned",
            Box::new(move || drop(black_box(map.get(black_box(text.as_str())).cloned()))),
        ),
        case(
            "quick_cache's value, cloned",
            Box::new(move || drop(black_box(quick.get(black_box(looked_up.as_str()))))),
        ),
        case(
            "get_or_compute",
            Box::new(move || drop(black_box(now(load(&kept, black_box(&first)))))),
        ),
        case(
            "get_or_compute, in a scope",
            Box::new(move || {
                let value = || now(load(&own, black_box(&second)));
                drop(black_box(scope.clone().sync(value)));
            }),
        ),
        case(
            "get_or_compute, with what describes it made anew",
            Box::new(move || drop(black_box(now(load(&plain(&again), black_box(&third)))))),
        ),
        case(
            "get_or_compute, JSON",
            Box::new(move || drop(black_box(now(load(&json, black_box(&fourth)))))),
        ),
        case(
            "#[cached]",
            Box::new(move || drop(black_box(now(attributed(&caches, black_box(42)))))),
        ),
    ]
}
