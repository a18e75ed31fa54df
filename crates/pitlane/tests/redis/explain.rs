//! Questions about what lies in Redis, which stays as it is.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use pitlane::{
    Caches, Outcome, Reason, ResponseCacheLayer,
    explain::{Asking, Explanation, Stage},
};
use pitlane_testkit::{Origin, RedisServer};
use tower::{Layer, ServiceExt};

use crate::nodes::{caches, until, until_joined};

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("cache-tag", "club")];

async fn node(redis: &RedisServer) -> Caches {
    let caches = caches(redis).build().unwrap();
    until_joined(&caches).await;
    caches
}

fn request(path: &str) -> Request<Empty<Bytes>> {
    let request = Request::get(format!("http://site.test{path}"));
    request.body(Empty::new()).unwrap()
}

async fn get(caches: &Caches, origin: &Origin, path: &str) {
    let layer = ResponseCacheLayer::new(&caches.get("default").unwrap());
    let answer = layer.layer(origin.clone()).oneshot(request(path)).await;
    answer.unwrap().into_body().collect().await.unwrap();
}

/// Asks, and finds that nobody else can see it.
async fn why(caches: &Caches, redis: &RedisServer, origin: &Origin, path: &str) -> Explanation {
    let cache = caches.get("default").unwrap();
    let seen = || {
        let lookups = cache.remote_lookups();
        (
            cache.counts(),
            cache.fills(),
            lookups,
            cache.memory(),
            contents(redis),
        )
    };
    let before = seen();
    let layer = ResponseCacheLayer::new(&cache);
    let (request, asked) = Asking::mark(request(path)).unwrap();
    let answer = layer.layer(origin.clone()).oneshot(request).await.unwrap();
    answer.into_body().collect().await.unwrap();
    assert_eq!(seen(), before);
    assert_eq!(caches.background(), 0);
    asked.explanations().remove(0)
}

/// All keys of entries, and what they hold.
fn contents(redis: &RedisServer) -> Vec<String> {
    let dump = "local all = {} \
                for _, key in ipairs(redis.call('KEYS', ARGV[1])) do \
                all[#all + 1] = key .. redis.sha1hex(redis.call('GET', key)) end \
                table.sort(all) return table.concat(all, ' ')";
    let all = redis.run(&["EVAL", dump, "0", "pitlane:default*"]);
    all.text().split(' ').map(str::to_owned).collect()
}

fn redis_step(told: &Explanation) -> (Option<Reason>, String) {
    let mut steps = told.steps.iter();
    let step = steps.find(|step| step.stage == Stage::Redis).unwrap();
    (step.reason, step.text.clone())
}

async fn until_stored(redis: &RedisServer) {
    until("the entry is in Redis", || !contents(redis)[0].is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_node_stored_is_told_and_not_taken_over() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let (a, b) = (node(&redis).await, node(&redis).await);
    get(&a, &origin, "/x").await;
    until_stored(&redis).await;
    for _ in 0..2 {
        let told = why(&b, &redis, &origin, "/x").await;
        assert_eq!((told.outcome, told.reason), (Outcome::Hit, Reason::Remote));
        assert_eq!(redis_step(&told), (None, "Redis has it.".to_owned()));
        let entry = told.entry.unwrap();
        assert_eq!((entry.tags, entry.status), (vec!["club".to_owned()], 200));
    }
    assert_eq!(origin.calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_computed_for_a_question_goes_nowhere() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let node = node(&redis).await;
    let told = why(&node, &redis, &origin, "/x").await;
    assert_eq!(
        (told.outcome, told.reason),
        (Outcome::Miss, Reason::UriMiss)
    );
    assert!(told.stored);
    assert_eq!(redis_step(&told), (None, "Redis has nothing.".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_an_entry_in_redis_cannot_be_used_is_told() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let (a, b) = (node(&redis).await, node(&redis).await);
    get(&a, &origin, "/x").await;
    until_stored(&redis).await;
    let _ = a.invalidate(["club"]).await.unwrap();
    let told = why(&b, &redis, &origin, "/x").await;
    let invalidated = Reason::Invalidated;
    let expected = (Some(invalidated), invalidated.explain().to_owned());
    assert_eq!(redis_step(&told), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_entry_is_told_and_left_for_a_request_to_delete() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let (a, b) = (node(&redis).await, node(&redis).await);
    get(&a, &origin, "/x").await;
    until_stored(&redis).await;
    let spoil = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do \
                 redis.call('SETRANGE', key, 40, 'spoilt') end";
    redis.run(&["EVAL", spoil, "0", "pitlane:default*"]);
    let told = why(&b, &redis, &origin, "/x").await;
    let (_, text) = redis_step(&told);
    assert_eq!(
        text,
        "What Redis has is no entry; a request would delete it."
    );
    assert_eq!(told.reason, Reason::UriMiss);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_away_is_told() {
    let redis = RedisServer::start();
    let origin = Origin::counting(FRESH);
    let node = node(&redis).await;
    redis.kill();
    let layer = ResponseCacheLayer::new(&node.get("default").unwrap());
    let (request, asked) = Asking::mark(request("/x")).unwrap();
    let answer = layer.layer(origin.clone()).oneshot(request).await.unwrap();
    answer.into_body().collect().await.unwrap();
    let told = asked.explanations().remove(0);
    let (_, text) = redis_step(&told);
    assert!(
        text.starts_with("Redis did not") || text.starts_with("Nobody looked"),
        "{text}"
    );
    assert_eq!(told.reason, Reason::UriMiss);
}
